"""When a schedule is due: the instants, its *ticks*, that a pattern in time stands for.

A tick depends on nothing but the pattern: never on when somebody looked, nor on the tick before,
so that everybody who asks finds the same ticks, and nothing drifts.

* `Every`: all instants a whole number of periods from an anchor, in both directions.
* `Once`: one instant.
* `Cron`: the local times of a zone whose second, minute, hour, day, month and weekday are all
  among those given; day and weekday must both fit.

Local times that a clock skips or shows twice are read as RFC 5545 (3.3.5) reads them:

* one that does not exist counts by the offset before the gap: where 2:00 is followed by 3:00,
  2:30 is the instant that the clocks show as 3:30;
* one that exists twice is its first occurrence, so that it runs once.  A pattern of every hour
  names no hour that could repeat: it goes on in the second one as in the first, and a schedule of
  every minute does not pause for an hour.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Protocol

_INSTANT = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
# February 29 that is a given weekday comes every 28 years, over the year 2100 every 40.
_YEARS = 41
_FIRST_LOOK = timedelta(minutes=1)
_ALL_HOURS = frozenset(range(24))


class Ticks(Protocol):
    """A pattern in time."""

    def after(self, moment: datetime) -> datetime | None:
        """Return the first tick later than ``moment``, in UTC; None: there is none any more."""


@dataclass(frozen=True, slots=True)
class Every:
    """Instants at equal distances.

    Attributes:
        anchor: One of them; aware.
    """

    period: timedelta
    anchor: datetime

    def after(self, moment: datetime) -> datetime | None:
        """Return the first tick later than ``moment``."""
        try:
            tick = self.anchor + ((moment - self.anchor) // self.period + 1) * self.period
        except OverflowError:
            return None
        return tick.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Once:
    """One instant."""

    at: datetime

    def after(self, moment: datetime) -> datetime | None:
        """Return the instant if it is later than ``moment``."""
        return self.at.astimezone(UTC) if self.at > moment else None


@dataclass(frozen=True, kw_only=True)
class Cron:
    """Local times of a zone.

    Attributes:
        weekdays: 0 is Sunday, 6 Saturday.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    zone: tzinfo
    seconds: frozenset[int] = frozenset({0})

    def after(self, moment: datetime) -> datetime | None:
        """Return the first tick later than ``moment``."""
        try:
            return self._after(moment.astimezone(UTC).replace(tzinfo=None) + _INSTANT)
        except OverflowError:  # the end of the calendar
            return None

    def _after(self, at: datetime) -> datetime | None:
        while True:
            tick = self._first(_era_of(self.zone, at), at)
            end = None if tick is None else _change(self.zone, at, tick)
            if end is None:
                return None if tick is None else tick.replace(tzinfo=UTC)
            at = end

    def _first(self, era: _Era, at: datetime) -> datetime | None:
        """Return the first tick at or after ``at``, as long as the clocks keep this offset."""
        start, jump = at, era.offset - era.before
        if era.since is not None and jump < timedelta(0) and self.hours != _ALL_HOURS:
            # The clocks show again what they have shown before.
            start = max(at, era.since - jump)
        wall = self._wall(start + era.offset)
        found = None if wall is None else wall - era.offset
        if era.since is not None and jump > timedelta(0) and at < era.since + jump:
            skipped = self._wall(at + era.before)
            if skipped is not None and skipped < era.since + era.offset:
                skipped -= era.before
                found = skipped if found is None else min(found, skipped)
        return found

    def _wall(self, at: datetime) -> datetime | None:
        """Return the first local time of the pattern at or after ``at``, existing or not."""
        if at.microsecond:
            at = at.replace(microsecond=0) + _SECOND
        if self._fits(at.date()) and (found := self._time(at.time())) is not None:
            return datetime.combine(at.date(), found)
        first = self._time(time.min)
        for day in _days_after(at.date(), self.months):
            if self._fits(day) and first is not None:
                return datetime.combine(day, first)
        return None

    def _fits(self, day: date) -> bool:
        is_in = day.day in self.days and day.month in self.months
        return is_in and day.isoweekday() % 7 in self.weekdays

    def _time(self, at: time) -> time | None:
        """Return the first time of day of the pattern at or after ``at``."""
        first_second = min(self.seconds)
        if at.hour in self.hours:
            if at.minute in self.minutes:
                second = _least(self.seconds, at.second)
                if second is not None:
                    return time(at.hour, at.minute, second)
            minute = _least(self.minutes, at.minute + 1)
            if minute is not None:
                return time(at.hour, minute, first_second)
        hour = _least(self.hours, at.hour + 1)
        return None if hour is None else time(hour, min(self.minutes), first_second)


@dataclass(frozen=True, slots=True)
class Within:
    """Those of other ticks that are not before one instant and before another.

    Attributes:
        start: None: from ever.
        end: None: for ever.
    """

    ticks: Ticks
    start: datetime | None = None
    end: datetime | None = None

    def after(self, moment: datetime) -> datetime | None:
        """Return the first tick later than ``moment``."""
        if self.start is not None and moment < self.start:
            moment = self.start - _INSTANT
        tick = self.ticks.after(moment)
        return tick if tick is None or self.end is None or tick < self.end else None


def ticks_between(ticks: Ticks, after: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the ticks later than ``after`` and not later than ``until``, in order."""
    tick = ticks.after(after)
    while tick is not None and tick <= until:
        yield tick
        tick = ticks.after(tick)


def latest(ticks: Ticks, after: datetime, until: datetime, most: int) -> list[datetime]:
    """Return the last ``most`` ticks later than ``after`` and not later than ``until``, in order.

    What lies further back is not gone through, however much it is.
    """
    span = _FIRST_LOOK
    while True:
        begin = until - span if until - after > span else after
        found = deque(ticks_between(ticks, begin, until), maxlen=most)
        if len(found) == most or begin == after:
            return list(found)
        span *= 4


@dataclass(frozen=True, slots=True)
class _Era:
    """An offset from UTC, and what changed to it within the last day, the longest jump known.

    Attributes:
        since: When the clocks changed to it, UTC; None: more than a day ago.
        before: The offset that they had before; the same without a change.
    """

    offset: timedelta
    before: timedelta
    since: datetime | None


def _era_of(zone: tzinfo, at: datetime) -> _Era:
    offset, earlier = _offset(zone, at), at - _DAY
    before = _offset(zone, earlier)
    if before == offset:
        return _Era(offset, offset, None)
    return _Era(offset, before, _bisect(zone, earlier, at))


def _change(zone: tzinfo, begin: datetime, end: datetime) -> datetime | None:
    """Return the first change of the clocks later than ``begin`` and not later than ``end``."""
    offset = _offset(zone, begin)
    while begin < end:
        step = min(begin + _DAY, end)
        if _offset(zone, step) != offset:
            return _bisect(zone, begin, step)
        begin = step
    return None


def _bisect(zone: tzinfo, old: datetime, new: datetime) -> datetime:
    """Return the first second that has the offset of ``new`` and no longer that of ``old``."""
    offset = _offset(zone, new)
    old, new = old.replace(microsecond=0), new.replace(microsecond=0)
    while new - old > _SECOND:
        middle = old + (new - old) // (2 * _SECOND) * _SECOND
        if _offset(zone, middle) == offset:
            new = middle
        else:
            old = middle
    return new


def _offset(zone: tzinfo, at: datetime) -> timedelta:
    return at.replace(tzinfo=UTC).astimezone(zone).utcoffset() or timedelta(0)


def _days_after(day: date, months: frozenset[int]) -> Iterator[date]:
    """Yield the days after ``day`` that are in one of the months."""
    last = day.year + _YEARS
    while day.year <= last:
        day += _DAY
        while day.month not in months and day.year <= last:
            day = (day.replace(day=1) + 32 * _DAY).replace(day=1)
        yield day


def _least(numbers: frozenset[int], least: int) -> int | None:
    return min((number for number in numbers if number >= least), default=None)
