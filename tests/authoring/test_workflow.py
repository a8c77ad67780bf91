"""Workflows in Python become the wire's JSON, and JSON comes back to the letter."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spane_django import (
    Backoff,
    Breaker,
    Context,
    InvalidDefinition,
    Limit,
    Node,
    Rate,
    Retry,
    Step,
    Workflow,
    body,
)
from spane_django.authoring.options import node_fields
from spane_django.core.definition import Limits, NodeDefinition, read
from spane_django.core.options import NODE_OPTIONS
from spane_django.core.retry import retry_from

SEED: dict[str, Any] = {
    "id": "user-onboarding",
    "name": "User Onboarding Workflow",
    "entryNodeId": "validate-user",
    "nodes": [
        {
            "id": "validate-user",
            "type": "transform",
            "config": {"validation": "email"},
            "inputs": [],
            "outputs": ["send-welcome-email", "create-account"],
        },
        {
            "id": "send-welcome-email",
            "type": "email",
            "config": {"template": "welcome"},
            "inputs": ["validate-user"],
            "outputs": [],
        },
        {
            "id": "create-account",
            "type": "http",
            "config": {"endpoint": "/api/accounts", "method": "POST"},
            "inputs": ["validate-user"],
            "outputs": [],
        },
    ],
}

texts = st.text(st.characters(min_codepoint=32, exclude_categories=("Cs", "Cc")), max_size=8)
names = st.text("abcdefgh-_.1", min_size=1, max_size=8)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
milliseconds = st.integers(0, 10**9).map(lambda ms: timedelta(milliseconds=ms))


def shuffled(draw: st.DrawFn, document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with its keys in any order, some unknown ones among them."""
    extra = draw(st.dictionaries(names.map("x-{}".format), values, max_size=2))
    return dict(draw(st.permutations(list((document | extra).items()))))


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    """Any valid definition: a graph, options here and there, keys that we know nothing of."""
    ids = draw(st.lists(names, min_size=1, max_size=6, unique=True))
    pairs = [(a, b) for place, a in enumerate(ids) for b in ids[place + 1 :]]
    edges = [pair for pair in pairs if draw(st.booleans())]
    nodes = []
    for node_id in ids:
        outputs = [b for a, b in edges if a == node_id]
        inputs = [a for a, b in edges if b == node_id]
        node: dict[str, Any] = {"id": node_id, "type": draw(names)}
        if draw(st.booleans()) or outputs:
            node["outputs"] = draw(st.permutations(outputs))
        if draw(st.booleans()) or inputs:
            node["inputs"] = draw(st.permutations(inputs))
        if draw(st.booleans()):
            config = draw(st.dictionaries(texts, values, max_size=2))
            node["config"] = {key: config[key] for key in config.keys() - NODE_OPTIONS}
        if draw(st.booleans()):
            node["join"] = {"rule": "n_of_m", "n": draw(st.integers(1, 3))}
            if draw(st.booleans()):
                node["losers"] = draw(st.sampled_from(["cancel", "leave"]))
        if outputs and draw(st.booleans()):
            node["errorOutputs"] = draw(st.lists(st.sampled_from(outputs), unique=True))
        nodes.append(shuffled(draw, node))
    roots = [node["id"] for node in nodes if not node.get("inputs")]
    key = "w" + draw(names)
    document = {"id": key, "name": "N", "entryNodeId": draw(st.sampled_from(roots)), "nodes": nodes}
    return shuffled(draw, document)


def test_limits_and_breakers_are_written_as_the_wire_has_them():
    flow = Workflow("crm")
    flow.add(
        "push",
        "log",
        {"message": "m"},
        limit=Limit(max=3, rate=Rate(10, timedelta(seconds=1)), per_key=True, name="crm"),
        breaker=Breaker(failures=4, successes=2, cooldown=timedelta(minutes=1)),
    )

    (push,) = flow.definition()["nodes"]

    rate = {"count": 10, "perMs": 1000}
    assert flow.check() == []
    assert push["limit"] == {"max": 3, "rate": rate, "perKey": True, "name": "crm"}
    assert push["circuitBreaker"] == {
        "failureThreshold": 4, "successThreshold": 2, "timeout": 60000,
    }  # fmt: skip
    assert Workflow.from_definition(flow.definition()).definition() == flow.definition()


def diamond() -> tuple[Workflow, list[Step]]:
    flow = Workflow("diamond")
    return flow, [flow.add(node_id, "log") for node_id in "abcd"]


def edges_of(flow: Workflow) -> set[tuple[str, str]]:
    nodes = flow.definition()["nodes"]
    down = {(node["id"], child) for node in nodes for child in node["outputs"]}
    assert down == {(parent, node["id"]) for node in nodes for parent in node["inputs"]}
    return down


def test_the_seeds_workflow_can_be_written_in_python() -> None:
    flow = Workflow("user-onboarding", name="User Onboarding Workflow")

    validate = flow.add("validate-user", "transform", config={"validation": "email"})
    validate >> [
        flow.add("send-welcome-email", "email", config={"template": "welcome"}),
        flow.add("create-account", "http", config={"endpoint": "/api/accounts", "method": "POST"}),
    ]

    assert flow.definition() == SEED


@given(definitions())
def test_json_comes_back_to_the_letter(definition: dict[str, Any]) -> None:
    assert read(definition, limits=Limits())[1] == []

    again = Workflow.from_definition(definition).definition()

    assert json.dumps(again) == json.dumps(definition)


@given(definitions())
def test_python_and_json_round_trip(definition: dict[str, Any]) -> None:
    flow = Workflow.from_definition(definition)
    flow.steps[0] >> flow.add("added-later", "log")

    again = Workflow.from_definition(flow.definition())

    assert again.definition() == flow.definition()
    assert "added-later" in again.definition()["nodes"][0]["outputs"]


def test_edges_are_written_to_both_ends_in_the_order_of_the_arrows() -> None:
    flow, (a, b, c, d) = diamond()

    a >> [c, b] >> d

    nodes = {node["id"]: node for node in flow.definition()["nodes"]}
    assert nodes["a"]["outputs"] == ["c", "b"]
    assert nodes["d"]["inputs"] == ["c", "b"]
    assert flow.definition()["entryNodeId"] == "a"


@pytest.mark.parametrize(
    ("connect", "expected"),
    [
        (lambda a, b, c, d: a >> b >> c, {("a", "b"), ("b", "c")}),
        (lambda a, b, c, d: [a, b] >> c, {("a", "c"), ("b", "c")}),
        (lambda a, b, c, d: a >> [b, c] >> d, {("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")}),
        (lambda a, b, c, d: a >> [b >> c, d], {("a", "b"), ("b", "c"), ("a", "d")}),
        (lambda a, b, c, d: [a >> b, c] >> d, {("a", "b"), ("b", "d"), ("c", "d")}),
        (lambda a, b, c, d: [a, b] >> (c >> d), {("a", "c"), ("b", "c"), ("c", "d")}),
        (lambda a, b, c, d: [a] >> b >> [c, d], {("a", "b"), ("b", "c"), ("b", "d")}),
        (lambda a, b, c, d: a >> (x for x in (b, c)), {("a", "b"), ("a", "c")}),
        (lambda a, b, c, d: (a >> b, a >> b), {("a", "b")}),
    ],
)
def test_arrows_connect_steps_and_lists_of_steps(
    connect: Any, expected: set[tuple[str, str]]
) -> None:
    flow, steps = diamond()

    connect(*steps)

    assert edges_of(flow) == expected


@pytest.mark.parametrize(
    ("connect", "edges", "errors"),
    [
        (lambda a, b, c, d: (a >> b, a.errors >> c), {("a", "b"), ("a", "c")}, {("a", "c")}),
        (lambda a, b, c, d: a.errors >> b >> c, {("a", "b"), ("b", "c")}, {("a", "b")}),
        (lambda a, b, c, d: a >> b.errors >> c, {("a", "b"), ("b", "c")}, {("b", "c")}),
        (lambda a, b, c, d: a.errors >> [b, c], {("a", "b"), ("a", "c")}, {("a", "b"), ("a", "c")}),
        (lambda a, b, c, d: [a.errors, b] >> c, {("a", "c"), ("b", "c")}, {("a", "c")}),
        (lambda a, b, c, d: [a, b] >> c.errors, {("a", "c"), ("b", "c")}, set()),
        (lambda a, b, c, d: (a.errors >> b, a.errors >> b), {("a", "b")}, {("a", "b")}),
    ],
)
def test_arrows_from_errors_are_error_edges(connect: Any, edges: Any, errors: Any) -> None:
    flow, steps = diamond()

    connect(*steps)

    nodes = flow.definition()["nodes"]
    assert edges_of(flow) == edges
    assert {(n["id"], child) for n in nodes for child in n.get("errorOutputs", ())} == errors
    assert read(flow.definition(), limits=Limits())[1] == []


@pytest.mark.parametrize("is_error_first", [True, False])
def test_a_node_follows_a_success_or_a_failure_and_not_both(*, is_error_first: bool) -> None:
    _, (a, b, *_) = diamond()
    ways = [a.errors, a] if is_error_first else [a, a.errors]
    ways[0] >> b

    with pytest.raises(ValueError, match="either if it succeeds or if it fails"):
        ways[1] >> b


def test_what_may_be_lost_is_said_at_the_join() -> None:
    flow, (a, b, c, _) = diamond()
    d = flow.add("first", "log", join="any", losers="cancel")

    a >> [b, c] >> d

    assert flow.definition()["nodes"][-1]["losers"] == "cancel"
    assert read(flow.definition(), limits=Limits())[1] == []


def test_steps_of_different_workflows_cannot_be_connected() -> None:
    _, (a, *_) = diamond()
    other, (_, b, *_) = diamond()

    with pytest.raises(ValueError, match="different workflows"):
        a >> b

    assert edges_of(other) == set()


def test_a_definition_is_a_copy() -> None:
    flow, _ = diamond()
    config = {"message": ["hello"]}
    flow.add("e", "log", config)

    config["message"].append("changed")
    flow.definition()["nodes"].clear()

    assert flow.definition()["nodes"][-1]["config"] == {"message": ["hello"]}


def test_options_are_written_as_the_wire_names_them() -> None:
    flow = Workflow(
        "options",
        description="All of them",
        entry="b",
        queue="slow",
        priority=7,
        fail_fast=True,
        timeout=timedelta(minutes=1),
        input_schema={"type": "object"},
        save_data="failed",
        keep_days={"completed": 7, "failed": None},
    )
    flow.add("a", "log", timeout=1.5, join="any", continue_on_fail=True, queue="q", priority=2)
    flow.add("b", "log", join=2, timeout=None)

    definition = flow.definition()

    a, b = definition.pop("nodes")
    assert definition == {
        "id": "options",
        "name": "options",
        "description": "All of them",
        "entryNodeId": "b",
        "queue": "slow",
        "priority": 7,
        "failFast": True,
        "timeout": 60_000,
        "inputSchema": {"type": "object"},
        "saveData": "failed",
        "keepDays": {"completed": 7, "failed": None},
    }
    given = {"timeout", "join", "continueOnFail", "queue", "priority"}
    assert {key: a[key] for key in given} == {
        "timeout": 1500, "join": "any", "continueOnFail": True, "queue": "q", "priority": 2,
    }  # fmt: skip
    assert b["join"] == {"rule": "n_of_m", "n": 2}
    assert "timeout" not in b


def test_bodies_stand_where_they_run():
    flow = Workflow(
        "saga", max_concurrency=3, on_error="alert", finally_=body("log", {"message": "over"})
    )
    flow.add("book", "log", {"message": "book"}, undo=body("log", {"message": "no"}, timeout=2))
    flow.add("each", "map", {"node": body("log", {"message": "one"})})

    raw = flow.definition()

    assert raw["maxConcurrency"] == 3
    assert raw["onError"] == {"workflowId": "alert"}
    assert raw["finally"] == {"type": "log", "config": {"message": "over"}}
    undo = raw["nodes"][0]["undo"]
    assert undo == {"type": "log", "config": {"message": "no"}, "timeout": 2000}
    assert flow.check() == []


@given(
    st.builds(
        Retry,
        attempts=st.integers(1, 100),
        backoff=st.sampled_from(Backoff),
        base=milliseconds,
        ceiling=milliseconds,
        factor=st.floats(1, 100),
        jitter=st.floats(0, 1),
        retry_on=st.lists(names, max_size=2).map(tuple),
        give_up_on=st.lists(names, max_size=2).map(tuple),
    ),
    st.builds(Retry, attempts=st.integers(1, 9), base=milliseconds),
)
def test_a_retry_policy_wins_whole_over_that_of_the_node_type(retry: Retry, of_type: Retry) -> None:
    assert retry_from(node_fields({"retry": retry}), of_type) == retry


@given(st.timedeltas(timedelta(microseconds=1), timedelta(days=999)))
def test_timeouts_keep_their_length(timeout: timedelta) -> None:
    fields = node_fields({"timeout": timeout})

    assert NodeDefinition({"id": "a", "type": "log", **fields}).timeout == timeout


def test_unknown_options_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match="unknown option: retries; the options are retry"):
        Workflow("w").add("a", "log", retries=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unknown option: failfast"):
        Workflow("w", failfast=True)  # type: ignore[call-arg]


def test_two_nodes_cannot_have_the_same_id() -> None:
    flow, _ = diamond()

    with pytest.raises(ValueError, match="has a node 'a' already"):
        flow.add("a", "log")


def test_a_node_may_be_added_by_its_class() -> None:
    class Price(Node):
        type = "price"

        def execute(self, ctx: Context) -> Any:
            return ctx.input

    flow = Workflow("w")
    flow.add("a", Price)

    assert flow.definition()["nodes"][0]["type"] == "price"


def test_reading_a_broken_definition_lists_every_fault() -> None:
    nodes = [{"id": "a", "type": "log", "outputs": ["b"]}, {"type": "log"}]

    with pytest.raises(InvalidDefinition) as caught:
        Workflow.from_definition({"id": "w", "nodes": nodes})

    assert len(caught.value.faults) >= 3


def test_check_lists_faults_of_graph_and_nodes() -> None:
    flow, (a, b, *_) = diamond()
    a >> b >> a
    flow.add("e", "no-such-type")

    paths = {(fault.path, fault.code) for fault in flow.check()}

    assert ("nodes", "cycle") in paths
    assert ("nodes[4].type", "unknown_type") in paths


def test_a_workflow_without_nodes_is_at_fault() -> None:
    assert {fault.path for fault in Workflow("empty").check()} >= {"nodes", "entryNodeId"}


def test_a_step_is_found_by_its_id() -> None:
    flow, (a, *_) = diamond()

    assert flow["a"].id == a.id
    with pytest.raises(KeyError):
        flow["z"]
