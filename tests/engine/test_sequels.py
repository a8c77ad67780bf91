"""What follows the end of an execution: error handlers, what runs finally, compensation."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from spane_django.core.outcome import Result
from spane_django.engine.control import cancel
from spane_django.engine.db import in_transaction
from spane_django.engine.rerun import From, In, Rerun, rerun_from
from spane_django.engine.retry import retry_failed
from spane_django.engine.sequels import AlreadyUndone
from spane_django.engine.settle import apply
from spane_django.models import Execution, LogLine
from tests.engine.helpers import Machine, execution, status

pytestmark = pytest.mark.django_db

CALL = {"type": "call"}


def sequels(key: UUID) -> list[Execution]:
    return list(Execution.objects.filter(parent_id=key, parent_run=None).order_by("id"))


def run(machine: Machine, edges: Any, data: Any = None, **more: Any) -> UUID:
    key = machine.begin(edges, data, **more)
    machine.drain()
    return key


def broken(ctx: Any) -> Any:
    return Result.failure("broken")


def test_an_execution_that_fails_starts_its_error_handler(machine, does):
    machine.publish({"tell": []}, id="alert")
    does["a"] = broken

    key = run(machine, {"a": []}, {"order": 7}, onError={"workflowId": "alert"})

    (handler,) = sequels(key)
    assert (handler.relation, handler.status) == ("error_handler", "completed")
    assert handler.workflow.key == "alert"
    assert handler.input == {
        "executionId": str(key),
        "workflowId": "w",
        "status": "failed",
        "reason": "",
        "input": {"order": 7},
        "output": None,
        "errors": [{"nodeId": "a", "type": "Failure", "message": "broken"}],
    }


def test_an_execution_that_completes_starts_no_error_handler(machine):
    machine.publish({"tell": []}, id="alert")

    key = run(machine, {"a": []}, onError={"workflowId": "alert"})

    assert (status(key), sequels(key)) == ("completed", [])


def test_an_error_handler_that_fails_does_not_call_itself(machine, does):
    does["a"] = broken

    key = run(machine, {"a": []}, onError={"workflowId": "w"})

    assert Execution.objects.count() == 2
    assert status(key) == "failed"


def test_a_missing_error_handler_is_told_in_the_log_and_harms_nothing(machine, does):
    does["a"] = broken

    key = run(machine, {"a": []}, onError={"workflowId": "ghost"})

    assert status(key) == "failed"
    (line,) = LogLine.objects.filter(execution_id=key)
    assert "the error handler was not started: Workflow 'ghost' not found" in line.message


@pytest.mark.parametrize(("end", "expected"), [(None, "completed"), (broken, "failed")])
def test_what_runs_finally_runs_however_an_execution_ends(machine, does, end, expected):
    seen = []
    does["finally"] = lambda ctx: seen.append(ctx.input["status"])
    if end:
        does["a"] = end

    key = run(machine, {"a": ["b"]}, **{"finally": CALL})

    assert (status(key), seen) == (expected, [expected])


def test_what_runs_finally_runs_after_a_cancel_too(machine, does):
    seen = []
    does["finally"] = lambda ctx: seen.append(ctx.input["status"])
    key = machine.begin({"a": []}, **{"finally": CALL})

    cancel(key, now=machine.now)
    machine.drain()

    assert seen == ["cancelled"]


def test_a_failed_execution_is_undone_in_reverse_order(machine, does):
    undone = []

    def undo(ctx: Any) -> None:
        undone.append((ctx.node_id, ctx.input["output"]))

    does["book"] = lambda ctx: undo(ctx) if "output" in (ctx.input or {}) else {"booked": 1}
    does["charge"] = lambda ctx: undo(ctx) if "output" in ctx.input else {"charged": 2}
    does["ship"] = broken
    nodes = {"book": {"undo": CALL}, "charge": {"undo": CALL}, "ship": {"undo": CALL}}

    key = run(machine, {"book": ["charge"], "charge": ["ship"]}, nodes=nodes)

    assert undone == [("charge", {"charged": 2}), ("book", {"booked": 1})]
    (compensation,) = sequels(key)
    assert (compensation.relation, compensation.status) == ("compensation", "completed")
    assert compensation.output["undone"] == ["charge", "book"]


def test_an_execution_that_completes_is_not_undone(machine):
    key = run(machine, {"a": []}, nodes={"a": {"undo": CALL}})

    assert (status(key), sequels(key)) == ("completed", [])


def test_an_undo_that_fails_stops_the_compensation_where_it_can_be_retried(machine, does):
    does["b"] = broken
    does["a"] = lambda ctx: broken(ctx) if ctx.input else {"done": 1}
    key = run(machine, {"a": ["b"]}, nodes={"a": {"undo": CALL}}, **{"finally": CALL})
    (compensation,) = sequels(key)
    assert compensation.status == "failed"

    does["a"] = lambda ctx: {"undone": True}
    retry_failed(compensation.pk, now=machine.now)
    machine.drain()

    assert status(compensation.pk) == "completed"


def test_what_runs_finally_runs_after_a_compensation(machine, does):
    order = []
    does["a"] = lambda ctx: order.append("undo") if ctx.input else {"done": 1}
    does["b"] = broken
    does["finally"] = lambda ctx: order.append("finally")

    run(machine, {"a": ["b"]}, nodes={"a": {"undo": CALL}}, **{"finally": CALL})

    assert order == ["undo", "finally"]


def test_what_has_been_undone_is_not_retried(machine, does):
    does["b"] = broken
    key = run(machine, {"a": ["b"]}, nodes={"a": {"undo": CALL}})

    with pytest.raises(AlreadyUndone, match="replay it"):
        retry_failed(key, now=machine.now)

    assert status(key) == "failed"


def test_the_latest_version_takes_over_nothing_that_has_been_undone(machine, does):
    does["b"] = broken
    nodes = {"a": {"undo": CALL}}
    key = run(machine, {"a": ["b"]}, nodes=nodes)
    machine.publish({"a": ["b"], "b": ["c"]}, nodes=nodes)
    does["b"] = lambda ctx: {}

    with pytest.raises(AlreadyUndone):
        rerun_from(key, Rerun(version=In.LATEST), now=machine.now)
    anew = rerun_from(key, Rerun(version=In.LATEST, start=From.START), now=machine.now)
    machine.drain()

    assert status(anew.pk) == "completed"


def test_sequels_are_committed_with_the_end_or_not_at_all(machine, does):
    does["a"] = broken
    key = machine.begin(
        {"a": []}, nodes={"a": {"retryPolicy": {"maxAttempts": 1}}}, **{"finally": CALL}
    )
    finished = machine.run(machine.claim())

    class Died(Exception):
        pass

    def dies() -> None:
        apply(finished, now=machine.now)
        raise Died

    with pytest.raises(Died):
        in_transaction(dies)

    assert (status(key), sequels(key)) == ("running", [])
    machine.settle(finished)
    assert len(sequels(key)) == 1
    assert execution(key).status == "failed"
