"""Backfilling: the past times of a schedule that have no execution yet, started now.

The times are those that its timing, as it is now, would have had.  What has been started is left
out, so that a backfill that was interrupted, or is repeated, starts just what is missing.  It is
bounded: more than ``MAX_BACKFILL`` times are refused before anything starts.  Policy for missed
times and a pause do not matter: somebody wants exactly these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from ..conf import settings
from ..core.errors import InvalidInput
from ..core.schema import Fault
from ..core.ticks import ticks_between
from ..engine.audit import record
from ..engine.db import atomic
from ..models import Schedule, ScheduledStart
from .fire import start_ticks
from .schedules import locked, target_of
from .timing import ticks_of

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Backfill:
    """What a backfill would do.

    Attributes:
        missing: The times that would be started, in order.
        known: How many times of the range have been started, or refused, before.
    """

    missing: list[datetime]
    known: int


def preview(schedule: Schedule, start: datetime, end: datetime, *, now: datetime) -> Backfill:
    """Return what a backfill of the times from ``start`` to before ``end`` would do.

    Raises:
        InvalidInput: the range is none, lies ahead or holds too many times.
        InvalidTiming: the schedule's rows do not say when it is due.
    """
    faults = list(_range_faults(start, end, now=now))
    if faults:
        raise InvalidInput(faults)
    ticks = ticks_between(ticks_of(schedule), start - _INSTANT, min(end - _INSTANT, now))
    found = list(islice(ticks, settings.MAX_BACKFILL + 1))
    if len(found) > settings.MAX_BACKFILL:
        message = (
            f"the schedule is due more than {settings.MAX_BACKFILL:,} times in this range: "
            "backfill it in parts, or raise SPANE['MAX_BACKFILL']"
        )
        raise InvalidInput([Fault("end", "too_many_times", message)])
    rows = ScheduledStart.objects.filter(
        schedule=schedule, scheduled_for__gte=start, scheduled_for__lt=end
    )
    known = set(rows.values_list("scheduled_for", flat=True))
    missing = [tick for tick in found if tick not in known]
    return Backfill(missing, len(found) - len(missing))


def backfill(
    schedule_id: int,
    start: datetime,
    end: datetime,
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
) -> list[ScheduledStart]:
    """Start what a schedule has missed from ``start`` to before ``end``; return what was started.

    Locks:
        The schedule, for some of the times after the other: a scheduler goes on meanwhile.

    Raises:
        UnknownSchedule: there is none.
        InvalidInput, InvalidTiming: as `preview`; nothing has been started.
    """
    with atomic():
        schedule = locked(schedule_id)
        wanted = preview(schedule, start, end, now=now).missing
        if wanted:
            record(
                "backfill_schedule", now=now, by=by, target=target_of(schedule),
                after={"from": start.isoformat(), "until": end.isoformat(), "times": len(wanted)},
            )  # fmt: skip
    started: list[ScheduledStart] = []
    for first in range(0, len(wanted), settings.BATCH):
        with atomic():
            schedule = locked(schedule_id)
            portion = wanted[first : first + settings.BATCH]
            started += start_ticks(schedule, portion, now=now, by=by, is_backfill=True)
    return started


def _range_faults(start: datetime, end: datetime, *, now: datetime) -> Iterator[Fault]:
    if start.tzinfo is None or end.tzinfo is None:
        yield Fault("start", "no_timezone", "say of which time zone both ends of the range are")
    elif end <= start:
        yield Fault("end", "empty_range", "a range ends after its start")
    elif start > now:
        yield Fault("start", "ahead", "only what has passed can be backfilled")
