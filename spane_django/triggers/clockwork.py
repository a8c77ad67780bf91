"""The scheduler's duty towards schedules: each is fired when it is due, to the millisecond.

* All schedules are read every `LOOK_SECONDS`, so that whatever changed on the pages of
  django-celery-beat, by whatever way, counts soon after.
* Between looks, only the next tick of each is remembered.  Firing reads the rows again, under a
  lock: what is remembered decides when to look, never what to start.
* A schedule that cannot be read, such as a solar one without its package, is told once in the
  log and keeps nobody else from firing.

Periodic tasks without a schedule belong to Celery and are not even read.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta

from django.db import Error

from ..conf import settings
from ..core.errors import SpaneError
from ..engine.db import atomic
from ..models import Schedule, ScheduledStart
from .fire import fire
from .schedules import UnknownSchedule, locked, notice
from .timing import describe, ticks_of

logger = logging.getLogger("spane_django.triggers")

LOOK_SECONDS = 2.0
# Looking takes at most this share of the time, however many schedules there are.
_SHARE = 0.1
_LONGEST_PAUSE_SECONDS = 4.5
_FORGET_SECONDS = 600.0
_FORGOTTEN_AT_ONCE = 5_000
# A schedule that failed for a reason of ours is tried again after so long.
_AGAIN = timedelta(seconds=30)


class Clockwork:
    """Fires schedules; a `dispatch.scheduler.PunctualDuty`."""

    def __init__(self) -> None:
        self._next: dict[int, datetime] = {}
        self._seen: dict[int, tuple[str, datetime]] = {}
        self._told: dict[int, str] = {}
        self._look_at = self._forget_at = 0.0

    def __call__(self, now: datetime) -> bool:
        """Fire what is due; say whether there is more."""
        if time.monotonic() >= self._look_at:
            self._look(now)
        self._forget(now)
        due = sorted((at, key) for key, at in self._next.items() if at <= now)
        for _, key in due[: settings.BATCH]:
            self._fire(key, now)
        return any(at <= now for at in self._next.values())

    def wait(self, now: datetime) -> float:
        """Return the seconds until the next tick or look."""
        until_look = self._look_at - time.monotonic()
        next_at = min(self._next.values(), default=None)
        until_tick = until_look if next_at is None else (next_at - now).total_seconds()
        return max(0.0, min(until_look, until_tick))

    def _look(self, now: datetime) -> None:
        began = time.monotonic()
        there = set()
        for schedule in Schedule.objects.whole():
            there.add(schedule.pk)
            if (describe(schedule), schedule.task.enabled) != _seen_of(schedule):
                self._notice(schedule.pk, now)
            elif self._seen.get(schedule.pk) != _mark(schedule):
                self._plan(schedule)
        for gone in (self._next.keys() | self._seen.keys()) - there:
            self._drop(gone)
        pause = min((time.monotonic() - began) / _SHARE, _LONGEST_PAUSE_SECONDS)
        self._look_at = time.monotonic() + max(pause, LOOK_SECONDS)

    def _notice(self, key: int, now: datetime) -> None:
        try:
            with atomic():
                schedule = locked(key)
                notice(schedule, now=now)
            self._plan(schedule)
        except UnknownSchedule:
            self._drop(key)

    def _plan(self, schedule: Schedule) -> None:
        """Remember when a schedule is due next, in which case it may have been due already."""
        self._seen[schedule.pk] = _mark(schedule)
        try:
            at = None if schedule.is_paused else ticks_of(schedule).after(schedule.done_until)
        except SpaneError as error:
            at = None
            self._tell(schedule.pk, str(error))
        else:
            self._told.pop(schedule.pk, None)
        self._set(schedule.pk, at)

    def _fire(self, key: int, now: datetime) -> None:
        try:
            self._set(key, fire(key, now=now).next_at)
        except UnknownSchedule:
            self._drop(key)
        except SpaneError as error:
            self._set(key, None)
            self._tell(key, str(error))
        except Error:
            raise
        except Exception:
            # Whatever is wrong with one must not stop the others.
            logger.exception("schedule %s could not be fired", key)
            self._set(key, now + _AGAIN)

    def _set(self, key: int, at: datetime | None) -> None:
        if at is None:
            self._next.pop(key, None)
        else:
            self._next[key] = at

    def _drop(self, key: int) -> None:
        self._next.pop(key, None)
        self._seen.pop(key, None)
        self._told.pop(key, None)

    def _tell(self, key: int, problem: str) -> None:
        if self._told.get(key) != problem:
            self._told[key] = problem
            logger.error("schedule %s cannot run: %s", key, problem)

    def _forget(self, now: datetime) -> None:
        """Delete what is remembered of starts long ago, a little at a time."""
        if time.monotonic() < self._forget_at:
            return
        old = ScheduledStart.objects.older(now - timedelta(days=settings.SCHEDULE_DAYS))
        keys = list(old.order_by("scheduled_for").values_list("pk", flat=True)[:_FORGOTTEN_AT_ONCE])
        ScheduledStart.objects.filter(pk__in=keys).delete()
        pause = LOOK_SECONDS if len(keys) == _FORGOTTEN_AT_ONCE else _FORGET_SECONDS
        self._forget_at = time.monotonic() + pause


def _seen_of(schedule: Schedule) -> tuple[str, bool]:
    return schedule.seen_timing, schedule.seen_enabled


def _mark(schedule: Schedule) -> tuple[str, datetime]:
    """Return what the next tick of a schedule depends on."""
    return f"{describe(schedule)} {schedule.task.enabled}", schedule.done_until
