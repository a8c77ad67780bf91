"""The scheduler's turns: what is due happens, one leads, and nothing that fails ends it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.conf import settings as django_settings
from django.db import connection
from pytest_django import DjangoAssertNumQueries, Settings

from spane_django.dispatch.scheduler import TURN_SECONDS, Scheduler
from spane_django.engine.claim import Want, claim
from spane_django.engine.publish import publish
from spane_django.engine.start import StartOptions, start
from spane_django.engine.workers import beat, enlist
from spane_django.models import Execution, Lease, NodeRun
from tests.management.project import LINE

pytestmark = pytest.mark.django_db(transaction=True)

ENGINE = django_settings.DATABASES["default"]["ENGINE"]
LONG_AGO = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture(autouse=True)
def _published(wakes: list[str]) -> None:
    publish(LINE, now=LONG_AGO)


def test_a_delayed_start_that_is_due_starts_and_its_queue_is_woken(wakes: list[str]) -> None:
    due = LONG_AGO + timedelta(minutes=1)
    execution = start("line", now=LONG_AGO, options=StartOptions(start_at=due))
    assert execution.status == "pending"

    _scheduler([]).turn()

    execution.refresh_from_db()
    assert execution.status == "running"
    assert wakes == ["spane"]


def test_an_execution_past_its_deadline_is_ended() -> None:
    execution = start("line", now=LONG_AGO, options=StartOptions(timeout=timedelta(minutes=1)))

    _scheduler([]).turn()

    execution.refresh_from_db()
    assert execution.status == "failed"
    assert "deadline" in execution.reason


def test_a_queue_with_ready_nodes_is_woken_on_every_turn() -> None:
    start("line", now=LONG_AGO)
    woken: list[str] = []
    scheduler = _scheduler(woken)

    scheduler.turn()
    scheduler.turn()

    assert woken == ["spane", "spane"]


def test_nodes_of_a_worker_that_is_gone_are_taken_back() -> None:
    start("line", now=LONG_AGO)
    worker = enlist("a-worker", "spane", pid=1, now=LONG_AGO)
    (claimed,) = claim(Want(worker_id=worker, queue="spane", room=5), now=LONG_AGO)

    _scheduler([]).turn()

    run = NodeRun.objects.get(pk=claimed.id)
    assert (run.status, run.losses) == ("ready", 1)
    assert not beat(worker, now=datetime.now(UTC))


def test_more_due_starts_than_a_batch_are_started_without_a_rest(settings: Settings) -> None:
    settings.SPANE = {**settings.SPANE, "BATCH": 2}
    due = StartOptions(start_at=LONG_AGO + timedelta(minutes=1))
    for _ in range(3):
        start("line", now=LONG_AGO, options=due)
    scheduler = _scheduler([])

    rests = [scheduler.turn(), scheduler.turn()]

    assert rests[0] == 0
    assert rests[1] >= TURN_SECONDS
    assert not Execution.objects.filter(status="pending").exists()


def test_a_leader_rests_no_longer_than_until_the_next_sweep_however_dear_its_turn_was(
    settings: Settings,
) -> None:
    settings.SPANE = {**settings.SPANE, "SWEEP_SECONDS": 1.2}

    def dear(now: datetime) -> bool:
        time.sleep(0.2)
        return False

    assert Scheduler(duties=[dear], wake=_nobody).turn() == 1.2


def test_a_leader_is_missed_before_workers_are(settings: Settings) -> None:
    settings.SPANE = {**settings.SPANE, "LEASE_SECONDS": 6.0, "HEARTBEAT_SECONDS": 1.0}

    Scheduler(wake=_nobody).turn()

    lease = Lease.objects.get()
    assert lease.expires_at - lease.renewed_at == timedelta(seconds=3)


def test_one_of_two_leads_and_the_other_does_nothing() -> None:
    woken: list[str] = []
    first = _scheduler([])
    second = _scheduler(woken)
    first.turn()
    start("line", now=LONG_AGO)

    second.turn()

    assert (first.leads, second.leads) == (True, False)
    assert woken == []


def test_a_leader_that_ends_lets_the_other_lead_at_once() -> None:
    first, second = _scheduler([]), _scheduler([])
    first.turn()
    second.turn()

    first.close()
    second.turn()

    assert (first.leads, second.leads) == (False, True)


def test_a_leader_that_was_silent_for_longer_than_its_lease_finds_another_leading() -> None:
    changes: list[bool] = []
    first = Scheduler(wake=_nobody, on_change=changes.append, lease=timedelta(microseconds=1))
    second = _scheduler([])
    first.turn()

    second.turn()
    first.turn()

    assert changes == [True, False]
    assert Lease.objects.get().holder == second.holder


@pytest.mark.skipif("sqlite" not in ENGINE, reason="locks SQLite's file")
def test_a_database_that_is_away_is_waited_for_longer_each_time() -> None:
    scheduler = _scheduler([])
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    rests = []
    for _ in range(5):
        connection.cursor().execute("PRAGMA busy_timeout = 0")
        rests.append(scheduler.turn())
    other.execute("ROLLBACK")
    other.close()
    after = scheduler.turn()

    assert rests == [1, 2, 4, 5, 5]
    assert after == TURN_SECONDS
    assert scheduler.leads


def test_a_duty_that_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    done: list[datetime] = []

    def fail(now: datetime) -> bool:
        raise ValueError("a bad cron entry")

    def note(now: datetime) -> bool:
        done.append(now)
        return False

    scheduler = Scheduler(duties=[fail, note], wake=_nobody)

    rest = scheduler.turn()

    assert rest >= TURN_SECONDS
    assert len(done) == 1
    assert "a bad cron entry" in caplog.text


class Clock:
    """A duty that wants to be done every tenth of a second, and ends the scheduler in the end."""

    def __init__(self, fails: type[Exception] | None = None) -> None:
        self.done: list[datetime] = []
        self._fails = fails

    def __call__(self, now: datetime) -> bool:
        self.done.append(now)
        if len(self.done) == 6:
            raise KeyboardInterrupt
        if self._fails is not None and len(self.done) == 3:
            raise self._fails("away for a moment")
        return False

    def wait(self, now: datetime) -> float:
        return 0.1


@pytest.mark.parametrize("fails", [None, ValueError])
def test_a_duty_that_asks_for_an_instant_is_done_between_turns(
    fails: type[Exception] | None,
) -> None:
    clock, turns = Clock(fails), []
    scheduler = Scheduler(duties=[clock, lambda now: bool(turns.append(now))], wake=_nobody)

    with pytest.raises(KeyboardInterrupt):
        scheduler.run()

    gaps = [after - before for before, after in pairwise(clock.done)]
    assert all(timedelta(seconds=0.1) <= gap < timedelta(seconds=0.9) for gap in gaps)
    assert len(turns) == 1
    assert not scheduler.leads


def test_a_turn_without_anything_to_do_asks_the_database_little(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    scheduler = _scheduler([])
    scheduler.turn()

    # A transaction's BEGIN and COMMIT, the due starts, those in slots, the deadlines, the due
    # queues.
    with django_assert_max_num_queries(6):
        scheduler.turn()


def _scheduler(woken: list[str]) -> Scheduler:
    return Scheduler(wake=woken.extend)


def _nobody(queues: Iterable[str]) -> None:
    """Wake nobody."""
