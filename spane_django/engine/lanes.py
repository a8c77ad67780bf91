"""Claiming where nodes wait in lanes: the room is shared, and gates let through what they may.

`core.lanes` says how a room is dealt out and `passing` how many a gate lets through; this module
asks the database for lanes and takes from them.

What a worker remembers from one claim to the next is a hint: losing it costs a statement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING
from uuid import UUID

from ..core.lanes import deal, pivot
from ..models import NodeRun
from .passing import Gates, learn
from .rows import ClaimedRow, LaneRange, LaneRow
from .sql import statements

if TYPE_CHECKING:
    from .claim import Want

# Whether nodes wait in lanes is asked again after so long.
_REMEMBERED = timedelta(seconds=5)
_PRIORITIES = range(10, 0, -1)
_FOREVER = timedelta(days=36_500)
_MOST_LANES = 1_000


@dataclass(slots=True)
class Memory:
    """What a worker remembers of its queue.

    Attributes:
        laned_until: Until then it takes for granted that nodes wait in lanes.
        pivots: By priority, the lane behind which the next claim goes on.
        opens: When the gates open that it has found closed for a time.
    """

    laned_until: datetime | None = None
    pivots: dict[int, str] = field(default_factory=dict)
    opens: dict[str, datetime] = field(default_factory=dict)

    def ranges(self) -> list[LaneRange]:
        """Return what to look through: all priorities, each from its pivot on and around."""
        found = []
        for priority in _PRIORITIES:
            last = self.pivots.get(priority)
            found.append(LaneRange(priority, last or ""))
            found += [] if last is None else [LaneRange(priority, "", last)]
        return found

    def go_on_behind(self, priority: int, lane: str | None) -> None:
        """Begin the next claim behind a lane; None: at the first one."""
        self.pivots.pop(priority, None)
        if lane is not None:
            self.pivots[priority] = lane


@lru_cache(maxsize=256)
def memory_of(worker_id: UUID) -> Memory:
    """Return what a worker of this process remembers."""
    return Memory()


def expects_lanes(worker_id: UUID, *, now: datetime) -> bool:
    """Say whether a worker takes for granted that nodes wait in lanes."""
    until = memory_of(worker_id).laned_until
    return until is not None and now < until


def note_openings(worker_id: UUID, opens: Mapping[str, datetime]) -> None:
    """Tell a worker when gates open that have just closed."""
    memory_of(worker_id).opens |= opens


def next_opening(worker_id: UUID, *, now: datetime) -> datetime | None:
    """Return when the next of the gates opens that a worker has found closed for a time."""
    memory = memory_of(worker_id)
    memory.opens = {gate: at for gate, at in memory.opens.items() if at > now}
    return min(memory.opens.values(), default=None)


def queues_in_use() -> Iterator[str]:
    """Yield the queues in which nodes are ready or wait, one look at the index for each."""
    names = NodeRun.objects.unclaimed().order_by("queue").values_list("queue", flat=True)
    name = names.first()
    while name is not None:
        yield name
        name = names.filter(queue__gt=name).first()


def has_due(queue: str, *, now: datetime) -> bool:
    """Say whether a worker of a queue could take something now."""
    ranges = Memory().ranges()
    return bool(statements().lanes(queue=queue, ranges=ranges, most=1, due_by=now, now=now))


def first_due(queue: str, *, now: datetime) -> datetime | None:
    """Return when the next node run of a queue is due that no gate holds back."""
    lanes = statements().lanes(
        queue=queue, ranges=Memory().ranges(), most=100_000, due_by=now + _FOREVER, now=now
    )
    return min((lane.available_at for lane in lanes if lane.available_at), default=None)


def oldest_due(queue: str, *, now: datetime) -> datetime | None:
    """Return since when the node run of a queue has been due that has waited longest.

    What a gate holds back does not count: no worker could take it.  Of very many lanes only
    the first are looked at.
    """
    lanes = statements().lanes(
        queue=queue, ranges=Memory().ranges(), most=_MOST_LANES, due_by=now, now=now
    )
    return min((lane.available_at for lane in lanes if lane.available_at), default=None)


def share(want: Want, room: int, *, token: UUID, now: datetime) -> list[ClaimedRow]:
    """Claim up to ``room`` node runs, lane by lane, inside the caller's transaction."""
    memory = memory_of(want.worker_id)
    memory.laned_until = now + _REMEMBERED
    sharing = _Sharing(want, room, token, now, memory)
    sharing.claim()
    return sharing.rows


@dataclass(slots=True)
class _Sharing:
    """One claim in progress."""

    want: Want
    room: int
    token: UUID
    now: datetime
    memory: Memory
    rows: list[ClaimedRow] = field(default_factory=list)

    def claim(self) -> None:
        gates = Gates(self.now)
        is_cut = True
        while self.room and is_cut:
            most, before = self.room, len(self.rows)
            lanes = statements().lanes(
                queue=self.want.queue,
                ranges=self.memory.ranges(),
                most=most,
                due_by=self.now,
                now=self.now,
            )
            learn({lane.gate: lane.first_id for lane in lanes if lane.gate})
            gates.lock({lane.gate for lane in lanes})
            is_cut = len(lanes) == most
            for priority, level in groupby(lanes, key=lambda lane: lane.priority):
                self._take(priority, list(level), gates, is_cut=is_cut)
            is_cut = is_cut and len(self.rows) > before
        gates.write()
        self.memory.opens |= gates.shut()

    def _take(self, priority: int, lanes: Sequence[LaneRow], gates: Gates, *, is_cut: bool) -> None:
        """Deal the room out to the lanes of a priority, until it is full or they are empty."""
        turns = lanes
        while self.room and turns:
            shares = deal([lane.gate for lane in turns], self.room, gates.free)
            if turns is lanes:
                last = pivot([lane.lane for lane in lanes], shares)
                # A lane that is alone needs no turns, and looking around it would cost.
                self.memory.go_on_behind(priority, last if len(lanes) > 1 or is_cut else None)
            dealt = [(lane, most) for lane, most in zip(turns, shares, strict=True) if most]
            if not dealt:
                return
            rows = statements().take(
                {lane.lane: most for lane, most in dealt},
                queue=self.want.queue,
                priority=priority,
                worker_id=self.want.worker_id,
                token=self.token,
                now=self.now,
            )
            self.rows += rows
            self.room -= len(rows)
            taken = Counter(row.turn for row in rows)
            gates.pass_through((lane.gate, taken[turn]) for turn, (lane, _) in enumerate(dealt))
            turns = [lane for turn, (lane, most) in enumerate(dealt) if taken[turn] == most]
