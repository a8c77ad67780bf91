"""Firing: a tick becomes one execution, in the transaction that says that it has.

The row of `ScheduledStart`, unique for a schedule and a time, is written with the execution, and
so is the instant up to which the schedule is done: killed at any moment, a scheduler leaves
either all of it or nothing, and whoever comes next starts just what is missing.  Two that fire
at once take turns, by the schedule's lock.

A start that is refused (the workflow is disabled, there is no room, its input does not fit) is
not tried again: the row keeps the reason, and the log has it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import F

from ..conf import settings
from ..core.errors import SpaneError
from ..core.json import Json
from ..core.misfire import Misfire, MisfirePolicy, due
from ..engine.audit import record
from ..engine.db import atomic
from ..engine.start import StartOptions, start
from ..models import Execution, Schedule, ScheduledStart
from .schedules import locked, notice, target_of
from .timing import ticks_of

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

logger = logging.getLogger("spane_django.triggers")

_HOLE = re.compile(r"\{\{\s*scheduledFor\s*\}\}")


@dataclass(frozen=True, slots=True)
class Fired:
    """What became of a schedule that may have been due.

    Attributes:
        starts: The rows that were written.
        next_at: When it is due next; None: never, as it stands.
    """

    starts: list[ScheduledStart]
    next_at: datetime | None


def fire(schedule_id: int, *, now: datetime) -> Fired:
    """Start what is due of a schedule, at most ``BATCH`` times in one transaction.

    Locks:
        The schedule.

    Raises:
        UnknownSchedule: it is gone.
        InvalidTiming: its rows do not say when it is due.
    """
    with atomic():
        schedule = locked(schedule_id)
        notice(schedule, now=now)
        if schedule.is_paused:
            return Fired([], None)
        ticks = ticks_of(schedule)
        wanted = due(ticks, _policy(schedule), since=schedule.done_until, now=now)
        if schedule.task.one_off:
            wanted = wanted[:1]
        chosen = wanted[: settings.BATCH]
        starts = start_ticks(schedule, chosen, now=now)
        done_until = chosen[-1] if len(chosen) < len(wanted) else now
        if chosen:
            _note(schedule, len(starts), done_until=done_until, now=now)
        next_at = None if schedule.is_paused else ticks.after(done_until)
    return Fired(starts, next_at)


def run_now(
    schedule: Schedule,
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    idempotency_key: str | None = None,
) -> Execution:
    """Start what a schedule starts, at once, paused or not; its times stay as they are.

    Args:
        idempotency_key: A second call with the same key gives the first execution back.

    Raises:
        As `engine.start.start`.
    """
    with atomic():
        execution = _start(schedule, now, now=now, by=by, idempotency_key=idempotency_key)
        record(
            "run_schedule", now=now, by=by, execution_id=execution.pk, target=target_of(schedule)
        )
    return execution


def start_ticks(
    schedule: Schedule,
    ticks: Sequence[datetime],
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    is_backfill: bool = False,
) -> list[ScheduledStart]:
    """Start an execution for each tick that has none, in the caller's transaction.

    The schedule is locked by the caller.
    """
    if not ticks:
        return []
    known = ScheduledStart.objects.filter(schedule=schedule, scheduled_for__in=ticks)
    there = set(known.values_list("scheduled_for", flat=True))
    starts = []
    for tick in ticks:
        if tick in there:
            continue
        row = ScheduledStart(
            schedule=schedule, scheduled_for=tick, started_at=now, is_backfill=is_backfill
        )
        try:
            with atomic():
                row.execution_id = _start(schedule, tick, now=now, by=by).pk
        except SpaneError as error:
            row.error = str(error)
            logger.warning("schedule %s was refused a start: %s", schedule, error)
        starts.append(row)
    return ScheduledStart.objects.bulk_create(starts)


def _policy(schedule: Schedule) -> MisfirePolicy:
    return MisfirePolicy(
        misfire=Misfire(schedule.misfire),
        cap=schedule.misfire_cap,
        grace=timedelta(seconds=settings.SCHEDULE_GRACE_SECONDS),
    )


def _start(
    schedule: Schedule, scheduled_for: datetime, *, now: datetime, **keywords: Any
) -> Execution:
    options = StartOptions(
        priority=schedule.priority,
        key=schedule.key or None,
        tenant=schedule.tenant,
        trigger=schedule.trigger,
        **keywords,
    )
    at = scheduled_for.astimezone(UTC).isoformat().replace("+00:00", "Z")
    data = _filled(schedule.input, at)
    return start(schedule.workflow.key, data, now=now, options=options)


def _filled(data: Json, at: str) -> Json:
    """Return an input with the time that was due in it; other braces stay as they are."""
    if isinstance(data, str):
        return _HOLE.sub(at, data)
    if isinstance(data, dict):
        return {key: _filled(value, at) for key, value in data.items()}
    return [_filled(value, at) for value in data] if isinstance(data, list) else data


def _note(schedule: Schedule, starts: int, *, done_until: datetime, now: datetime) -> None:
    """Say how far the schedule is done, to us and on the page of its periodic task."""
    schedule.done_until = max(schedule.done_until, done_until)
    changes: dict[str, Any] = {
        "last_run_at": now,
        "total_run_count": F("total_run_count") + starts,
    }
    if schedule.task.one_off:
        changes["enabled"] = schedule.task.enabled = schedule.seen_enabled = False
    # Past the periodic task's `save`, which would look like a change to its other readers.
    type(schedule.task)._default_manager.filter(pk=schedule.task.pk).update(**changes)
    schedule.save(update_fields=["done_until", "seen_enabled"])
