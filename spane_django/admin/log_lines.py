"""The log of an execution, read in pages: what nodes wrote, and what happened around it.

What nodes wrote are rows, in the order of their numbers; what happened is told by `story.events`
from other rows, in the order of time.  A page is made of both, each continued where the page
before it ended: its `Place` in either.  Nothing is skipped and nothing told twice however many
lines there are, and a page costs the same everywhere in the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from django.db.models import QuerySet
from django.http import QueryDict

from ..models import Execution, LogLine
from ..models.story import LogEntry, entry_of, events
from .timeline import number

LEVELS = ("debug", "info", "warning", "error")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines are wanted.

    Attributes:
        node: Empty: of all nodes and of the execution itself.
        attempt: None: of all.
        level: This one and what is worse; empty: all.
        text: A part of the message, in capitals or not.
        only_lines: Leave out what nodes have not written themselves.
    """

    node: str = ""
    attempt: int | None = None
    level: str = ""
    text: str = ""
    only_lines: bool = False

    @classmethod
    def by(cls, given: QueryDict) -> Wanted:
        """Return what an address asks for: ``of`` or else ``node`` says which node's."""
        level = given.get("level", "")
        return cls(
            # No database finds a NUL in a text.
            node=given.get("of", given.get("node", "")).replace("\0", ""),
            attempt=number(given.get("attempt", "")) or None,
            level=level if level in LEVELS else "",
            text=given.get("text", "").replace("\0", "").strip(),
            only_lines=given.get("lines") == "only",
        )

    @property
    def is_everything(self) -> bool:
        return self == Wanted()

    def fits(self, entry: LogEntry) -> bool:
        return (
            entry.node_id in (self.node or entry.node_id,)
            and (self.attempt is None or entry.attempt == self.attempt)
            and entry.level in self._levels
            and self.text.lower() in entry.message.lower()
        )

    @property
    def _levels(self) -> tuple[str, ...]:
        return LEVELS[LEVELS.index(self.level) if self.level else 0 :]

    def conditions(self) -> dict[str, object]:
        """Return what the rows must have."""
        asked = {"node_id": self.node, "attempt": self.attempt, "message__icontains": self.text}
        found: dict[str, object] = {column: value for column, value in asked.items() if value}
        return {**found, "level__in": self._levels} if self.level else found


@dataclass(frozen=True, slots=True)
class Place:
    """How far a log has been read.

    Attributes:
        line: The number of the last row; 0: none.
        at: The microsecond of the last event, since 1970; 0: none.
        told: How many events of that microsecond have been read.
    """

    line: int = 0
    at: int = 0
    told: int = 0

    def __str__(self) -> str:
        return f"{self.line}.{self.at}.{self.told}"

    @classmethod
    def of(cls, text: str) -> Place:
        """Return the place that a text names; the beginning if it names none."""
        parts = text.split(".")
        if len(parts) != 3 or not all(map(_is_number, parts)):
            return cls()
        return cls(*map(int, parts))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


@dataclass(frozen=True, slots=True)
class Told:
    """A line of the log; ``line`` is the number of its row, 0: it is an event."""

    entry: LogEntry
    line: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines; ``after`` is where the next ones are, None: there are none."""

    lines: list[Told]
    after: Place | None


def told_by(row: LogLine) -> Told:
    """Return a row as a line of the log."""
    return Told(entry_of(row), row.pk)


class Log:
    """The log of one execution.

    Args:
        is_newest_first: The direction in which it is read.
    """

    def __init__(self, execution: Execution, wanted: Wanted, *, is_newest_first: bool) -> None:
        self._rows = execution.log_lines.filter(**wanted.conditions())
        self._execution, self._wanted = execution, wanted
        self._is_newest_first = is_newest_first

    def page(self, place: Place, limit: int) -> Page:
        """Return up to ``limit`` lines from a place on."""
        rows = [told_by(row) for row in self._rows_from(place)[: limit + 1]]
        events = self._events_from(place)
        found = list(self._merged(rows, events[: limit + 1]))
        lines = found[:limit]
        return Page(lines, _behind(place, lines) if len(found) > limit else None)

    def pages(self, size: int) -> Iterator[list[Told]]:
        """Yield all of it, ``size`` lines at a time."""
        place: Place | None = Place()
        while place is not None:
            page = self.page(place, size)
            yield page.lines
            place = page.after

    def _rows_from(self, place: Place) -> QuerySet[LogLine]:
        if not self._is_newest_first:
            return self._rows.filter(pk__gt=place.line).order_by("pk")
        rows = self._rows.filter(pk__lt=place.line) if place.line else self._rows
        return rows.order_by("-pk")

    @cached_property
    def _events(self) -> list[LogEntry]:
        if self._wanted.only_lines:
            return []
        found = [entry for entry in events(self._execution) if self._wanted.fits(entry)]
        return found[::-1] if self._is_newest_first else found

    def _events_from(self, place: Place) -> list[LogEntry]:
        if not place.at:
            return self._events
        sign = -1 if self._is_newest_first else 1
        later = [entry for entry in self._events if sign * (_micro(entry.at) - place.at) >= 0]
        return later[place.told :]

    def _merged(self, rows: list[Told], events: list[LogEntry]) -> Iterator[Told]:
        """Yield both in the order of time, each in its own order."""
        waiting = list(reversed(rows))
        for entry in events:
            while waiting and self._comes_before(waiting[-1].entry.at, entry.at):
                yield waiting.pop()
            yield Told(entry)
        yield from reversed(waiting)

    def _comes_before(self, line: datetime, event: datetime) -> bool:
        return line >= event if self._is_newest_first else line < event


def _behind(place: Place, lines: list[Told]) -> Place:
    """Return the place behind lines that were read from ``place`` on."""
    rows = [told.line for told in lines if told.line]
    instants = [_micro(told.entry.at) for told in lines if not told.line]
    line = rows[-1] if rows else place.line
    if not instants:
        return Place(line, place.at, place.told)
    at = instants[-1]
    before = place.told if at == place.at else 0
    return Place(line, at, before + instants.count(at))


def _micro(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)
