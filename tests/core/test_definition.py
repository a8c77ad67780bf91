"""Reading definitions: what a document means, and every fault of one that means nothing."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from spane_django.core.definition import Limits, parse, read
from spane_django.core.errors import InvalidDefinition
from spane_django.core.plan import Join, JoinRule
from spane_django.core.retry import Retry

A = {"id": "a", "type": "t", "inputs": [], "outputs": ["b"]}
B = {"id": "b", "type": "t", "inputs": ["a"], "outputs": []}
GOOD = {"id": "w", "name": "W", "entryNodeId": "a", "nodes": [A, B]}
USUAL = Limits()
AGES = 4_000_000_000_000  # milliseconds; more than a hundred years


def workflow(**changes: Any) -> dict[str, Any]:
    """Return a sound definition with keys replaced, or removed where None is given."""
    return {key: value for key, value in {**deepcopy(GOOD), **changes}.items() if value is not None}


def with_node(**changes: Any) -> dict[str, Any]:
    """Return a sound definition whose node ``b`` says something else, too."""
    return workflow(nodes=[A, {**B, **changes}])


def with_child(**changes: Any) -> dict[str, Any]:
    """Return a sound definition whose node ``a`` leads to ``b`` if it fails, and says more."""
    return workflow(nodes=[{**A, "errorOutputs": ["b"], **changes}, B])


def faults(raw: Any, limits: Limits = USUAL) -> list[tuple[str, str]]:
    return [(fault.path, fault.code) for fault in read(raw, limits=limits)[1]]


def test_a_sound_definition_has_no_fault():
    definition, found = read(GOOD, limits=USUAL)

    assert found == []
    assert definition is not None
    assert (definition.id, definition.name, list(definition.nodes)) == ("w", "W", ["a", "b"])
    assert definition.graph.children == {"a": ("b",), "b": ()}


def test_the_json_survives_to_the_letter():
    raw = workflow(extra={"x": [1]})

    assert parse(raw).raw == raw


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (workflow(id=None), [("", "schema")]),
        (workflow(id=""), [("id", "schema"), ("id", "schema")]),  # too short, and no such name
        (workflow(id="a b"), [("id", "schema")]),
        (workflow(id="w\n"), [("id", "schema")]),
        (workflow(id="w" * 101), [("id", "schema")]),
        (workflow(name=None), [("", "schema")]),
        (workflow(name=7), [("name", "schema")]),
        (workflow(nodes=[]), [("nodes", "schema"), ("entryNodeId", "unknown_entry")]),
        (workflow(nodes={}), [("nodes", "schema")]),
        (workflow(nodes=["a"]), [("nodes[0]", "schema")]),
        (workflow(priority=0), [("priority", "schema")]),
        (workflow(priority=11), [("priority", "schema")]),
        (workflow(priority=True), [("priority", "schema")]),
        (workflow(failFast="yes"), [("failFast", "schema")]),
        (workflow(timeout=0), [("timeout", "schema")]),
        (workflow(timeout=AGES), [("timeout", "schema")]),
        (workflow(queue=""), [("queue", "schema")]),
        (workflow(inputSchema=[]), [("inputSchema", "schema")]),
        (workflow(inputSchema={"type": "text"}), [("inputSchema.type", "schema")]),
        (with_node(type=None), [("nodes[1].type", "schema")]),
        (with_node(type="x\ny"), [("nodes[1].type", "schema")]),
        (with_node(id=5), [("nodes[1].id", "schema")]),
        (with_node(config=[]), [("nodes[1].config", "schema")]),
        (with_node(inputs="a"), [("nodes[1].inputs", "schema")]),
        (with_node(timeout=-1), [("nodes[1].timeout", "schema")]),
        (with_node(timeout=AGES), [("nodes[1].timeout", "schema")]),
        (with_node(config={"timeout": "soon"}), [("nodes[1].config.timeout", "schema")]),
        (with_node(retries=-1), [("nodes[1].retries", "schema")]),
        (with_node(retries=100), [("nodes[1].retries", "schema")]),
        (with_node(onFail="shrug"), [("nodes[1].onFail", "schema")]),
        (with_node(join="some"), [("nodes[1].join", "schema")]),
        (with_node(join={"rule": "n_of_m", "n": 0}), [("nodes[1].join", "schema")]),
        (
            with_node(retryPolicy={"maxAttempts": 0}),
            [("nodes[1].retryPolicy.maxAttempts", "schema")],
        ),
        (with_node(retryPolicy={"tries": 3}), [("nodes[1].retryPolicy", "schema")]),
        (
            with_node(retryPolicy={"backoff": {"delay": AGES}}),
            [("nodes[1].retryPolicy.backoff.delay", "schema")],
        ),
        (
            with_node(retryPolicy={"backoff": {"type": "random"}}),
            [("nodes[1].retryPolicy.backoff.type", "schema")],
        ),
        (workflow(entryNodeId="nope"), [("entryNodeId", "unknown_entry")]),
        (workflow(entryNodeId="b"), [("entryNodeId", "entry_with_inputs")]),
        (
            workflow(nodes=[A, B, {**B}]),
            [("nodes[1].id", "duplicate_id"), ("nodes[2].id", "duplicate_id")],
        ),
        (with_node(outputs=["ghost"]), [("nodes[1].outputs[0]", "dangling_edge")]),
        (with_node(inputs=["a", "ghost"]), [("nodes[1].inputs[1]", "dangling_edge")]),
        (with_node(inputs=["a", "a"]), [("nodes[1].inputs[1]", "duplicate_edge")]),
        (
            with_node(errorOutputs=["a"]),
            [("nodes[1].errorOutputs[0]", "unknown_error_output")],
        ),
        (with_node(onFail="branch"), [("nodes[1].onFail", "no_error_outputs")]),
        (
            with_node(config={"onFail": "branch"}, errorOutputs=[]),
            [("nodes[1].config.onFail", "no_error_outputs")],
        ),
        (with_child(onFail="fail"), [("nodes[0].onFail", "contradicts_error_outputs")]),
        (
            with_child(config={"onFail": "continue"}),
            [("nodes[0].config.onFail", "contradicts_error_outputs")],
        ),
        (
            with_child(config={"continueOnFail": True}),
            [("nodes[0].config.continueOnFail", "contradicts_error_outputs")],
        ),
        (
            with_child(retryPolicy={"continueOnFail": True}),
            [("nodes[0].retryPolicy.continueOnFail", "contradicts_error_outputs")],
        ),
        (with_node(losers="drop"), [("nodes[1].losers", "schema")]),
        (with_node(losers="leave"), [("nodes[1].losers", "no_losers")]),
        (with_node(losers="cancel", join="all_done"), [("nodes[1].losers", "no_losers")]),
        (
            with_node(losers="cancel", config={"join": {"rule": "all"}}),
            [("nodes[1].losers", "no_losers")],
        ),
    ],
)  # fmt: skip
def test_each_fault_is_told_with_its_path(raw: Any, found: list[tuple[str, str]]):
    assert faults(raw) == found


def test_an_edge_must_be_written_on_both_sides():
    missing_input = workflow(nodes=[A, {**B, "inputs": []}])
    missing_output = workflow(nodes=[{**A, "outputs": []}, B])

    assert ("nodes[0].outputs[0]", "one_sided_edge") in faults(missing_input)
    assert ("nodes[1].inputs[0]", "one_sided_edge") in faults(missing_output)


def test_a_cycle_is_told_as_a_path_that_exists():
    nodes = [
        {"id": "a", "type": "t", "outputs": ["b"]},
        {"id": "b", "type": "t", "inputs": ["a", "d"], "outputs": ["c"]},
        {"id": "c", "type": "t", "inputs": ["b"], "outputs": ["d"]},
        {"id": "d", "type": "t", "inputs": ["c"], "outputs": ["b"]},
    ]

    _, found = read(workflow(nodes=nodes), limits=USUAL)

    assert [fault.code for fault in found] == ["cycle"]
    assert found[0].path == "nodes"
    assert any(walk in found[0].message for walk in ("b → c → d → b", "c → d → b → c"))


def test_a_node_behind_a_cycle_is_unreachable():
    nodes = [
        {"id": "a", "type": "t"},
        {"id": "b", "type": "t", "inputs": ["b"], "outputs": ["b", "c"]},
        {"id": "c", "type": "t", "inputs": ["b"]},
    ]

    assert ("nodes[2]", "unreachable") in faults(workflow(nodes=nodes))


def test_all_faults_are_told_at_once():
    nodes = [
        {"id": "a", "type": "t", "outputs": ["ghost"]},
        {"id": "a", "type": "t", "retries": -1},
    ]

    with pytest.raises(InvalidDefinition) as refused:
        parse(workflow(nodes=nodes, entryNodeId="nope", name=3))

    text = str(refused.value)
    assert text.startswith("Workflow validation failed: ")
    assert all(
        word in text for word in ("ghost", "Duplicate node id 'a'", "nope", "retries", "name")
    )
    assert {fault.code for fault in refused.value.faults} == {
        "schema",
        "duplicate_id",
        "dangling_edge",
        "unknown_entry",
    }


def test_a_document_may_be_too_large_in_two_ways():
    many = workflow(nodes=[{"id": f"n{index}", "type": "t"} for index in range(4)])

    assert faults(many, Limits(nodes=3)) == [("nodes", "too_many_nodes")]
    assert faults(GOOD, Limits(size_bytes=20)) == [("", "too_large")]


@pytest.mark.parametrize("raw", [{"x": {1, 2}}, {"x": float("nan")}, "a\x00b", {"\ud800": 1}])
def test_what_is_no_json_is_told(raw: Any):
    assert faults(raw) == [("", "not_json")]


def test_options_stand_in_the_config_or_beside_it_which_wins():
    node = parse(
        with_node(config={"timeout": 5, "retries": 1, "url": "x"}, timeout=1_500, queue="q")
    ).nodes["b"]

    assert node.timeout == timedelta(seconds=1.5)
    assert node.retry() == Retry(attempts=2)
    assert node.options == {"timeout": 1_500, "retries": 1, "queue": "q"}
    assert node.config == {"url": "x"}


@pytest.mark.parametrize(
    ("options", "continues"),
    [
        ({}, False),
        ({"onFail": "fail"}, False),
        ({"onFail": "continue"}, True),
        ({"continueOnFail": True}, True),
        ({"config": {"continueOnFail": True}}, True),
        ({"config": {"retryPolicy": {"continueOnFail": True}}}, True),
        ({"continueOnFail": False}, False),
    ],
)
def test_where_a_node_may_say_that_it_continues(options: dict[str, Any], *, continues: bool):
    assert parse(with_node(**options)).nodes["b"].continues_on_fail is continues


@pytest.mark.parametrize(
    ("given", "joins"),
    [
        ("all", {}),
        ("any", {"b": Join(JoinRule.ANY)}),
        ("all_done", {"b": Join(JoinRule.ALL_DONE)}),
        ({"rule": "none_failed"}, {"b": Join(JoinRule.NONE_FAILED)}),
        ({"rule": "n_of_m", "n": 2}, {"b": Join(JoinRule.N_OF_M, 2)}),
    ],
)
def test_a_join_is_a_rule_or_an_object(given: Any, joins: dict[str, Join]):
    assert parse(with_node(join=given)).joins == joins


def test_what_a_workflow_does_not_say_has_a_default():
    definition = parse(GOOD)

    assert (definition.priority, definition.queue, definition.timeout) == (5, None, None)
    assert (definition.is_fail_fast, definition.input_schema) == (False, None)


def test_what_a_workflow_says_counts():
    definition = parse(
        workflow(priority=9, queue="q", timeout=250, failFast=True, inputSchema={"type": "object"})
    )

    assert (definition.priority, definition.queue) == (9, "q")
    assert (definition.timeout, definition.is_fail_fast) == (timedelta(seconds=0.25), True)
    assert definition.input_schema == {"type": "object"}


def test_a_fault_repeats_no_more_than_a_little_of_a_large_value():
    with pytest.raises(InvalidDefinition) as refused:
        parse(workflow(name="n" * 100_000))

    assert len(str(refused.value)) < 1_000
    assert "is too long" in str(refused.value)


@pytest.mark.parametrize("options", [{}, {"onFail": "branch"}, {"continueOnFail": False}])
def test_error_outputs_say_that_a_failure_branches(options: dict[str, Any]):
    definition = parse(with_child(**options))

    assert definition.nodes["a"].error_outputs == ["b"]
    assert not definition.nodes["a"].continues_on_fail


@pytest.mark.parametrize("join", ["any", {"rule": "n_of_m", "n": 1}])
@pytest.mark.parametrize(("losers", "cancels"), [("cancel", True), ("leave", False)])
def test_an_early_join_says_what_becomes_of_its_losers(join: Any, losers: str, *, cancels: bool):
    definition = parse(with_node(join=join, losers=losers))

    assert definition.joins["b"].cancels_losers is cancels
    assert ("a" in definition.joins) is cancels
