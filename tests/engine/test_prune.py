"""Pruning: what finished long enough ago goes, with everything that belongs to it."""

from __future__ import annotations

import pytest

from spane_django.core.statuses import ExecutionStatus
from spane_django.engine.prune import prunable, prune
from spane_django.engine.retry import replay
from spane_django.models import Attempt, DeadLetter, Execution, LogLine, NodeRun
from tests.engine.helpers import Machine, after, execution

pytestmark = pytest.mark.django_db

FINAL = [status for status in ExecutionStatus if status.is_final]


def test_everything_that_belongs_to_an_old_execution_goes_and_nothing_else(machine: Machine, does):
    def fail(ctx):
        ctx.log.info("trying")
        raise ValueError("boom")

    does["a"] = fail
    machine.publish({"a": ["b"]}, nodes={"a": {"retries": 0}})
    old = machine.start()
    machine.drain()
    machine.now = after(100)
    young = machine.start()
    machine.drain()
    running = machine.start()

    pruned = list(prune(prunable(before=after(50), statuses=FINAL)))

    assert pruned == [1]
    assert not Execution.objects.filter(pk=old).exists()
    for model in (NodeRun, DeadLetter, LogLine):
        assert set(model.objects.values_list("execution_id", flat=True)) <= {young, running}
    assert Attempt.objects.get().node_run.execution_id == young


def test_only_what_ended_with_a_given_status_goes(machine: Machine):
    machine.begin({"a": []})
    machine.drain()

    failed_only = prunable(before=after(9), statuses=[ExecutionStatus.FAILED])
    completed = prunable(before=after(9), statuses=[ExecutionStatus.COMPLETED])

    assert (failed_only.count(), completed.count()) == (0, 1)


def test_only_the_executions_of_a_workflow_go_if_it_is_named(machine: Machine):
    machine.begin({"a": []})
    machine.begin({"a": []}, id="other")
    machine.drain()

    found = prunable(before=after(9), statuses=FINAL, workflow="other")

    assert [row.workflow.key for row in found] == ["other"]


def test_what_has_not_ended_cannot_be_pruned(db):
    with pytest.raises(ValueError, match="only finished executions can be pruned, not running"):
        prunable(before=after(0), statuses=[ExecutionStatus.RUNNING, ExecutionStatus.FAILED])


def test_a_backlog_goes_in_batches_oldest_first(machine: Machine):
    machine.publish({"a": []})
    keys = []
    for second in range(5):
        machine.now = after(second)
        keys.append(machine.start())
        machine.drain()

    batches = prune(prunable(before=after(99), statuses=FINAL), batch=2)

    assert next(batches) == 2
    assert set(Execution.objects.values_list("pk", flat=True)) == set(keys[2:])
    assert list(batches) == [2, 1]


def test_a_replay_survives_its_original(machine: Machine):
    first = machine.begin({"a": []})
    machine.drain()
    machine.now = after(100)
    second = replay(first, now=machine.now).pk

    list(prune(prunable(before=after(50), statuses=FINAL)))

    assert execution(second).replay_of is None
