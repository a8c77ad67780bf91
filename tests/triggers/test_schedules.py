"""Schedules start workflows: each time once, as their periodic tasks say, whoever edits those."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from spane_django import checks
from spane_django.core.errors import InvalidInput
from spane_django.core.ticks import ticks_between
from spane_django.models import AuditEntry, Execution, Schedule, ScheduledStart
from spane_django.triggers import schedules
from spane_django.triggers.celery_beat import DatabaseScheduler
from spane_django.triggers.clockwork import Clockwork
from spane_django.triggers.fire import fire, run_now
from spane_django.triggers.schedules import UnknownSchedule, Wanted, next_runs
from spane_django.triggers.solar import Solar
from spane_django.triggers.timing import InvalidTiming, Timing
from tests.engine.threads import in_threads
from tests.triggers.clockwork_stage import (
    BEGIN,
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    flow,
    inputs,
    made,
    starts,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _published(wakes: list[str]) -> None:
    flow()


def test_a_time_that_is_due_starts_one_execution_however_often_it_is_fired():
    schedule = made(input={"for": "{{ scheduledFor }}", "as": "{{ is }}"}, priority=9, key="k")

    for minutes in (29, 30, 30, 31):
        fire(schedule.pk, now=BEGIN + minutes * MINUTE)

    execution = Execution.objects.get()
    assert execution.trigger == f"schedule:{schedule.pk}"
    assert execution.input == {"for": "2030-01-01T12:30:00Z", "as": "{{ is }}"}
    assert (execution.priority, execution.key) == (9, "k")
    row = ScheduledStart.objects.get()
    assert (row.scheduled_for, row.execution_id) == (BEGIN + 30 * MINUTE, execution.pk)


def test_what_is_fired_is_what_was_announced():
    schedule = made(Timing(cron="*/20 9-17 * * 1-5", timezone="Europe/Berlin"))
    announced = next_runs(schedule, 40, now=BEGIN)

    now = BEGIN
    while now <= announced[-1]:
        now += 7 * MINUTE
        fire(schedule.pk, now=now)

    assert starts(schedule)[:40] == announced
    assert next_runs(schedule, 1, now=now)[0] > now


def test_an_interval_does_not_drift_however_late_it_is_fired():
    schedule = made(Timing(every=10 * SECOND))

    for seconds in (10.4, 23.9, 30, 41.1):
        fire(schedule.pk, now=BEGIN + seconds * SECOND)

    assert starts(schedule) == [BEGIN + n * 10 * SECOND for n in (1, 2, 3, 4)]


def test_an_interval_with_a_start_time_counts_from_it():
    schedule = made(Timing(every=HOUR), start_time=BEGIN + 5 * MINUTE)

    fire(schedule.pk, now=BEGIN + 5 * MINUTE)
    fire(schedule.pk, now=BEGIN + 65 * MINUTE)

    assert starts(schedule) == [BEGIN + 5 * MINUTE, BEGIN + 65 * MINUTE]


def test_a_schedule_that_has_expired_starts_nothing_more():
    schedule = made(expires=BEGIN + 90 * MINUTE)

    for hours in range(4):
        fire(schedule.pk, now=BEGIN + hours * HOUR + 30 * MINUTE)

    assert starts(schedule) == [BEGIN + 30 * MINUTE]
    assert next_runs(schedule, now=BEGIN) == [BEGIN + 30 * MINUTE]


def test_a_clocked_time_starts_once_and_its_task_is_switched_off():
    schedule = made(Timing(at=BEGIN + MINUTE))
    assert next_runs(schedule, now=BEGIN) == [BEGIN + MINUTE]

    fire(schedule.pk, now=BEGIN + MINUTE)
    fire(schedule.pk, now=BEGIN + 2 * MINUTE)

    task = PeriodicTask.objects.get()
    assert starts(schedule) == [BEGIN + MINUTE]
    assert (task.enabled, task.total_run_count) == (False, 1)
    assert task.last_run_at == BEGIN + MINUTE


def test_a_solar_event_is_due_within_a_minute_of_the_almanac():
    berlin = Solar("sunrise", 52.52, 13.405)
    schedule = made(Timing(solar=berlin))

    runs = next_runs(schedule, 3, now=BEGIN)

    local = [run.astimezone(ZoneInfo("Europe/Berlin")) for run in runs]
    assert [(run.day, run.hour, run.minute) for run in local] == [
        (2, 8, 16),
        (3, 8, 16),
        (4, 8, 16),
    ]


@pytest.mark.parametrize("place", [(64.1, -21.9), (52.5, 13.4), (-33.9, 151.2), (1.3, 103.8)])
def test_a_solar_event_is_the_same_instant_from_wherever_it_is_looked_for(
    place: tuple[float, float],
):
    sun = Solar("sunset", *place)
    events = list(ticks_between(sun, BEGIN, BEGIN + 10 * DAY))
    assert len(events) == 10

    found = [sun.after(BEGIN + hours * HOUR) for hours in range(9 * 24)]

    for hours, event in enumerate(found):
        assert event == next(at for at in events if at > BEGIN + hours * HOUR)


def test_where_the_sun_does_not_rise_for_weeks_its_next_rising_is_found():
    found = Solar("sunrise", 69.65, 18.96).after(datetime(2029, 12, 1, tzinfo=ZoneInfo("UTC")))

    assert found is not None
    assert (found.year, found.month) == (2030, 1)


def test_missed_times_start_by_policy_and_late_ones_always():
    late = BEGIN + 5 * HOUR + 30 * MINUTE + 20 * SECOND
    by_policy = {
        policy: made(misfire=policy, cap=3, name=policy) for policy in ("skip", "once", "all")
    }

    for schedule in by_policy.values():
        fire(schedule.pk, now=late)
        fire(schedule.pk, now=late + MINUTE)

    hours = {policy: [at.hour for at in starts(row)] for policy, row in by_policy.items()}
    assert hours == {"skip": [17], "once": [17], "all": [14, 15, 16, 17]}


def test_a_long_backlog_is_started_in_portions(settings):
    settings.SPANE = {**settings.SPANE, "BATCH": 4}
    schedule = made(misfire="all")
    now = BEGIN + 10 * HOUR

    portions = []
    while rows := fire(schedule.pk, now=now).starts:
        portions.append(len(rows))

    assert portions == [4, 4, 2]
    assert starts(schedule) == [BEGIN + n * HOUR + 30 * MINUTE for n in range(10)]


def test_a_scheduler_that_is_killed_mid_tick_leaves_all_of_it_or_nothing():
    schedule = made()

    with pytest.raises(KeyboardInterrupt):
        killed_after(lambda: fire(schedule.pk, now=BEGIN + 30 * MINUTE))
    assert not Execution.objects.exists()
    assert not ScheduledStart.objects.exists()

    fire(schedule.pk, now=BEGIN + 31 * MINUTE)

    assert starts(schedule) == [BEGIN + 30 * MINUTE]
    assert Execution.objects.count() == 1


def test_a_paused_schedule_starts_nothing_and_makes_nothing_up_when_it_goes_on():
    schedule = made(misfire="all")
    schedules.pause(schedule.pk, now=BEGIN + MINUTE)
    assert next_runs(Schedule.objects.get(), now=BEGIN) == []

    fire(schedule.pk, now=BEGIN + 2 * HOUR)
    schedules.resume(schedule.pk, now=BEGIN + 3 * HOUR)
    fire(schedule.pk, now=BEGIN + 4 * HOUR)

    assert starts(schedule) == [BEGIN + 3 * HOUR + 30 * MINUTE]
    assert list(AuditEntry.objects.order_by("id").values_list("verb", flat=True))[-2:] == [
        "pause_schedule",
        "resume_schedule",
    ]


def test_run_now_starts_once_per_key_and_leaves_the_times_as_they_are():
    schedule = made(input={"n": 1})
    schedules.pause(schedule.pk, now=BEGIN)

    first = run_now(schedule, now=BEGIN, idempotency_key="click")
    second = run_now(schedule, now=BEGIN + MINUTE, idempotency_key="click")

    assert first == second
    assert (first.trigger, first.input) == (f"schedule:{schedule.pk}", {"n": 1})
    assert starts(schedule) == []


def test_a_refused_start_is_told_and_not_tried_again(caplog: pytest.LogCaptureFixture):
    schedule = made()
    workflow = schedule.workflow
    workflow.is_enabled = False
    workflow.save()

    fire(schedule.pk, now=BEGIN + 30 * MINUTE)
    fire(schedule.pk, now=BEGIN + 31 * MINUTE)

    row = ScheduledStart.objects.get()
    assert row.execution_id is None
    assert "is disabled" in row.error
    assert "is disabled" in caplog.text
    assert "is disabled" in schedules.problem(Schedule.objects.whole().get())


def test_executions_belong_to_the_tenant_of_their_schedule():
    schedule = made(tenant="acme")

    fire(schedule.pk, now=BEGIN + 30 * MINUTE)

    assert Execution.objects.get().tenant == "acme"


def test_the_clockwork_fires_what_is_due_and_says_when_it_wants_to_be_back():
    every_second = made(Timing(every=SECOND), name="often")
    made(Timing(cron="0 0 1 1 *"), name="seldom")
    clockwork = Clockwork()

    assert clockwork(BEGIN) is False
    wait = clockwork.wait(BEGIN + SECOND / 4)
    clockwork(BEGIN + SECOND)

    assert wait == pytest.approx(0.75, abs=0.001)
    assert starts(every_second) == [BEGIN + SECOND]
    assert clockwork.wait(BEGIN + SECOND) == pytest.approx(1.0, abs=0.001)


def test_what_is_changed_on_the_pages_of_celery_beat_counts_without_making_up_for_the_past():
    schedule = made(misfire="all")
    clockwork = Clockwork()
    clockwork(BEGIN)

    # As an administrator would: not a line of ours knows of it.
    CrontabSchedule.objects.update(minute="0")
    look_again(clockwork)
    clockwork(BEGIN + 10 * MINUTE + 1 * HOUR)
    clockwork(BEGIN + 2 * HOUR)

    assert starts(schedule) == [BEGIN + 2 * HOUR]


def test_a_task_that_is_switched_off_and_on_elsewhere_begins_anew():
    schedule = made(misfire="all")
    clockwork = Clockwork()
    clockwork(BEGIN)

    for hours, enabled in ((1, False), (5, True)):
        PeriodicTask.objects.update(enabled=enabled)
        look_again(clockwork)
        clockwork(BEGIN + hours * HOUR)
    clockwork(BEGIN + 6 * HOUR)

    assert starts(schedule) == [BEGIN + 5 * HOUR + 30 * MINUTE]


def test_periodic_tasks_of_celery_are_left_alone():
    crontab = CrontabSchedule.objects.create(minute="*")
    task = PeriodicTask.objects.create(name="theirs", task="shop.tidy", crontab=crontab)

    Clockwork()(BEGIN + DAY)

    task.refresh_from_db()
    assert (task.last_run_at, task.total_run_count, task.enabled) == (None, 0, True)
    assert not Execution.objects.exists()


def test_a_schedule_that_cannot_be_read_is_told_once_and_keeps_no_other_from_firing(
    caplog: pytest.LogCaptureFixture,
):
    broken, good = made(name="broken"), made(Timing(every=HOUR), name="good")
    clockwork = Clockwork()
    clockwork(BEGIN)
    CrontabSchedule.objects.update(minute="99")

    for hours in (1, 2, 3):
        look_again(clockwork)
        clockwork(BEGIN + hours * HOUR)

    assert [record.getMessage().count("cannot run") for record in caplog.records] == [1]
    assert "99" in schedules.problem(Schedule.objects.whole().get(pk=broken.pk))
    assert len(starts(good)) == 3
    with pytest.raises(InvalidTiming):
        next_runs(Schedule.objects.whole().get(pk=broken.pk), now=BEGIN)


def test_intervals_below_a_second_are_not_fired():
    schedule = made(Timing(every=HOUR))
    IntervalSchedule.objects.update(every=1, period="microseconds")

    assert "shorter than a second" in schedules.problem(Schedule.objects.whole().get())
    with pytest.raises(InvalidTiming):
        fire(schedule.pk, now=BEGIN + HOUR)


def test_a_schedule_is_deleted_with_its_task_and_leaves_its_executions():
    schedule = made()
    fire(schedule.pk, now=BEGIN + 30 * MINUTE)
    clockwork = Clockwork()
    clockwork(BEGIN + 31 * MINUTE)

    schedules.delete(schedule.pk, now=BEGIN)
    look_again(clockwork)
    clockwork(BEGIN + 2 * HOUR)

    assert not PeriodicTask.objects.exists()
    assert not ScheduledStart.objects.exists()
    assert Execution.objects.count() == 1
    with pytest.raises(UnknownSchedule):
        schedules.pause(schedule.pk, now=BEGIN)


def test_what_was_started_long_ago_is_forgotten(settings):
    settings.SPANE = {**settings.SPANE, "SCHEDULE_DAYS": 1}
    schedule = made()
    fire(schedule.pk, now=BEGIN + 30 * MINUTE)

    Clockwork()(BEGIN + 12 * HOUR)
    assert BEGIN + 30 * MINUTE in starts(schedule)
    Clockwork()(BEGIN + 2 * DAY)

    assert BEGIN + 30 * MINUTE not in starts(schedule)
    assert len(inputs()) >= 1


def test_all_faults_of_a_schedule_are_told_at_once():
    timing = Timing(cron="61 * * * *", every=SECOND / 2, timezone="Mars/Olympus")
    wanted = Wanted(workflow="flow", timing=timing, misfire="never", cap=-1, priority=11)

    with pytest.raises(InvalidInput) as refused:
        schedules.create(wanted, now=BEGIN)

    paths = {fault.path for fault in refused.value.faults}
    assert paths == {"", "cron", "every", "timezone", "misfire", "cap", "priority"}
    assert not PeriodicTask.objects.exists()


@pytest.mark.parametrize(
    "timing",
    [
        Timing(),
        Timing(cron="* * *"),
        Timing(cron="* * * * 8"),
        Timing(cron="0 0 30 2 *"),
        Timing(cron=f"{'1,' * 200}1 * * * *"),
        Timing(every=timedelta(minutes=40, microseconds=1)),
        Timing(at=BEGIN.replace(tzinfo=None)),
        Timing(at=BEGIN),
        Timing(solar=Solar("moonrise", 0, 0)),
        Timing(solar=Solar("sunrise", 91, 181)),
    ],
)
def test_a_timing_that_makes_no_sense_is_refused(timing: Timing):
    with pytest.raises(InvalidInput):
        made(timing)


def test_two_schedules_of_the_same_timing_share_its_row():
    made(name="one")
    made(name="two")

    assert CrontabSchedule.objects.count() == 1
    with pytest.raises(InvalidInput, match="another periodic task"):
        made(name="two")


def killed_after(work: Callable[[], object]) -> None:
    """Do work, and be killed before it is committed."""
    with transaction.atomic():
        work()
        raise KeyboardInterrupt


def look_again(clockwork: Clockwork) -> None:
    """Let it read the schedules on its next call, as it does by itself every two seconds."""
    clockwork._look_at = 0.0


def test_celery_beat_can_be_told_to_leave_our_tasks_alone():
    made()
    crontab = CrontabSchedule.objects.create(minute="*")
    theirs = PeriodicTask.objects.create(name="theirs", task="shop.tidy", crontab=crontab)

    beat = DatabaseScheduler.__new__(DatabaseScheduler)

    assert list(beat.enabled_models_qs()) == [theirs]


def test_neither_an_app_of_celery_nor_a_broker_is_needed(monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("asked for something of Celery's")

    monkeypatch.setattr("kombu.Connection.__init__", refuse)
    monkeypatch.setattr("celery.Celery.__init__", refuse)
    monkeypatch.setattr("celery._state._get_current_app", refuse)
    timings = [
        Timing(cron="* * * * *", timezone="Asia/Kolkata"), Timing(every=MINUTE),
        Timing(at=BEGIN + MINUTE), Timing(solar=Solar("sunset", 52.5, 13.4)),
    ]  # fmt: skip

    for timing in timings:
        made(timing)
    clockwork = Clockwork()
    clockwork(BEGIN)
    clockwork(BEGIN + DAY)

    assert Execution.objects.count() == 4


def test_a_project_without_the_tables_is_told_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checks.apps, "is_installed", lambda name: False)

    (told,) = checks.check_beat()

    assert told.id == "spane.E021"


@pytest.mark.django_db(transaction=True)
def test_many_that_fire_at_once_start_each_time_once():
    schedule = made(Timing(every=SECOND))
    now = BEGIN + 5 * SECOND

    fired = in_threads([lambda: fire(schedule.pk, now=now)] * 4)

    assert sorted(len(one.starts) for one in fired) == [0, 0, 0, 5]
    assert starts(schedule) == [BEGIN + n * SECOND for n in range(1, 6)]
    assert Execution.objects.count() == 5
