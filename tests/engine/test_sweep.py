"""The sweep, heartbeats, deadlines and leases: what time alone brings about."""

from __future__ import annotations

from datetime import timedelta

import pytest

from spane_django.core.outcome import Delay
from spane_django.engine.control import cancel, pause
from spane_django.engine.sweep import due_queues, expire, next_due, recover, sweep
from spane_django.engine.workers import beat, dismiss, held_by, lead, step_down
from spane_django.models import Worker
from tests.engine.helpers import Machine, after, execution, node_run, status, statuses

pytestmark = pytest.mark.django_db

LEASE = 31  # seconds; longer than the default


def test_a_worker_that_lives_keeps_its_nodes(machine: Machine):
    key = machine.begin({"a": []})
    claims = machine.claim()
    machine.wait(25)
    machine.wait(25)

    assert recover(now=machine.now) == 0
    assert machine.settle(machine.run(claims)).lost == []
    assert status(key) == "completed"


def test_a_worker_that_is_silent_loses_all_of_its_nodes(machine: Machine):
    machine.publish({"a": []})
    keys = [machine.start() for _ in range(3)]
    machine.claim()

    assert recover(now=after(LEASE)) == 3
    assert recover(now=after(LEASE)) == 0
    assert [node_run(key, "a").status for key in keys] == ["ready"] * 3
    assert held_by(machine.id) == set()


def test_a_worker_that_was_taken_for_dead_is_told_when_it_beats_again(machine: Machine):
    assert beat(machine.id, now=after(1))

    recover(now=after(1 + LEASE))

    assert not beat(machine.id, now=after(2 + LEASE))


def test_what_a_dismissed_worker_still_holds_is_taken_back_at_once(machine: Machine):
    machine.begin({"a": []})
    machine.claim()
    dismiss(machine.id, now=after(1))

    assert recover(now=after(1)) == 1


def test_what_the_lost_worker_of_a_cancelled_execution_ran_is_left_alone(machine: Machine):
    key = machine.begin({"a": []})
    machine.claim()
    cancel(key, now=after(1))

    assert recover(now=after(LEASE)) == 0
    assert statuses(key) == {"a": "cancelled"}


def test_what_is_taken_back_in_a_paused_execution_is_held(machine: Machine):
    key = machine.begin({"a": []})
    machine.claim()
    pause(key, now=machine.now)

    recover(now=after(LEASE))

    assert (statuses(key), node_run(key, "a").is_held) == ({"a": "ready"}, True)


def test_workers_that_stopped_are_forgotten_after_a_day(machine: Machine):
    dismiss(machine.id, now=after(0))

    recover(now=after(86_000))
    assert Worker.objects.count() == 1
    recover(now=after(87_000))
    assert Worker.objects.count() == 0


@pytest.mark.parametrize("moment", ["ready", "running", "waiting", "paused", "pending"])
def test_an_execution_past_its_deadline_ends_failed_wherever_it_is(machine: Machine, does, moment):
    does["a"] = lambda ctx: Delay(after(60))
    machine.publish({"a": ["b"]}, timeout=10_000)
    key = machine.start(start_at=after(3_000) if moment == "pending" else None)
    claims = machine.claim() if moment == "running" else []
    if moment == "waiting":
        machine.step()
    if moment == "paused":
        pause(key, now=machine.now)

    deadline = execution(key).deadline_at
    before = expire(now=deadline - timedelta(seconds=0.1))
    machine.now = deadline

    assert (before, expire(now=machine.now)) == (0, 1)
    row = execution(key)
    assert (row.status, row.active_nodes) == ("failed", 0)
    assert "the deadline of" in row.reason
    assert set(statuses(key).values()) <= {"cancelled"}
    assert machine.settle(machine.run(claims)).lost == claims


def test_an_execution_within_its_deadline_goes_on(machine: Machine):
    key = machine.begin({"a": []}, timeout=10_000)

    assert expire(now=after(9.999)) == 0
    machine.now = after(9.999)
    machine.drain()
    assert expire(now=after(20)) == 0
    assert status(key) == "completed"


def test_a_sweep_does_all_of_it_and_names_the_queues_with_work(machine: Machine):
    machine.publish({"a": []})
    machine.publish({"a": []}, id="late", timeout=5_000)
    machine.publish({"a": []}, id="other", queue="special")
    machine.start()
    machine.claim()
    machine.start(start_at=after(20))
    machine.start(workflow="late")
    machine.start(workflow="other")

    swept = sweep(now=after(LEASE))

    assert (swept.recovered, swept.promoted, swept.expired) == (1, 1, 1)
    assert swept.queues == {"spane", "special"}


def test_a_sweep_of_nothing_finds_nothing(db):
    swept = sweep(now=after(0))

    assert (swept.recovered, swept.promoted, swept.expired, swept.queues) == (0, 0, 0, set())


def test_queues_are_due_when_something_may_be_claimed(machine: Machine, does):
    does["a"] = lambda ctx: Delay(after(30))
    key = machine.begin({"a": []})
    machine.step()

    assert (due_queues(now=after(29)), due_queues(now=after(30))) == (set(), {"spane"})
    pause(key, now=after(1))
    assert due_queues(now=after(30)) == set()


def test_the_next_timer_is_a_nodes_or_a_delayed_starts(machine: Machine, does):
    does["a"] = lambda ctx: Delay(after(30))
    assert next_due("spane", now=after(0)) is None
    machine.begin({"a": []})
    machine.step()

    assert next_due("spane", now=after(0)) == after(30)
    assert next_due("other", now=after(0)) is None
    machine.start(start_at=after(20))
    assert next_due("spane", now=after(0)) == next_due("other", now=after(0)) == after(20)


def test_a_role_is_held_by_one_until_its_lease_runs_out(db):
    minute = timedelta(minutes=1)

    assert lead("sweep", "one", now=after(0), duration=minute)
    assert not lead("sweep", "two", now=after(59), duration=minute)
    assert lead("sweep", "one", now=after(59), duration=minute)
    assert not lead("sweep", "two", now=after(61), duration=minute)
    assert lead("sweep", "two", now=after(119), duration=minute)
    assert not lead("sweep", "one", now=after(120), duration=minute)


def test_a_role_that_is_given_up_is_free_at_once(db):
    lead("sweep", "one", now=after(0), duration=timedelta(hours=1))

    step_down("sweep", "two", now=after(1))
    assert not lead("sweep", "two", now=after(1), duration=timedelta(hours=1))
    step_down("sweep", "one", now=after(1))
    assert lead("sweep", "two", now=after(1), duration=timedelta(hours=1))
