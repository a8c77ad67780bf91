"""Sub-workflows: a node waits for executions of its own, and holds no worker meanwhile."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError

from spane_django.core.errors import InvalidDefinition
from spane_django.core.outcome import Lost, Result
from spane_django.engine.control import cancel, pause, resume
from spane_django.engine.db import in_transaction
from spane_django.engine.publish import publish
from spane_django.engine.retry import retry_failed
from spane_django.engine.settle import apply, settle
from spane_django.engine.sweep import sweep
from spane_django.models import Execution, NodeRun
from tests.engine.helpers import Machine, definition, execution, node_run, outputs, status, statuses

pytestmark = pytest.mark.django_db


def publish_parent(machine: Machine, child: str = "child", **config: Any) -> None:
    machine.publish(
        {"a": ["s"], "s": ["z"]},
        id="parent",
        types={"s": "sub-workflow"},
        nodes={"s": {"config": {"workflowId": child, **config}}},
    )


def family(machine: Machine, data: Any = None, **config: Any) -> tuple[UUID, Execution]:
    """Start a parent and let it go as far as its child's first node."""
    machine.publish({"c1": ["c2"]}, id="child")
    publish_parent(machine, **config)
    parent = machine.start(data, workflow="parent")
    assert machine.step() == ["a"]
    assert machine.step() == ["s"]
    return parent, Execution.objects.get(parent_id=parent)


def test_a_node_goes_on_with_what_its_child_came_to(machine, does):
    does["c2"] = lambda ctx: {"result": 42, "noise": 1}
    parent, child = family(machine, outputMapping={"answer": "result"})

    machine.drain()

    assert (status(child.pk), status(parent)) == ("completed", "completed")
    assert outputs(parent)["s"] == {"answer": 42}


def test_a_child_receives_the_mapped_input_and_knows_its_parent(machine, does):
    does["a"] = lambda ctx: {"user": "bob", "x": 1}
    parent, child = family(machine, inputMapping={"who": "user", "none": "absent"})

    assert child.input == {"who": "bob"}
    assert (child.parent_id, child.depth, child.relation) == (parent, 1, "child")
    assert child.parent_run == node_run(parent, "s")


def test_no_worker_is_held_while_a_child_runs(machine):
    parent, _ = family(machine)

    assert statuses(parent)["s"] == "waiting"
    assert not NodeRun.objects.running().exists()


def test_children_may_have_children_at_any_depth(machine, does):
    machine.publish({"leaf": []}, id="w4")
    for depth in (3, 2, 1):
        machine.publish(
            {"s": []},
            id=f"w{depth}",
            types={"s": "sub-workflow"},
            nodes={"s": {"config": {"workflowId": f"w{depth + 1}"}}},
        )
    does["leaf"] = lambda ctx: {"deep": True}

    top = machine.start(workflow="w1")
    machine.drain()

    assert status(top) == "completed"
    assert execution(top).output == {"deep": True}
    assert sorted(Execution.objects.values_list("depth", flat=True)) == [0, 1, 2, 3]


def test_a_child_that_fails_fails_its_node_with_its_error(machine, does):
    does["c1"] = lambda ctx: Result.failure("no such user")
    parent, _ = family(machine)

    machine.drain()

    assert status(parent) == "failed"
    assert node_run(parent, "s").error_message == "Sub-workflow 'child' failed: c1: no such user"
    assert statuses(parent)["z"] == "cancelled"


def test_a_retry_of_the_node_starts_a_fresh_child(machine, does):
    runs = []
    does["c1"] = lambda ctx: (
        runs.append(1) or (Result.failure("once") if len(runs) == 1 else {"ok": len(runs)})
    )
    policy = {"maxAttempts": 2, "backoff": {"type": "fixed", "delay": 1_000}}
    parent, first = family(machine, retryPolicy=policy)

    machine.drain()
    machine.wait(1)
    machine.drain()

    assert status(parent) == "completed"
    assert Execution.objects.filter(parent_id=parent).count() == 2
    assert status(first.pk) == "failed"


def test_retrying_a_failed_node_by_hand_starts_a_fresh_child(machine, does):
    does["c1"] = lambda ctx: Result.failure("broken")
    parent, _ = family(machine)
    machine.drain()
    does["c1"] = lambda ctx: {"mended": True}

    retry_failed(parent, now=machine.now)
    machine.drain()

    assert status(parent) == "completed"


def test_a_worker_that_dies_after_its_child_ended_does_not_start_another(machine):
    parent, _ = family(machine)
    assert machine.step() == ["c1"]
    assert machine.step() == ["c2"]
    resumed = machine.claim_one()
    assert resumed.node_id == "s"

    settle([machine.finish(resumed, Lost())], now=machine.now)
    machine.drain()

    assert status(parent) == "completed"
    assert Execution.objects.filter(parent_id=parent).count() == 1


def test_a_lost_claim_starts_no_child(machine):
    machine.publish({"c1": []}, id="child")
    publish_parent(machine)
    parent = machine.start(workflow="parent")
    machine.step()
    late = machine.run(machine.claim())
    cancel(parent, now=machine.now)

    settlement = machine.settle(late)

    assert [claim.node_id for claim in settlement.lost] == ["s"]
    assert not Execution.objects.filter(parent_id=parent).exists()


def test_an_unknown_child_fails_the_node_at_once(machine):
    publish_parent(machine, child="ghost")
    parent = machine.start(workflow="parent")

    machine.drain()

    assert status(parent) == "failed"
    assert "Sub-workflow 'ghost' not found" in node_run(parent, "s").error_message


def test_a_child_that_refuses_its_input_fails_the_node(machine):
    machine.publish({"c1": []}, id="child", inputSchema={"required": ["user"]})
    publish_parent(machine)
    parent = machine.start({"x": 1}, workflow="parent")

    machine.drain()

    assert "'user' is a required property" in node_run(parent, "s").error_message
    assert status(parent) == "failed"


def test_nesting_ends_at_the_limit(machine, settings):
    settings.SPANE = {**settings.SPANE, "MAX_DEPTH": 3}
    machine.publish({"c1": []}, id="b")
    machine.publish(
        {"s": []}, id="a", types={"s": "sub-workflow"}, nodes={"s": {"config": {"workflowId": "b"}}}
    )
    # Seen only at run time: b is published again, to call a.
    raw = definition(
        {"s": []}, types={"s": "sub-workflow"}, nodes={"s": {"config": {"workflowId": "a"}}}, id="b"
    )
    publish(raw, now=machine.now, check_nodes=False)

    top = machine.start(workflow="a")
    machine.drain()

    assert status(top) == "failed"
    assert Execution.objects.count() == 4
    deepest = Execution.objects.order_by("-depth")[0]
    message = node_run(deepest.pk, "s").error_message
    assert message == "Maximum sub-workflow depth (3) exceeded (current: 3)"


def test_a_workflow_that_would_start_itself_is_refused_when_published(machine):
    machine.publish(
        {"s": []}, id="a", types={"s": "sub-workflow"}, nodes={"s": {"config": {"workflowId": "b"}}}
    )

    with pytest.raises(InvalidDefinition, match="for ever: b → a → b"):
        machine.publish(
            {"s": []},
            id="b",
            types={"s": "sub-workflow"},
            nodes={"s": {"config": {"workflowId": "a"}}},
        )


def test_cancelling_a_parent_cancels_its_children(machine, django_capture_on_commit_callbacks):
    parent, child = family(machine)

    with django_capture_on_commit_callbacks(execute=True):
        cancel(parent, now=machine.now)

    assert (status(parent), status(child.pk)) == ("cancelled", "cancelled")
    assert machine.claim() == []


def test_the_sweep_cancels_children_whose_parent_ended_when_nobody_else_did(machine):
    parent, child = family(machine)
    cancel(parent, now=machine.now)

    sweep(now=machine.now)

    assert status(child.pk) == "cancelled"


def test_an_abandoned_child_outlives_its_parent(machine, django_capture_on_commit_callbacks):
    parent, child = family(machine, onParentClose="abandon")

    with django_capture_on_commit_callbacks(execute=True):
        cancel(parent, now=machine.now)
    sweep(now=machine.now)
    machine.drain()

    assert (status(parent), status(child.pk)) == ("cancelled", "completed")


def test_children_are_paused_and_resumed_with_their_parent(
    machine, django_capture_on_commit_callbacks
):
    parent, child = family(machine)

    with django_capture_on_commit_callbacks(execute=True):
        pause(parent, now=machine.now)
    assert (status(child.pk), machine.claim()) == ("paused", [])

    with django_capture_on_commit_callbacks(execute=True):
        resume(parent, now=machine.now)
    machine.drain()
    assert (status(parent), status(child.pk)) == ("completed", "completed")


def test_a_parent_that_is_paused_alone_goes_on_after_its_child_ended(machine):
    parent, child = family(machine, onParentClose="abandon")
    pause(parent, now=machine.now)
    machine.drain()
    assert (status(child.pk), status(parent)) == ("completed", "paused")

    resume(parent, now=machine.now)
    machine.drain()

    assert status(parent) == "completed"


def test_a_child_paused_by_hand_is_not_resumed_with_its_parent(machine):
    parent, child = family(machine)
    pause(child.pk, now=machine.now, reason="look at it")

    pause(parent, now=machine.now)
    resume(parent, now=machine.now)
    sweep(now=machine.now)

    assert status(child.pk) == "paused"


def test_failing_fast_cancels_the_children_of_what_waits(machine, does):
    machine.publish({"c1": []}, id="child")
    machine.publish(
        {"a": ["s", "x"]},
        id="parent",
        types={"s": "sub-workflow"},
        nodes={"s": {"config": {"workflowId": "child"}}},
        failFast=True,
    )
    does["x"] = lambda ctx: Result.failure("boom")
    parent = machine.start(workflow="parent")
    machine.step()
    machine.step()

    assert status(parent) == "failed"
    assert Execution.objects.get(parent_id=parent).status == "cancelled"


def test_the_sweep_wakes_a_parent_whose_waker_died(machine):
    parent, child = family(machine)
    machine.step()
    last = machine.run(machine.claim())
    in_transaction(lambda: apply(last, now=machine.now))
    assert (status(child.pk), machine.claim()) == ("completed", [])

    sweep(now=machine.now)
    machine.drain()

    assert status(parent) == "completed"


def test_a_settlement_stands_even_if_what_follows_from_it_fails(machine, monkeypatch):
    parent, child = family(machine)
    machine.step()
    last = machine.run(machine.claim())

    def refuses(*_: Any, **__: Any) -> set[str]:
        raise OperationalError("the connection was lost")

    with monkeypatch.context() as patched:
        patched.setattr("spane_django.engine.followup.resume_parents", refuses)
        settlement = machine.settle(last)

    assert (settlement.lost, status(child.pk)) == ([], "completed")
    sweep(now=machine.now)
    machine.drain()
    assert status(parent) == "completed"
