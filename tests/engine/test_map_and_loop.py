"""Maps and loops: a node, or a workflow, once per item or again and again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from spane_django.core.errors import InvalidDefinition
from spane_django.core.outcome import Result
from spane_django.engine.control import cancel
from spane_django.engine.sweep import sweep
from spane_django.models import Execution, NodeRun, WorkflowVersion
from tests.engine.helpers import Machine, execution, node_run, status

pytestmark = pytest.mark.django_db


def repeat(machine: Machine, node_type: str, **config: Any) -> None:
    """Publish a workflow of one node that repeats a ``call``."""
    given = config if "workflowId" in config else {"node": {"type": "call"}, **config}
    machine.publish({"m": []}, types={"m": node_type}, nodes={"m": {"config": given}})


def mapped(machine: Machine, data: Any, **config: Any) -> UUID:
    repeat(machine, "map", **config)
    key = machine.start(data)
    machine.drain()
    return key


def children(key: UUID) -> Any:
    return Execution.objects.filter(parent_id=key).order_by("item")


def test_the_results_of_a_map_come_in_the_order_of_the_items(machine, does):
    does["m"] = lambda ctx: ctx.input * 10

    key = mapped(machine, [3, 1, 2])

    assert (status(key), execution(key).output) == ("completed", [30, 10, 20])


def test_each_item_is_an_execution_of_a_part_of_the_same_version(machine):
    key = mapped(machine, ["a", "b"])

    versions = {child.version for child in children(key)}
    assert [version.part for version in versions] == ["node:m"]
    assert [child.input for child in children(key)] == ["a", "b"]
    assert {version.number for version in versions} == {execution(key).version.number}


def test_a_map_over_nothing_comes_to_nothing(machine):
    key = mapped(machine, [])

    assert (status(key), execution(key).output) == ("completed", [])


def test_what_is_no_list_fails_the_map(machine):
    key = mapped(machine, {"not": "a list"})

    assert node_run(key, "m").error_message == "a map needs a list of items, not dict"


def test_the_list_is_found_by_an_expression_and_items_may_share_data(machine, does):
    does["m"] = lambda ctx: [ctx.input["index"], ctx.input["item"], ctx.input["shared"]]

    data = {"order": {"lines": ["x", "y"]}, "currency": "EUR"}
    key = mapped(machine, data, items="order.lines", shared="currency")

    assert execution(key).output == [[0, "x", "EUR"], [1, "y", "EUR"]]


def test_a_workflow_may_run_for_each_item(machine, does):
    machine.publish({"c1": ["c2"]}, id="child")
    does["c1"] = lambda ctx: ctx.input + 1
    does["c2"] = lambda ctx: ctx.input * 2

    key = mapped(machine, [1, 2], workflowId="child")

    assert execution(key).output == [4, 6]


def test_no_more_than_parallelism_items_run_at_once(machine):
    repeat(machine, "map", parallelism=2)
    key = machine.start([1, 2, 3, 4, 5])
    machine.step()
    most = []

    while claims := machine.claim():
        most.append(len(claims))
        machine.settle(machine.run(claims))

    assert max(most) == 2
    assert status(key) == "completed"


def test_one_failed_item_fails_the_map_and_cancels_what_has_not_ended(machine, does):
    does["m"] = lambda ctx: Result.failure("bad") if ctx.input == 2 else ctx.input

    key = mapped(machine, [1, 2, 3, 4], parallelism=1)

    assert status(key) == "failed"
    assert node_run(key, "m").error_message == (
        "1 of 4 items failed, 0 are tolerated; item 1: m: bad"
    )
    assert [child.status for child in children(key)] == [
        "completed", "failed", "cancelled", "cancelled",
    ]  # fmt: skip


@pytest.mark.parametrize("tolerated", [1, "25%"])
def test_tolerated_failures_stand_in_their_place(machine, does, tolerated):
    does["m"] = lambda ctx: Result.failure("bad") if ctx.input == 2 else ctx.input

    key = mapped(machine, [1, 2, 3, 4], toleratedFailures=tolerated)

    assert (status(key), execution(key).output) == ("completed", [1, {"error": "m: bad"}, 3, 4])


def test_items_of_a_cancelled_map_are_cancelled_with_it(machine):
    repeat(machine, "map", parallelism=1)
    key = machine.start([1, 2, 3])
    machine.step()
    cancel(key, now=machine.now)

    sweep(now=machine.now)

    assert {child.status for child in children(key)} == {"cancelled"}
    assert not NodeRun.objects.filter(status__in=["ready", "running", "waiting"]).exists()


def test_maps_may_be_nested_through_workflows(machine, does):
    machine.publish(
        {"m": []}, id="row", types={"m": "map"}, nodes={"m": {"config": {"node": {"type": "call"}}}}
    )
    does["m"] = lambda ctx: -ctx.input

    key = mapped(machine, [[1, 2], [3]], workflowId="row")

    assert execution(key).output == [[-1, -2], [-3]]


def test_a_body_is_checked_with_the_whole(machine):
    with pytest.raises(InvalidDefinition) as refused:
        repeat(machine, "map", node={"type": "http", "config": {}})

    assert [fault.path for fault in refused.value.faults] == ["nodes[0].config.node.config"]


def test_templates_of_a_body_belong_to_the_body(machine):
    repeat(
        machine,
        "map",
        node={"type": "set", "config": {"values": {"name": "{{ input.name }}!"}}},
    )
    key = machine.start([{"name": "Ann"}, {"name": "Bob"}])
    machine.drain()

    assert execution(key).output == [{"name": "Ann!"}, {"name": "Bob!"}]


def test_a_loop_goes_round_until_its_condition_holds(machine, does):
    does["m"] = lambda ctx: {"n": ctx.input["n"] + 1}
    repeat(machine, "loop", until="n >= `3`")

    key = machine.start({"n": 0})
    machine.drain()

    assert (status(key), execution(key).output) == ("completed", {"n": 3})
    assert children(key).count() == 3


def test_a_loop_whose_condition_does_not_hold_at_first_does_not_run(machine):
    repeat(machine, "loop", **{"while": "n > `0`"})

    key = machine.start({"n": 0})
    machine.drain()

    assert (status(key), execution(key).output) == ("completed", {"n": 0})


def test_a_loop_that_never_ends_fails_at_its_cap(machine, does):
    does["m"] = lambda ctx: ctx.input
    repeat(machine, "loop", until="`false`", maxTurns=3)

    key = machine.start({})
    machine.drain()

    assert node_run(key, "m").error_message == "the loop has not ended after 3 turns (maxTurns)"


def test_a_loop_may_pause_between_turns(machine, does):
    does["m"] = lambda ctx: {"n": ctx.input["n"] + 1}
    repeat(machine, "loop", until="n >= `2`", pause=60_000)
    key = machine.start({"n": 0})
    machine.drain()
    assert status(key) == "running"

    machine.wait(60)
    machine.drain()

    assert execution(key).output == {"n": 2}


def test_a_turn_that_fails_fails_the_loop(machine, does):
    does["m"] = lambda ctx: Result.failure("flat tyre")
    repeat(machine, "loop", until="`true`")

    key = machine.start({})
    machine.drain()

    assert node_run(key, "m").error_message == "Sub-workflow 'm' failed: m: flat tyre"


def test_publishing_the_same_again_writes_no_parts_again(machine):
    repeat(machine, "map")
    repeat(machine, "map")

    assert sorted(WorkflowVersion.objects.values_list("number", "part")) == [(1, ""), (1, "node:m")]
