"""Pruning: what finished long enough ago goes, with everything that belongs to it."""

from __future__ import annotations

from uuid import UUID

import pytest

from spane_django.core.outcome import Child, StartChildren
from spane_django.core.statuses import ExecutionStatus
from spane_django.engine.control import cancel, pause
from spane_django.engine.prune import outlived, prunable, prune, prune_signals, size
from spane_django.engine.retry import replay
from spane_django.models import (
    Approval,
    Attempt,
    AuditEntry,
    DeadLetter,
    Execution,
    LogLine,
    NodeRun,
    Signal,
)
from tests.engine.helpers import Machine, after, execution
from tests.engine.statements import counted

pytestmark = pytest.mark.django_db

FINAL = [status for status in ExecutionStatus if status.is_final]
DAY = 86_400


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


def test_children_go_with_their_execution_in_bounded_batches(machine: Machine, does):
    parent = fanned_out(machine, does, 7)
    machine.now = after(100)
    other = machine.start()

    numbers = list(prune(prunable(before=after(50), statuses=FINAL), batch=3))

    assert numbers == [3, 3, 1, 1]
    assert sum(numbers) == 8
    assert set(Execution.objects.values_list("pk", flat=True)) == {other}
    assert parent != other


def test_a_child_is_kept_as_long_as_its_parent(machine: Machine, does):
    fanned_out(machine, does, 2)
    Execution.objects.filter(parent=None).update(finished_at=after(100))

    assert list(prune(prunable(before=after(50), statuses=FINAL))) == []
    assert Execution.objects.count() == 3


def test_an_execution_stays_while_something_below_it_is_unfinished(machine: Machine, does):
    parent = fanned_out(machine, does, 2)
    fanned_out(machine, does, 1)
    child = Execution.objects.filter(parent_id=parent).latest("id")
    grandchild = machine.start(workflow="child")
    Execution.objects.filter(pk=grandchild).update(parent_id=child.pk)

    numbers = list(prune(prunable(before=after(50), statuses=FINAL)))

    assert sum(numbers) == 2
    assert set(Execution.objects.values_list("pk", flat=True)) >= {parent, child.pk, grandchild}
    assert Execution.objects.filter(parent_id=parent).count() == 2


def test_one_execution_that_must_stay_does_not_keep_the_younger_ones(machine: Machine, does):
    fanned_out(machine, does, 1)
    Execution.objects.exclude(parent=None).update(status="running", finished_at=None)
    machine.now = after(1)
    machine.start(workflow="child")
    machine.drain()

    assert list(prune(prunable(before=after(50), statuses=FINAL), batch=1)) == [1]


def test_a_transaction_is_bounded_by_node_runs_too(machine: Machine, monkeypatch):
    monkeypatch.setattr("spane_django.engine.prune.MOST_RUNS", 5)
    machine.publish({"a": ["b"], "b": []})
    for _ in range(5):
        machine.start()
    machine.drain()

    assert list(prune(prunable(before=after(50), statuses=FINAL))) == [2, 2, 1]


def test_how_many_would_go_counts_what_they_started(machine: Machine, does):
    fanned_out(machine, does, 3)

    assert size(prunable(before=after(50), statuses=FINAL)) == 4


def test_by_default_everything_is_kept_for_ever(machine: Machine):
    machine.begin({"a": []})
    machine.drain()

    assert outlived(now=after(10**9)).count() == 0


def test_the_settings_say_how_long_each_status_is_kept(machine: Machine, does, settings):
    settings.SPANE = {**settings.SPANE, "KEEP_DAYS": {"completed": 1, "failed": 2.5}}

    def fail(ctx):
        raise ValueError("boom")

    completed = machine.begin({"a": []})
    does["f"] = fail
    failed = machine.begin({"f": []}, id="failing", nodes={"f": {"retries": 0}})
    machine.drain()

    def gone(days: float) -> set:
        return set(outlived(now=after(days * DAY + 1)).values_list("pk", flat=True))

    assert [gone(0.9), gone(1), gone(2.4)] == [set(), {completed}, {completed}]
    assert gone(2.5) == {completed, failed}


def test_a_workflow_says_itself_how_long_its_executions_are_kept(machine: Machine, settings):
    settings.SPANE = {**settings.SPANE, "KEEP_DAYS": {"completed": 1}}
    usual = machine.begin({"a": []})
    shorter = machine.begin({"a": []}, id="shorter", keepDays={"completed": 0.5})
    for_ever = machine.begin({"a": []}, id="forever", keepDays={"completed": None})
    of_failures = machine.begin({"a": []}, id="failures", keepDays={"failed": 9})
    machine.drain()

    def gone(days: float, **narrowed: str) -> set:
        found = outlived(now=after(days * DAY + 1), **narrowed)
        return set(found.values_list("pk", flat=True))

    assert gone(0.6) == {shorter}
    assert gone(400) == {usual, shorter, of_failures}
    assert gone(400, workflow="w") == {usual}
    assert Execution.objects.filter(pk=for_ever).exists()


def test_the_keep_of_the_current_version_holds_for_executions_of_earlier_ones(machine: Machine):
    old = machine.begin({"a": []})
    machine.drain()
    machine.publish({"a": []}, keepDays={"completed": 1})

    assert set(outlived(now=after(2 * DAY)).values_list("pk", flat=True)) == {old}


def test_signals_that_nobody_took_go_when_they_have_expired(machine: Machine):
    for name, expires in (("old", after(10)), ("young", after(100))):
        Signal.objects.create(name=name, created_at=after(0), expires_at=expires)

    numbers = list(prune_signals(now=after(50)))

    assert numbers == [1]
    assert [signal.name for signal in Signal.objects.all()] == ["young"]


def test_audit_entries_stay(machine: Machine):
    key = machine.begin({"a": []})
    pause(key, now=machine.now)
    cancel(key, now=machine.now)

    list(prune(prunable(before=after(50), statuses=FINAL)))

    verbs = AuditEntry.objects.filter(execution_id=key).values_list("verb", flat=True)
    assert set(verbs) == {"pause", "cancel"}
    assert not Execution.objects.exists()


def test_pruning_knows_everything_that_refers_to_executions_and_their_nodes():
    """A table that refers to them and is not deleted with them would make pruning fail."""
    referring = {
        (relation.related_model.__name__, relation.field.name)
        for model in (Execution, NodeRun, Approval)
        for relation in model._meta.related_objects
    }

    assert referring == {
        ("Approval", "execution"), ("Approval", "node_run"), ("ApprovalDecision", "approval"),
        ("Attempt", "node_run"), ("DeadLetter", "execution"), ("DeadLetter", "node_run"),
        ("Execution", "parent"), ("Execution", "parent_run"), ("Execution", "replay_of"),
        ("LogLine", "execution"), ("NodeRun", "execution"), ("Payload", "execution"),
        ("Signal", "node_run"),
    }  # fmt: skip


def test_pruning_reads_no_rows_of_what_it_deletes(machine: Machine):
    machine.publish({"a": ["b"], "b": []})
    for _ in range(20):
        machine.start()
    machine.drain()

    with counted() as statements:
        list(prune(prunable(before=after(50), statuses=FINAL)))

    read = [text for text in statements if text.lstrip().upper().startswith("SELECT")]
    assert not any('"output"' in text or '"message"' in text for text in read)
    assert len(statements) < 30


def fanned_out(machine: Machine, does, count: int) -> UUID:
    """Return a completed execution with so many completed children."""

    def ask(ctx):
        if ctx.checkpoint is None:
            children = [Child(workflow="child", item=item) for item in range(count)]
            return StartChildren(children=children, checkpoint=1)
        return None

    does["ask"] = ask
    machine.publish({"a": []}, id="child")
    key = machine.begin({"ask": []})
    machine.drain()
    assert Execution.objects.filter(parent_id=key, status="completed").count() == count
    return key
