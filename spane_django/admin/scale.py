"""The scale of a timeline: where an instant stands between 0 and 100, and what its ticks say.

Long stretches in which nothing ran would press everything else into slivers, so they are drawn
as narrow breaks, each with its length in words:

* a stretch is long if it outlasts all work together, and a second;
* a break takes `_BREAK` percent, and all of them together no more than half of the scale.

Ticks count from the start, and behind a break from the end of the break.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from .present import spelled

WHOLE = 100.0
_BREAK = 6.0
_MOST_BREAKS = 50.0
_LONG = timedelta(seconds=1)
# A label needs so much of the scale.
_ROOM = 13.0
_STEPS = [
    timedelta(milliseconds=number * unit) for unit in (1, 10, 100) for number in (1, 2, 5)
] + [
    timedelta(seconds=seconds)
    for seconds in (
        1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200,
        86_400, 172_800, 604_800, 1_209_600, 2_592_000, 7_776_000, 31_536_000,
    )
]  # fmt: skip

Stretch = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Label:
    """A text on the scale; ``anchor`` is SVG's: on which side of ``x`` it stands."""

    x: str
    text: str
    anchor: str
    is_break: bool


@dataclass(frozen=True, slots=True)
class Break:
    """A stretch that is drawn shorter than it was, with its length in words."""

    x: str
    width: str
    length: str


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of the scale that is even in itself."""

    begin: datetime
    end: datetime
    left: float
    width: float
    is_break: bool

    def place(self, at: datetime) -> float:
        whole = (self.end - self.begin) / timedelta(microseconds=1) or 1.0
        return self.left + self.width * ((at - self.begin) / timedelta(microseconds=1) / whole)


class Scale:
    """Places instants of an execution.

    Args:
        work: The stretches in which something ran.
        is_even: Draw every stretch as long as it was.

    Attributes:
        long: The stretches that are drawn shorter, or would be.
    """

    def __init__(
        self, begin: datetime, end: datetime, work: Iterable[Stretch], *, is_even: bool = False
    ) -> None:
        self.begin, self.end = begin, max(begin, end)
        gaps = list(_idle(self.begin, self.end, work))
        busy = self.end - self.begin - sum((to - since for since, to in gaps), timedelta())
        least = max(busy, _LONG)
        self.long = [(since, to) for since, to in gaps if to - since > least] if busy else []
        self._pieces = list(self._cut([] if is_even else self.long))
        self._begins = [piece.begin for piece in self._pieces]

    def place(self, at: datetime) -> float:
        """Return where an instant stands, from 0 to 100; what lies outside stands at an end."""
        at = min(max(at, self.begin), self.end)
        return self._pieces[max(bisect_right(self._begins, at) - 1, 0)].place(at)

    def breaks(self) -> list[Break]:
        """Return the stretches that are drawn shorter than they were."""
        return [
            Break(percent(piece.left), percent(piece.width), spelled(piece.end - piece.begin))
            for piece in self._pieces
            if piece.is_break
        ]

    def labels(self) -> list[Label]:
        """Return the ticks, and the lengths of the breaks, that do not run into each other."""
        labels: list[Label] = []
        free = 0.0
        for piece, after in zip(self._pieces, [*self._pieces[1:], None], strict=True):
            ends = WHOLE if after is None else after.left + after.width / 2 - _ROOM / 2
            for x, text in _marks(piece):
                room = _ROOM / 2 if piece.is_break else 0.0
                if x - room >= free and (piece.is_break or x + _ROOM <= ends):
                    anchor = "middle" if piece.is_break else "start"
                    labels.append(Label(percent(x), text, anchor, is_break=piece.is_break))
                    free = x + _ROOM - room
        return labels

    def _cut(self, breaks: list[Stretch]) -> Iterator[_Piece]:
        narrow = min(_BREAK, _MOST_BREAKS / len(breaks)) if breaks else 0.0
        idle = sum((to - since for since, to in breaks), timedelta())
        even = (self.end - self.begin - idle) / timedelta(microseconds=1) or 1.0
        share = (WHOLE - narrow * len(breaks)) / even
        at, left = self.begin, 0.0
        for since, to in [*breaks, (self.end, self.end)]:
            width = (since - at) / timedelta(microseconds=1) * share
            if since > at or not breaks:
                yield _Piece(at, since, left, width, is_break=False)
            left += width
            if to > since:
                yield _Piece(since, to, left, narrow, is_break=True)
                left += narrow
            at = to


def percent(part: float) -> str:
    """Return a length of the scale as SVG wants it."""
    return f"{part:.1f}%"


def _marks(piece: _Piece) -> Iterator[tuple[float, str]]:
    length = piece.end - piece.begin
    if piece.is_break:
        yield piece.left + piece.width / 2, spelled(length)
        return
    is_first = not piece.left
    most = max(int(piece.width / _ROOM), 1)
    step = next((step for step in _STEPS if length / step <= most), _STEPS[-1])
    for number in range(0 if is_first else 1, int(length / step) + 1):
        x = piece.place(piece.begin + number * step)
        yield x, f"{'' if is_first else '+'}{spelled(number * step)}"


def _idle(begin: datetime, end: datetime, work: Iterable[Stretch]) -> Iterator[Stretch]:
    """Yield the stretches between ``begin`` and ``end`` in which nothing ran."""
    at = begin
    for since, to in sorted(work):
        if since > at:
            yield at, min(since, end)
        at = max(at, to)
    if at < end:
        yield at, end
