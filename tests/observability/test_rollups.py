"""History in sums: minutes are added up once they are over, hours from their minutes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from spane_django.core.histogram import quantile
from spane_django.core.ids import first_id
from spane_django.engine.publish import publish
from spane_django.models import Execution, QueueSample, Rollup, WorkflowVersion
from spane_django.observability.rollups import HOUR, MINUTE, history, roll_up, totals
from tests.engine.helpers import definition

pytestmark = pytest.mark.django_db

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def version() -> WorkflowVersion:
    return publish(definition({"a": []}), now=NOON)


def ended(
    version: WorkflowVersion, at: datetime, status: str = "completed", **more: Any
) -> Execution:
    """Return an execution that took a second and ended at an instant."""
    number = Execution.objects.count()
    return Execution.objects.create(
        id=UUID(int=first_id(at - SECOND).int + number), workflow=version.workflow,
        version=version, status=status, created_at=at - SECOND, started_at=at - SECOND,
        finished_at=at, **more,
    )  # fmt: skip


def all_rolled_up(now: datetime) -> None:
    while roll_up(now=now):
        pass


def minute_of(at: datetime) -> Rollup:
    return Rollup.objects.get(period="minute", at=at)


def test_a_minute_is_added_up_once_it_is_over(version: WorkflowVersion):
    ended(version, NOON + 10 * SECOND)
    ended(version, NOON + 20 * SECOND, "failed")
    ended(version, NOON + 30 * SECOND, "cancelled")
    ended(version, NOON + MINUTE + SECOND)

    roll_up(now=NOON + MINUTE + 10 * SECOND)

    row = minute_of(NOON)
    assert (row.started, row.completed, row.failed, row.cancelled) == (3, 1, 1, 1)
    assert quantile(row.durations, 0.5) == pytest.approx(SECOND, rel=0.2)
    assert not Rollup.objects.filter(at__gt=NOON).exists()


def test_what_commits_late_is_waited_for(version: WorkflowVersion):
    ended(version, NOON + 59 * SECOND)

    roll_up(now=NOON + MINUTE + 3 * SECOND)

    assert not Rollup.objects.filter(at=NOON).exists()


def test_adding_a_minute_up_again_changes_nothing(version: WorkflowVersion):
    ended(version, NOON + SECOND)
    roll_up(now=NOON + MINUTE + 10 * SECOND)

    QueueSample.objects.all().delete()
    roll_up(now=NOON + MINUTE + 10 * SECOND)

    assert minute_of(NOON).completed == 1
    assert Rollup.objects.count() == 1


def test_after_a_downtime_the_missing_minutes_are_made_up_for(version: WorkflowVersion):
    roll_up(now=NOON + MINUTE)
    for index in range(5):
        ended(version, NOON + index * MINUTE + SECOND)

    all_rolled_up(NOON + 6 * MINUTE)

    rows = Rollup.objects.filter(period="minute").order_by("at")
    assert [row.at for row in rows] == [NOON + index * MINUTE for index in range(5)]


def test_an_hour_is_the_sum_of_its_minutes(version: WorkflowVersion):
    roll_up(now=NOON + 10 * SECOND)
    ended(version, NOON + SECOND)
    ended(version, NOON + 59 * MINUTE, "failed")

    all_rolled_up(NOON + HOUR + 10 * SECOND)

    hour = Rollup.objects.get(period="hour", at=NOON)
    assert (hour.started, hour.completed, hour.failed) == (2, 1, 1)


def test_history_tells_everything_once_and_hours_that_are_over_as_one(version: WorkflowVersion):
    for at in (NOON - HOUR - MINUTE, NOON - 50 * MINUTE, NOON - 10 * MINUTE, NOON + 5 * MINUTE):
        ended(version, at)
        all_rolled_up(at + 2 * MINUTE)
    ended(version, NOON + 7 * MINUTE, "failed")
    now = NOON + 8 * MINUTE
    all_rolled_up(NOON + 7 * MINUTE)

    told = history(since=NOON - HOUR - 5 * MINUTE, now=now)

    assert (totals(told)["completed"], totals(told)["failed"]) == (4, 1)
    assert [(row.period, row.at) for row in told if row.completed] == [
        ("minute", NOON - HOUR - MINUTE),
        ("hour", NOON - HOUR),
        ("minute", NOON + 5 * MINUTE),
    ]


def test_history_of_a_part_of_an_hour_is_told_in_minutes(version: WorkflowVersion):
    for at in (NOON - 50 * MINUTE, NOON - 10 * MINUTE):
        ended(version, at)
        all_rolled_up(at + 2 * MINUTE)
    all_rolled_up(NOON + MINUTE)

    told = history(since=NOON - 30 * MINUTE, now=NOON + MINUTE)

    assert totals(told)["completed"] == 1


def test_history_is_summed_over_tenants_and_told_apart_by_workflow_where_they_are_named(
    version: WorkflowVersion,
):
    other = publish(definition({"b": []}, id="other"), now=NOON)
    for tenant, each in (("one", version), ("two", version), ("one", other)):
        ended(each, NOON - 10 * MINUTE, tenant=tenant)
    all_rolled_up(NOON - 8 * MINUTE)
    all_rolled_up(NOON + MINUTE)
    ended(version, NOON + MINUTE)

    (hour, live) = history(since=NOON - HOUR, now=NOON + 2 * MINUTE)
    named = history(since=NOON - HOUR, now=NOON + MINUTE, workflows=[version.workflow])

    assert (hour.completed, live.completed) == (3, 1)
    assert sum(hour.durations.values()) == 3
    assert [(row.workflow_id, row.completed) for row in named][:1] == [(version.workflow_id, 2)]


def test_items_of_a_map_are_not_counted(version: WorkflowVersion):
    parent = ended(version, NOON + SECOND)
    ended(version, NOON + 2 * SECOND, parent=parent, relation="child")

    roll_up(now=NOON + MINUTE + 10 * SECOND)

    assert minute_of(NOON).completed == 1


def test_tenants_are_summed_apart(version: WorkflowVersion):
    ended(version, NOON + SECOND, tenant="acme")
    ended(version, NOON + SECOND, tenant="zoo")

    roll_up(now=NOON + MINUTE + 10 * SECOND)

    assert set(Rollup.objects.values_list("tenant", "completed")) == {("acme", 1), ("zoo", 1)}


def test_queues_are_sampled_every_minute():
    roll_up(now=NOON + 10 * SECOND)
    roll_up(now=NOON + MINUTE + 10 * SECOND)

    samples = QueueSample.objects.filter(queue="spane").order_by("at")
    assert [sample.at for sample in samples] == [NOON - MINUTE, NOON]


def test_old_sums_are_forgotten(version: WorkflowVersion, settings: Any):
    settings.SPANE = {**settings.SPANE, "ROLLUP_KEEP_DAYS": 10}
    old = Rollup(workflow=version.workflow, period="hour", at=NOON - timedelta(days=11))
    kept = Rollup(workflow=version.workflow, period="hour", at=NOON - timedelta(days=9))
    fine = Rollup(workflow=version.workflow, period="minute", at=NOON - timedelta(days=3))
    Rollup.objects.bulk_create([old, kept, fine])

    all_rolled_up(NOON + 10 * SECOND)

    assert list(Rollup.objects.values_list("at", flat=True)) == [kept.at]
