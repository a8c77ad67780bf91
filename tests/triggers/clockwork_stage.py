"""Schedules for tests: a workflow of one node, and times that are easy to reckon with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from spane_django.engine.publish import publish
from spane_django.models import Execution, Schedule, ScheduledStart
from spane_django.triggers import schedules
from spane_django.triggers.schedules import Wanted
from spane_django.triggers.timing import Timing

BEGIN = datetime(2030, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

FLOW: dict[str, Any] = {
    "id": "flow",
    "name": "Flow",
    "entryNodeId": "a",
    "nodes": [{"id": "a", "type": "set", "config": {"values": {}}}],
}


def flow(**options: Any) -> None:
    """Publish the workflow."""
    publish({**FLOW, **options}, now=BEGIN)


def made(timing: Timing | None = None, **options: Any) -> Schedule:
    """Make a schedule of every hour at half past, or of another timing, at `BEGIN`."""
    tenant = options.pop("tenant", "")
    wanted = Wanted(workflow="flow", timing=timing or Timing(cron="30 * * * *"), **options)
    return schedules.create(wanted, now=BEGIN, tenant=tenant)


def starts(schedule: Schedule) -> list[datetime]:
    """Return the times of a schedule that were started, in order."""
    rows = ScheduledStart.objects.filter(schedule=schedule, error="")
    return sorted(rows.values_list("scheduled_for", flat=True))


def inputs() -> list[Any]:
    """Return the inputs of all executions, in the order of their starts."""
    return list(Execution.objects.order_by("id").values_list("input", flat=True))
