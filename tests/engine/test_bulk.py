"""One verb for many executions: counted first, done in steps, whoever dies on the way."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from spane_django.core.errors import InvalidInput
from spane_django.engine import bulk
from spane_django.engine.bulk import advance, advance_abandoned, begin, plan
from spane_django.engine.bulk_verbs import VERBS
from spane_django.engine.control import cancel, pause
from spane_django.engine.start import start_many
from spane_django.engine.sweep import sweep
from spane_django.models import AuditEntry, BulkOperation, Execution
from tests.engine.helpers import Machine, status, statuses
from tests.engine.threads import DEADLINE, elsewhere

pytestmark = pytest.mark.django_db(transaction=True)

ONCE = {"a": {"config": {"retries": 0}}}
W = {"workflow": "w"}


def fail(ctx):
    raise ValueError("boom")


def many(machine: Machine, count: int, **more) -> list:
    machine.publish({"a": []}, **more)
    return start_many(more.get("id", "w"), [None] * count, now=machine.now)


def drive(machine: Machine, operation: BulkOperation, limit: int = 2) -> BulkOperation:
    while operation.finished_at is None:
        operation = advance(operation.pk, now=machine.now, limit=limit)
    return operation


def done(operation: BulkOperation) -> tuple[int, int, int]:
    return operation.total, operation.changed, operation.refused


def test_a_plan_counts_and_changes_nothing(machine: Machine):
    keys = many(machine, 5)
    many(machine, 2, id="other")
    pause(keys[0], now=machine.now)

    counted = {verb: plan(verb, W) for verb in ("pause", "resume", "cancel", "replay", "retry")}

    assert counted == {"pause": 4, "resume": 1, "cancel": 5, "replay": 0, "retry": 0}
    assert plan("cancel", {"all": True}) == 7
    assert plan("cancel", {"ids": [str(keys[1]), str(keys[1]).upper()]}) == 1
    assert {status(key) for key in keys[1:]} == {"running"}
    assert not BulkOperation.objects.exists()


def test_an_operation_is_done_step_by_step(machine: Machine):
    ada = User.objects.create(username="ada")
    keys = many(machine, 5)

    operation = begin("cancel", W, now=machine.now, by=ada, reason="wrong batch")
    seen = []
    while operation.finished_at is None:
        operation = advance(operation.pk, now=machine.now, limit=2)
        seen.append(operation.changed)

    assert seen == [2, 4, 5]
    assert done(operation) == (5, 5, 0)
    assert {status(key) for key in keys} == {"cancelled"}
    entries = AuditEntry.objects.filter(verb="cancel", user=ada, reason="wrong batch")
    assert sorted(entry.execution_id for entry in entries) == sorted(keys)
    told = AuditEntry.objects.get(verb="bulk")
    assert (told.target, told.after["total"]) == ("cancel", 5)
    assert advance(operation.pk, now=machine.now).changed == 5


def test_what_a_replay_starts_is_not_replayed(machine: Machine):
    many(machine, 5)
    machine.drain()

    operation = drive(machine, begin("replay", W, now=machine.now))
    machine.drain()

    assert done(operation) == (5, 5, 0)
    assert Execution.objects.count() == 10
    assert Execution.objects.exclude(replay_of=None).values("replay_of").distinct().count() == 5


def test_a_refusal_is_counted_and_told_and_holds_up_nobody(machine: Machine):
    keys = many(machine, 3)
    cancel(keys[1], now=machine.now)
    nobody = uuid4()

    given = {"ids": [str(key) for key in (*keys, nobody)]}
    operation = drive(machine, begin("pause", given, now=machine.now))

    assert done(operation) == (4, 2, 2)
    assert operation.refusals == {
        str(keys[1]): "cannot be paused: it is cancelled",
        str(nobody): f"there is no execution {nobody}",
    }
    assert [status(key) for key in keys] == ["paused", "cancelled", "paused"]


def test_of_very_many_refusals_the_first_are_kept_and_all_are_counted(
    machine: Machine, monkeypatch
):
    monkeypatch.setattr(bulk, "REFUSALS_KEPT", 2)
    keys = many(machine, 5)

    given = {"ids": [str(key) for key in keys]}
    operation = drive(machine, begin("resume", given, now=machine.now))

    assert (done(operation), len(operation.refusals)) == ((5, 0, 5), 2)


def test_a_process_that_dies_in_a_step_loses_and_doubles_nothing(machine: Machine, monkeypatch):
    many(machine, 5)
    machine.drain()
    operation = begin("replay", W, now=machine.now)
    advance(operation.pk, now=machine.now, limit=2)

    def die(*_args, **_kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(BulkOperation, "save", die)
        with pytest.raises(KeyboardInterrupt):
            advance(operation.pk, now=machine.now, limit=2)
    assert Execution.objects.count() == 7

    again = drive(machine, bulk.find_operation(operation.pk))

    assert done(again) == (5, 5, 0)
    assert Execution.objects.exclude(replay_of=None).values("replay_of").distinct().count() == 5


def test_what_changed_since_the_count_is_left_out(machine: Machine):
    keys = many(machine, 4)
    operation = begin("pause", W, now=machine.now)
    cancel(keys[3], now=machine.now)

    operation = drive(machine, operation)

    assert done(operation) == (4, 3, 0)


def test_executions_that_come_later_are_not_concerned(machine: Machine):
    many(machine, 3)
    operation = begin("cancel", W, now=machine.now)
    later = start_many("w", [None], now=machine.now)

    operation = drive(machine, operation)

    assert (done(operation), status(later[0])) == ((3, 3, 0), "running")


def test_nothing_chosen_is_done_at_once(machine: Machine):
    many(machine, 1)

    operation = begin("replay", W, now=machine.now)

    assert (operation.total, operation.finished_at) == (0, machine.now)


def test_two_that_advance_at_once_do_each_execution_once(machine: Machine):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer")
    many(machine, 8)
    machine.drain()
    operation = begin("replay", W, now=machine.now)

    with elsewhere() as there, transaction.atomic():
        advance_once = lambda: advance(operation.pk, now=machine.now, limit=3)  # noqa: E731
        BulkOperation.objects.select_for_update().get(pk=operation.pk)
        idle = there(advance_once).result(DEADLINE)
    assert idle.changed == 0

    with elsewhere() as there:
        for _ in range(6):
            both = [there(advance_once), there(advance_once)]
            for one in both:
                one.result(DEADLINE)

    assert done(bulk.find_operation(operation.pk)) == (8, 8, 0)
    assert Execution.objects.count() == 16


def test_the_sweep_goes_on_with_what_nobody_drives(machine: Machine, monkeypatch):
    monkeypatch.setattr(bulk, "ROWS_PER_STEP", 2)
    keys = many(machine, 5)
    operation = begin("cancel", W, now=machine.now)
    advance(operation.pk, now=machine.now, limit=1)

    assert advance_abandoned(now=machine.now) == 0
    machine.wait(61)
    sweep(now=machine.now)

    assert {status(key) for key in keys} == {"cancelled"}
    assert done(bulk.find_operation(operation.pk)) == (5, 5, 0)


def test_what_nobody_ever_drove_is_found_at_once(machine: Machine):
    many(machine, 3)
    begin("cancel", W, now=machine.now)

    assert advance_abandoned(now=machine.now) == 3
    assert advance_abandoned(now=machine.now) == 0


def test_filters_choose_what_they_say(machine: Machine, does):
    does["a"] = fail
    old = many(machine, 2, nodes=ONCE)
    machine.drain()
    machine.wait(3_600)
    does.clear()
    new = many(machine, 3, nodes=ONCE)
    other = many(machine, 1, id="other")
    child = Execution.objects.filter(pk=new[0])
    child.update(parent=other[0])
    later = (machine.now - timedelta(minutes=1)).isoformat()

    def count(**selection) -> int:
        return plan("cancel" if "failed" not in selection.get("status", ()) else "retry", selection)

    assert count(workflow="w") == 2
    assert count(workflow="w", version=1) == 2
    assert count(status=["running"]) == 3
    assert count(status=["failed"], node="a", errorType="ValueError") == len(old)
    assert count(status=["failed"], errorType="KeyError") == 0
    assert count(createdSince=later) == 3
    assert plan("retry", {"createdUntil": later}) == 2
    assert count(parent=str(other[0])) == 1
    assert count(idempotencyKey="none") == 0


def test_every_fault_of_a_wish_is_listed(machine: Machine):
    with pytest.raises(InvalidInput) as refused:
        plan(
            "skip",
            {"workflow": "nobody", "status": ["lost"], "createdSince": "now", "colour": 1},
            {"node": "a"},
        )
    paths = [fault.path for fault in refused.value.faults]
    assert sorted(paths) == sorted(
        [
            "arguments", "arguments", "selection", "selection.status[0]",
            "selection.createdSince", "selection.workflow",
        ]
    )  # fmt: skip

    for verb, selection, arguments, path in (
        ("explode", W, None, "verb"),
        ("pause", {}, None, "selection"),
        ("pause", {"ids": []}, None, "selection.ids"),
        ("pause", {"ids": ["x"]}, None, "selection.ids[0]"),
        ("pause", {"ids": [str(uuid4())], "all": True}, None, "selection.ids"),
        ("pause", {"all": True, "key": "k"}, None, "selection.all"),
        ("rerun", {"all": True}, {"from": "failed", "input": 1}, "input"),
        ("reassign", {"all": True}, {}, ""),
    ):
        with pytest.raises(InvalidInput) as refused:
            begin(verb, selection, arguments, now=machine.now)
        assert refused.value.faults[0].path == path
    assert not BulkOperation.objects.exists()


WISHES = {
    "pause": {}, "resume": {}, "cancel": {}, "replay": {}, "retry": {},
    "retry-letters": {"node": "a"}, "discard-letters": {},
    "retry-now": {"nodeId": "a"}, "skip": {"nodeId": "a"},
    "complete": {"nodeId": "a", "output": {"n": 1}, "nextNodes": []},
    "reassign": {"priority": 9, "nodeId": "a"}, "rerun": {"nodeId": "a", "output": 2},
}  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_works_in_bulk(machine: Machine, does, verb):
    does["a"] = fail
    retries = 3 if verb in ("retry-now", "reassign") else 0
    keys = many(machine, 3, nodes={"a": {"config": {"retries": retries}}})
    if verb not in ("pause", "resume", "cancel"):
        machine.step()
    if verb == "resume":
        for key in keys:
            pause(key, now=machine.now)

    operation = drive(machine, begin(verb, W, WISHES[verb], now=machine.now))

    assert done(operation) == (3, 3, 0), operation.refusals
    if verb == "complete":
        assert [statuses(key) for key in keys] == [{"a": "completed"}] * 3
