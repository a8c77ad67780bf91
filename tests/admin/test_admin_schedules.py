"""Schedules in the admin: seen with their next runs, made, changed, switched, run, backfilled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from spane_django import schedule as make_schedule
from spane_django.admin.schedule_words import in_words, upcoming
from spane_django.clock import now
from spane_django.models import AuditEntry, Execution, Schedule, ScheduledStart, Workflow
from spane_django.triggers.fire import fire
from spane_django.triggers.solar import Solar
from tests.admin.conftest import Login
from tests.admin.pages import Inline, form_on, list_of, page_of, told, verb_of
from tests.admin.stage import GOOD, SCRIPT, published

pytestmark = pytest.mark.usefixtures("wakes")

MAKE = reverse("admin:spane_django_schedule_make")


@pytest.fixture
def schedule(db: None) -> Schedule:
    published(GOOD)
    return make_schedule("good", cron="30 * * * *", name=SCRIPT, input={"note": SCRIPT})


def filled(**more: object) -> dict[str, object]:
    """Return what a browser posts of the form."""
    workflow = Workflow.objects.get(key="good").pk
    return {"workflow": workflow, "misfire": "all", "cap": 5, **more}


def test_lists_and_pages_show_the_next_runs_and_run_nothing(
    boss: Client, schedule: Schedule
) -> None:
    fire(schedule.pk, now=now() + timedelta(hours=1))
    edit = reverse("admin:spane_django_schedule_edit", args=[schedule.pk])
    fill = reverse("admin:spane_django_schedule_fill", args=[schedule.pk])

    for page in (list_of(Schedule), page_of(schedule), MAKE, edit, fill):
        response = boss.get(page)
        html = response.content.decode()

        assert response.status_code == 200
        assert SCRIPT not in html
        assert Inline(html).refused == []

    html = boss.get(page_of(schedule)).content.decode()
    task = reverse("admin:django_celery_beat_periodictask_change", args=[schedule.task_id])
    assert task in html
    assert html.count(":30:00") >= 5
    assert str(Execution.objects.get().pk) in html


def test_a_schedule_is_made_and_changed_with_its_faults_beside_their_fields(boss: Client) -> None:
    published(GOOD)

    refused = boss.post(MAKE, filled(cron="99 * * * *"))
    made = boss.post(MAKE, filled(cron="0 9 * * 1-5", timezone="Asia/Tokyo", given='{"a": 1}'))
    schedule = Schedule.objects.whole().get()
    edit = reverse("admin:spane_django_schedule_edit", args=[schedule.pk])
    boss.post(edit, filled(every="90", name="mine"))

    assert "is no crontab" in refused.content.decode()
    assert made["Location"] == page_of(schedule)
    assert (schedule.input, schedule.misfire, schedule.misfire_cap) == ({"a": 1}, "all", 5)
    assert str(schedule.task.crontab.timezone) == "Asia/Tokyo"
    changed = Schedule.objects.whole().get()
    assert (changed.task.name, changed.task.interval.every) == ("mine", 90)
    assert changed.task.crontab is None


def test_a_periodic_task_that_was_made_on_the_pages_of_celery_beat_is_given_a_workflow(
    boss: Client,
) -> None:
    published(GOOD)
    crontab = CrontabSchedule.objects.create(minute="7")
    task = PeriodicTask.objects.create(name="theirs", task="whatever", crontab=crontab)

    boss.post(MAKE, filled(task=task.pk, name="theirs"))

    schedule = Schedule.objects.whole().get()
    assert schedule.task == task
    assert schedule.task.crontab == crontab
    assert PeriodicTask.objects.count() == 1


def test_schedules_are_paused_resumed_run_and_deleted(boss: Client, schedule: Schedule) -> None:
    def do(verb: str, **more: str) -> str:
        data = {"ids": str(schedule.pk), "back": "/", **more}
        return told(boss.post(verb_of(Schedule, verb), data))[-1]

    assert do("pause") == "1 schedule was paused."
    assert Schedule.objects.select_related("task").get().is_paused
    assert do("resume") == "1 schedule was resumed."
    assert do("run", confirmed="1") == "1 schedule was run."
    assert Execution.objects.get().trigger == schedule.trigger
    assert do("delete", confirmed="1") == "1 schedule was deleted."
    assert not PeriodicTask.objects.exists()


def test_a_backfill_is_counted_before_it_is_started(boss: Client, schedule: Schedule) -> None:
    fill = reverse("admin:spane_django_schedule_fill", args=[schedule.pk])
    span = {"start_0": "2025-01-01", "start_1": "00:00", "end_0": "2025-01-01", "end_1": "03:00"}

    asked = boss.post(fill, span).content.decode()
    counted = Execution.objects.count()
    boss.post(fill, {**span, "confirmed": "1"})
    empty = boss.post(fill, {**span, "end_1": "00:00"}).content.decode()

    assert "3 times would be started" in asked
    assert counted == 0
    assert ScheduledStart.objects.filter(is_backfill=True).count() == 3
    assert "a range ends after its start" in empty


def test_what_is_not_permitted_is_neither_offered_nor_done(
    login: Login, schedule: Schedule
) -> None:
    onlooker, editor = login(), login("change_schedule")
    edit = reverse("admin:spane_django_schedule_edit", args=[schedule.pk])
    fill = reverse("admin:spane_django_schedule_fill", args=[schedule.pk])
    data = {"ids": str(schedule.pk), "back": "/"}

    html = onlooker.get(page_of(schedule)).content.decode()
    statuses = [onlooker.get(url).status_code for url in (MAKE, edit, fill)]
    statuses.append(onlooker.post(verb_of(Schedule, "pause"), data).status_code)
    form = editor.get(edit).content.decode()
    editor.post(edit, filled(cron="0 * * * *"))

    assert edit not in html
    assert "note" not in html
    assert statuses == [403, 403, 403, 403]
    assert 'name="given"' not in form
    assert Schedule.objects.get().input == {"note": SCRIPT}


@pytest.mark.parametrize(
    ("timing", "words"),
    [
        ({"cron": "*/15 * * * *"}, "Every 15 minutes"),
        ({"cron": "*/15 9-17 * * 1-5"}, "Every 15 minutes, between 09:00 and 17:59"),
        ({"cron": "*/20 * * * * *"}, "Every 20 seconds"),
        ({"every": timedelta(minutes=15)}, "Every 15 minutes"),
        ({"every": timedelta(days=1)}, "Every day"),
        ({"every": timedelta(seconds=90)}, "Every 90 seconds"),
        ({"at": datetime(2199, 1, 1, tzinfo=UTC)}, "Once"),
        ({"solar": Solar("sunset", 52.5, 13.4)}, "Sunset (52.5°, 13.4°)"),
    ],
)
def test_when_a_schedule_is_due_is_said_in_words(boss: Client, timing: Any, words: str) -> None:
    published(GOOD)
    made = make_schedule("good", **timing)

    assert in_words(made).startswith(words)
    assert words in boss.get(list_of(Schedule)).text


def test_the_next_runs_go_by_the_clocks_of_the_zone_and_tell_when_these_change(db: None) -> None:
    published(GOOD)
    berlin = make_schedule("good", cron="30 2 * * *", timezone="Europe/Berlin")
    Schedule.objects.update(done_until=datetime(2026, 1, 1, tzinfo=UTC))
    berlin = Schedule.objects.whole().get()

    spring = upcoming(berlin, 3, now=datetime(2026, 3, 28, 0, tzinfo=UTC))
    autumn = upcoming(berlin, 2, now=datetime(2026, 10, 24, 12, tzinfo=UTC))

    assert [(f"{run.day} {run.time}", run.note) for run in spring] == [
        ("Sat 2026-03-28 02:30:00 CET", ""),
        ("Sun 2026-03-29 03:30:00 CEST", "clocks go forward by 60 min before it"),
        ("Mon 2026-03-30 02:30:00 CEST", ""),
    ]
    assert [(f"{run.day} {run.time}", run.note) for run in autumn] == [
        ("Sun 2026-10-25 02:30:00 CEST", ""),
        ("Mon 2026-10-26 02:30:00 CET", "clocks go back by 60 min before it"),
    ]


def test_list_and_page_show_the_next_five_runs(boss: Client) -> None:
    published(GOOD)
    made = make_schedule("good", cron="30 * * * *", timezone="Asia/Tokyo")

    listed, page = boss.get(list_of(Schedule)).text, boss.get(page_of(made)).text

    assert listed.count(":30:00 JST") == 5
    assert page.count(":30:00 JST") == 5
    assert "30 * * * * (Asia/Tokyo)" in page


def test_an_event_of_the_sun_is_made_changed_and_its_faults_told(boss: Client) -> None:
    published(GOOD)
    place = {"event": "sunrise", "latitude": "52.52", "longitude": "13.4"}

    halves = boss.post(MAKE, filled(event="sunrise"))
    nowhere = boss.post(MAKE, filled(**{**place, "latitude": "91"}))
    both = boss.post(MAKE, filled(**place, every="60"))
    boss.post(MAKE, filled(**place, name="dawn"))
    edit = reverse("admin:spane_django_schedule_edit", args=[Schedule.objects.get().pk])
    boss.post(edit, form_on(boss, edit, event="sunset"))

    sun = Schedule.objects.whole().get().task.solar
    assert set(halves.context["form"].errors) == {"latitude", "longitude"}
    assert set(nowhere.context["form"].errors) == {"latitude"}
    assert "give one of cron, every, at and solar" in both.text
    assert (sun.event, float(sun.latitude), float(sun.longitude)) == ("sunset", 52.52, 13.4)


@pytest.mark.parametrize(
    "timing",
    [
        {"cron": "0 9 * * 1-5", "timezone": "Asia/Tokyo"},
        {"every": timedelta(seconds=90)},
        {"at": datetime(2199, 1, 1, 12, tzinfo=UTC)},
        {"solar": Solar("dusk_civil", -33.9, 18.4)},
    ],
)
def test_a_form_that_is_saved_as_it_is_changes_nothing(boss: Client, timing: Any) -> None:
    published(GOOD)
    made = make_schedule("good", **timing, input={"a": [1]}, key="k", priority=3)
    edit = reverse("admin:spane_django_schedule_edit", args=[made.pk])
    before = Schedule.objects.values().get()

    answer = boss.post(edit, form_on(boss, edit))

    entry = AuditEntry.objects.get(verb="change_schedule")
    assert answer["Location"] == page_of(made)
    assert Schedule.objects.values().get() == before
    assert entry.before == entry.after
