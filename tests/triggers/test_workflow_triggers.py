"""One workflow starts when another one ends, in the transaction that ends it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from spane_django import OnWorkflow, Workflow
from spane_django.core.outcome import Result
from spane_django.engine.control import cancel
from spane_django.engine.settle import apply
from spane_django.models import Execution, LogLine, Trigger
from tests.engine.helpers import Machine
from tests.engine.statements import counted

pytestmark = pytest.mark.django_db

CALL: dict[str, Any] = {"a": []}


def after(workflow: str, on: str = "completed", **config: Any) -> dict[str, Any]:
    return {"type": "workflow", "config": {"workflowId": workflow, "on": on, **config}}


def follow(machine: Machine, *triggers: dict[str, Any], workflow: str = "w", **more: Any) -> None:
    machine.publish({"f": []}, id=workflow, triggers=list(triggers), **more)


def broken(ctx: Any) -> Any:
    return Result.failure("broken")


def followers(key: UUID) -> list[Execution]:
    found = Execution.objects.filter(parent_id=key, relation="triggered")
    return list(found.select_related("workflow").order_by("id"))


def test_an_execution_that_completes_starts_what_waits_for_that(machine):
    follow(machine, after("order"))

    key = machine.begin(CALL, {"id": 7}, id="order")
    machine.drain()

    (follower,) = followers(key)
    assert (follower.workflow.key, follower.status) == ("w", "completed")
    assert (follower.depth, follower.trigger) == (1, "workflow:order")
    assert follower.input == {
        "executionId": str(key),
        "workflowId": "order",
        "status": "completed",
        "reason": "",
        "input": {"id": 7},
        "output": {"from": "a"},
    }


@pytest.mark.parametrize("on", ["completed", "failed", "cancelled"])
def test_only_the_end_that_is_named_starts_anything(machine, does, on: str):
    for ending in ("completed", "failed", "cancelled"):
        follow(machine, after("order", ending), workflow=ending)
    does["a"] = broken if on == "failed" else lambda ctx: None

    key = machine.begin(CALL, id="order")
    if on == "cancelled":
        cancel(key, now=machine.now)
    machine.drain()

    assert [one.workflow.key for one in followers(key)] == [on]


def test_a_failure_comes_with_its_errors(machine, does):
    follow(machine, after("order", "failed", map="errors[0].message"))
    does["a"] = broken

    key = machine.begin(CALL, id="order")
    machine.drain()

    assert [one.input for one in followers(key)] == ["broken"]


def test_conditions_and_maps_look_at_the_account_of_the_execution(machine, does):
    follow(machine, after("order", when="input.total > `100`", map={"order": "input.id"}))
    machine.publish(CALL, id="order")

    cheap = machine.start({"id": 1, "total": 5}, workflow="order")
    dear = machine.start({"id": 2, "total": 500}, workflow="order")
    machine.drain()

    assert (followers(cheap), [one.input for one in followers(dear)]) == ([], [{"order": 2}])


def test_the_follower_is_started_in_the_transaction_of_the_end(machine):
    follow(machine, after("order"))
    key = machine.begin(CALL, id="order")
    finished = machine.run(machine.claim())

    with transaction.atomic():
        apply(finished, now=machine.now)
        assert len(followers(key)) == 1
        transaction.set_rollback(True)
    assert (Execution.objects.get(pk=key).status, followers(key)) == ("running", [])

    machine.settle(finished)
    assert len(followers(key)) == 1


def test_tenant_and_subject_go_on_to_the_follower(machine):
    follow(machine, after("order"))
    machine.publish(CALL, id="order")

    key = machine.start(workflow="order", tenant="acme", subject_type="shop.order", subject_id="7")
    machine.drain()

    (follower,) = followers(key)
    assert (follower.tenant, follower.subject_type, follower.subject_id) == (
        "acme", "shop.order", "7",
    )  # fmt: skip


def test_a_tenants_trigger_does_not_hear_another_tenants_ends(machine):
    follow(machine, after("order"))
    Trigger.objects.update(tenant="acme")
    machine.publish(CALL, id="order")

    ours = machine.start(workflow="order", tenant="acme")
    theirs = machine.start(workflow="order", tenant="other")
    machine.drain()

    assert (len(followers(ours)), len(followers(theirs))) == (1, 0)


def test_items_of_a_map_are_no_ends_of_their_workflow(machine):
    follow(machine, after("each"))
    config = {"node": {"type": "call"}}
    nodes = {"m": {"config": config}}

    key = machine.begin({"m": []}, [1, 2, 3], id="each", types={"m": "map"}, nodes=nodes)
    machine.drain()

    assert Execution.objects.filter(relation="triggered").count() == 1
    assert len(followers(key)) == 1


def test_workflows_that_start_each_other_come_to_an_end_and_say_why(machine, settings):
    settings.SPANE = {**settings.SPANE, "MAX_DEPTH": 3}
    follow(machine, after("pong"), workflow="ping")
    follow(machine, after("ping"), workflow="pong")

    machine.start(workflow="ping")
    machine.drain()

    depths = sorted(Execution.objects.values_list("depth", flat=True))
    assert depths == [0, 1, 2, 3]
    (line,) = LogLine.objects.all()
    assert "MAX_DEPTH" in line.message


def test_a_follower_that_cannot_start_is_told_in_the_log_and_the_end_stands(machine):
    schema = {"type": "object", "required": ["email"]}
    follow(machine, after("order"), workflow="strict", inputSchema=schema)
    follow(machine, after("order", when="length(input) > `1`"), workflow="silly")

    key = machine.begin(CALL, 5, id="order")
    machine.drain()

    said = " ".join(LogLine.objects.values_list("message", flat=True))
    assert Execution.objects.get(pk=key).status == "completed"
    assert followers(key) == []
    assert "strict" in said
    assert "silly" in said


def test_the_data_of_large_ends_is_handed_on_without_being_copied(machine, does, settings):
    settings.SPANE = {**settings.SPANE, "OFFLOAD_BYTES": 100}
    follow(machine, after("order"))
    seen: list[Any] = []
    does["a"] = lambda ctx: {"text": "x" * 1_000}
    does["f"] = lambda ctx: seen.append(ctx.input["output"])

    machine.begin(CALL, id="order")
    machine.drain()

    assert seen == [{"text": "x" * 1_000}]


def test_ends_nobody_waits_for_cost_one_query_for_all_of_a_batch(machine):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite takes the rows of a batch one at a time")
    machine.publish(CALL)

    def cost(executions: int) -> int:
        for _ in range(executions):
            machine.start()
        finished = machine.run(machine.claim())
        with counted() as statements:
            machine.settle(finished)
        return len(statements)

    assert cost(1) == cost(5)


def test_python_and_json_say_the_same(machine):
    flow = Workflow("w", triggers=[OnWorkflow("order", on="failed", when="reason")])
    flow.add("f", "call")

    assert flow.definition()["triggers"] == [after("order", "failed", when="reason")]
