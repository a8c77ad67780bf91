"""Schedules from code: what starts a workflow at given times, made once and kept by its name.

    schedule("nightly-report", cron="30 2 * * *", timezone="Europe/Berlin")

Said again, such as on every deployment, it changes what is different and leaves the rest: one
schedule of a name.  The rows are those of django-celery-beat, see :mod:`spane_django.triggers`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from ..clock import now
from ..core.json import Json
from ..core.misfire import Misfire
from ..engine.db import atomic
from ..models import Execution, Schedule, ScheduledStart
from ..triggers import backfill as backfilling
from ..triggers import schedules
from ..triggers.fire import run_now
from ..triggers.schedules import Wanted, next_runs
from ..triggers.solar import Solar
from ..triggers.timing import Timing, is_timed

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

__all__ = [
    "backfill_schedule", "delete_schedule", "next_runs", "pause_schedule", "resume_schedule",
    "run_schedule", "schedule",
]  # fmt: skip


class ScheduleKeywords(TypedDict, total=False):
    """What a schedule starts, and how; see :class:`spane_django.triggers.schedules.Wanted`."""

    input: Json
    misfire: Misfire | str
    cap: int
    priority: int | None
    key: str
    is_enabled: bool
    start_time: datetime | None
    expires: datetime | None
    tenant: str
    by: AbstractBaseUser | None


def schedule(
    workflow: str,
    *,
    cron: str | None = None,
    every: timedelta | None = None,
    at: datetime | None = None,
    solar: Solar | None = None,
    timezone: str | None = None,
    name: str = "",
    **options: Unpack[ScheduleKeywords],
) -> Schedule:
    """Make a schedule that starts a workflow, or change the one of this name.

    Args:
        workflow: The workflow's id.
        cron: Minute, hour, day of month, month and day of week, after the seconds if there are
            six; a day must fit both of its fields.
        every: An interval of a second or more, counted from now or from ``start_time``.
        at: One instant, aware.
        solar: An event of the sun at a place.
        timezone: Of the crontab, by name; None: the project's ``TIME_ZONE``.
        name: Of its periodic task; "": the workflow with the timing.
        options: See `ScheduleKeywords`; ``tenant`` is who owns it and what it starts.

    Raises:
        UnknownWorkflow: it has not been published.
        InvalidInput: with every fault; nothing has been written.
    """
    timing = Timing(cron=cron, every=every, at=at, solar=solar, timezone=timezone)
    values: dict[str, Any] = {"workflow": workflow, **options}
    tenant, by = values.pop("tenant", ""), values.pop("by", None)
    name = values["name"] = name or schedules.name_for(workflow, timing, tenant)
    with atomic():
        found = Schedule.objects.whole().filter(task__name=name, tenant=tenant).first()
        if found is None:
            wanted = Wanted(timing=timing, **values)
            return schedules.create(wanted, now=now(), tenant=tenant, by=by)
        values.setdefault("is_enabled", not found.is_paused)
        wanted = Wanted(timing=None if is_timed(found, timing) else timing, **values)
        if wanted == schedules.wanted_of(found):
            return found
        return schedules.change(found.pk, wanted, now=now(), by=by)


def pause_schedule(
    schedule: Schedule | int, *, by: AbstractBaseUser | None = None, reason: str = ""
) -> Schedule:
    """Let a schedule start nothing; what is due meanwhile is not made up for.

    Raises:
        UnknownSchedule: there is none.
    """
    return schedules.pause(_key(schedule), now=now(), by=by, reason=reason)


def resume_schedule(
    schedule: Schedule | int, *, by: AbstractBaseUser | None = None, reason: str = ""
) -> Schedule:
    """Let a paused schedule go on from now.

    Raises:
        UnknownSchedule: there is none.
    """
    return schedules.resume(_key(schedule), now=now(), by=by, reason=reason)


def delete_schedule(schedule: Schedule | int, *, by: AbstractBaseUser | None = None) -> None:
    """Delete a schedule with its periodic task; executions that it started stay.

    Raises:
        UnknownSchedule: there is none.
    """
    schedules.delete(_key(schedule), now=now(), by=by)


def run_schedule(schedule: Schedule | int, *, by: AbstractBaseUser | None = None) -> Execution:
    """Start what a schedule starts, at once; its times stay as they are.

    Raises:
        UnknownSchedule: there is none.
        As :func:`spane_django.start`.
    """
    return run_now(schedules.find(_key(schedule)), now=now(), by=by)


def backfill_schedule(
    schedule: Schedule | int,
    start: datetime,
    end: datetime,
    *,
    by: AbstractBaseUser | None = None,
) -> list[ScheduledStart]:
    """Start what a schedule would have been due for from ``start`` to before ``end``, once each.

    Raises:
        UnknownSchedule: there is none.
        InvalidInput: the range is none, lies ahead or holds more than ``MAX_BACKFILL`` times.
    """
    return backfilling.backfill(_key(schedule), start, end, now=now(), by=by)


def _key(schedule: Schedule | int) -> int:
    return schedule if isinstance(schedule, int) else schedule.pk
