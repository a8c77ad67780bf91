"""What a node receives from its parents."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from spane_django.core.graph import Graph
from spane_django.core.inputs import node_input
from spane_django.core.json import Json
from spane_django.core.statuses import NodeStatus

COMPLETED, FAILED = NodeStatus.COMPLETED, NodeStatus.FAILED
SKIPPED, CANCELLED = NodeStatus.SKIPPED, NodeStatus.CANCELLED
GRAPH = Graph({"r": ["a", "b", "c"], "a": ["j"], "b": ["j"], "c": ["j"], "j": []})


@dataclass
class Parent:
    status: NodeStatus = COMPLETED
    data: Json = None
    next_nodes: list[str] | None = None
    error: str = ""


def test_a_node_without_parents_receives_the_executions_input():
    assert node_input(GRAPH, "r", {"x": 1}, {}) == {"x": 1}


@pytest.mark.parametrize("data", [0, False, "", [], None, {"x": {"y": [1]}}, "text", 1.5])
def test_one_parent_hands_its_data_on_as_it_is(data: Json):
    received = node_input(GRAPH, "a", "initial", {"r": Parent(data=data)})

    assert received == data
    assert type(received) is type(data)


def test_several_parents_are_keyed_by_their_ids_in_the_graphs_order():
    runs = {"c": Parent(data=3), "a": Parent(data=1), "b": Parent(data=2)}

    received = node_input(GRAPH, "j", "initial", runs)

    assert list(received.items()) == [("a", 1), ("b", 2), ("c", 3)]


@pytest.mark.parametrize(
    "absent",
    [
        Parent(SKIPPED),
        Parent(CANCELLED),
        Parent(data=2, next_nodes=["other"]),  # it chose another branch
        Parent(data=2, next_nodes=[]),
    ],
)
def test_a_parent_that_leads_elsewhere_is_left_out(absent: Parent):
    runs = {"a": Parent(data=1), "b": absent}

    assert node_input(GRAPH, "j", None, runs) == {"a": 1}


def test_a_parent_that_chose_this_child_counts():
    assert node_input(GRAPH, "j", None, {"a": Parent(data=1, next_nodes=["j"])}) == {"a": 1}


def test_a_failed_parent_hands_on_its_error():
    failed = Parent(FAILED, data={"left": "over"}, error="boom")

    assert node_input(GRAPH, "a", None, {"r": failed}) == {"error": "boom"}
    assert node_input(GRAPH, "j", None, {"a": failed, "b": Parent(data=2)}) == {
        "a": {"error": "boom"},
        "b": 2,
    }


def test_a_parent_that_has_not_ended_is_left_out():
    assert node_input(GRAPH, "j", None, {"b": Parent(data=2)}) == {"b": 2}
    assert node_input(GRAPH, "a", None, {}) is None
