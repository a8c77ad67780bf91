"""Claiming where nodes wait in lanes: the room is shared, and gates let through what they may.

`core.lanes` says how a room is dealt out and `core.limits` how many a gate lets through; this
module asks the database and writes what follows.  How many run at a gate is counted from the
rows under the gate's lock, so that two workers cannot both take its last place.  A gate that
somebody else has locked is left alone: whoever holds it wakes another worker if it cannot take
everything itself.

What a worker remembers from one claim to the next is a hint: losing it costs a statement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING
from uuid import UUID

from ..core.lanes import deal, pivot
from ..core.limits import BreakerStatus, GateRow, free, started
from ..models import NodeRun
from .rows import ClaimedRow, LaneRange, LaneRow
from .rules import is_known, note, rule_of
from .sql import statements
from .versions import prepared

if TYPE_CHECKING:
    from .claim import Want

# Whether nodes wait in lanes is asked again after so long.
_REMEMBERED = timedelta(seconds=5)
_PRIORITIES = range(10, 0, -1)
_FOREVER = timedelta(days=36_500)


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
        gates = _Gates(self.now)
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
            gates.lock(lanes)
            is_cut = len(lanes) == most
            for priority, level in groupby(lanes, key=lambda lane: lane.priority):
                self._take(priority, list(level), gates, is_cut=is_cut)
            is_cut = is_cut and len(self.rows) > before
        gates.write()
        self.memory.opens |= gates.closed()

    def _take(
        self, priority: int, lanes: Sequence[LaneRow], gates: _Gates, *, is_cut: bool
    ) -> None:
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


class _Gates:
    """The gates that a claim has met, locked until its transaction ends.

    Attributes:
        free: How many each lets through; None: any number.
    """

    def __init__(self, now: datetime) -> None:
        self.free: dict[str, int | None] = {"": None}
        self._now = now
        self._rows: dict[str, GateRow] = {}
        self._changed: set[str] = set()
        self._started: Counter[str] = Counter()

    def lock(self, lanes: Iterable[LaneRow]) -> None:
        """Lock the gates of lanes, and find out how many each lets through."""
        met = {lane.gate: lane.first_id for lane in lanes if lane.gate not in self.free}
        if not met:
            return
        _learn({gate: first for gate, first in met.items() if not is_known(gate)})
        locked = {row.key: row for row in statements().lock_gates(met)}
        self._changed |= {key for key, row in locked.items() if _declare(row)}
        missing = [GateRow(key) for key in met if key not in locked]
        if missing:
            for row in missing:
                _declare(row)
            added = statements().add_gates(missing, now=self._now)
            locked |= {row.key: row for row in missing if row.key in added}
        self._rows |= locked
        counted = [key for key, row in locked.items() if _counts(row)]
        running = statements().running(counted) if counted else {}
        self.free |= dict.fromkeys(met, 0)
        for key, row in locked.items():
            self.free[key] = free(row, running.get(key, 0), self._now)

    def pass_through(self, taken: Iterable[tuple[str, int]]) -> None:
        """Note how many have passed each gate."""
        for gate, count in taken:
            most = self.free[gate]
            if most is not None:
                self.free[gate] = most - count
            self._started[gate] += count

    def write(self) -> None:
        """Write the gates that have changed."""
        for key, row in self._rows.items():
            if started(row, self._started[key], self._now):
                self._changed.add(key)
        if self._changed:
            rows = [self._rows[key] for key in sorted(self._changed)]
            statements().change_gates(rows, now=self._now)

    def closed(self) -> dict[str, datetime]:
        """Return the gates that are closed for a time, and until when."""
        return {
            key: row.blocked_until
            for key, row in self._rows.items()
            if row.blocked_until is not None and row.blocked_until > self._now
        }


def _declare(row: GateRow) -> bool:
    rule = rule_of(row.key)
    return rule is not None and rule.applied_to(row)


def _counts(row: GateRow) -> bool:
    """Say whether what runs at a gate matters."""
    return row.max_running is not None or row.breaker is not BreakerStatus.CLOSED


def _learn(unknown: dict[str, int]) -> None:
    """Find out the rules of gates that this process has not met, from the nodes behind them."""
    if not unknown:
        return
    runs = NodeRun.objects.filter(id__in=unknown.values()).select_related("execution")
    for run in runs.only("node_id", "execution__version_id", "execution__key"):
        node = prepared(run.execution.version_id).nodes.get(run.node_id)
        if node is not None and node.rule is not None:
            node.rule.gate(run.execution.key)
    for gate in unknown:
        note(gate)
