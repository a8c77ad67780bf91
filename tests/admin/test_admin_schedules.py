"""Schedules in the admin: seen with their next runs, made, changed, switched, run, backfilled."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from spane_django import schedule as make_schedule
from spane_django.clock import now
from spane_django.models import Execution, Schedule, ScheduledStart, Workflow
from spane_django.triggers.fire import fire
from tests.admin.conftest import Login
from tests.admin.pages import Inline, list_of, page_of, told, verb_of
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
