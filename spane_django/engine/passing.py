"""Passing gates: how many each lets through now, and what those that start leave behind.

How many run at a gate is counted from the rows under the gate's lock, so that two workers cannot
both take its last place.  A gate that somebody else has locked is left alone: whoever holds it
wakes another worker if it cannot take everything itself.  So nobody waits for a gate, whatever
else its transaction has locked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from ..core.limits import BreakerStatus, GateRow, free, started
from ..models import NodeRun
from .rows import RunRow
from .rules import is_known, note, rule_of
from .sql import statements
from .versions import prepared


class Glimpses:
    """Gates of which something was seen a moment ago, so that nobody need look again at once.

    What is taken for granted is never how many may start: it is whether somebody may have to be
    told, and whether an operator has just opened a breaker.
    """

    def __init__(self) -> None:
        self._until: dict[str, datetime] = {}

    def note(self, gate: str, seen: bool, now: datetime) -> None:
        """Take note of what was seen now."""
        if not seen:
            self._until.pop(gate, None)
            return
        if len(self._until) > _MOST_GLIMPSES:
            self._until.clear()
        self._until[gate] = now + _GLIMPSE

    def hold(self, gate: str, now: datetime) -> bool:
        """Say whether it was seen a moment ago."""
        return gate in self._until and now < self._until[gate]

    def forget(self) -> None:
        self._until.clear()


_GLIMPSE = timedelta(seconds=0.25)
_MOST_GLIMPSES = 10_000

closed = Glimpses()
"""Gates whose breaker is closed."""

roomy = Glimpses()
"""Gates at which at most half of the places were taken."""


class Gates:
    """The gates that a transaction has come to, locked until it ends.

    Attributes:
        free: How many each lets through; None: any number.
    """

    def __init__(self, now: datetime) -> None:
        self.free: dict[str, int | None] = {"": None}
        self._now = now
        self._rows: dict[str, GateRow] = {}
        self._changed: set[str] = set()
        self._running: dict[str, int] = {}
        self._started: Counter[str] = Counter()

    def lock(self, gates: Iterable[str]) -> None:
        """Lock gates, and find out how many each lets through."""
        met = [gate for gate in gates if gate not in self.free]
        if not met:
            return
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
            count = running.get(key, 0)
            self.free[key] = free(row, count, self._now)
            closed.note(key, row.breaker is BreakerStatus.CLOSED, self._now)
            self._running[key] = count

    def pass_through(self, taken: Iterable[tuple[str, int]]) -> None:
        """Note how many have passed each gate."""
        for gate, count in taken:
            most = self.free.get(gate)
            if most is not None:
                self.free[gate] = most - count
            self._started[gate] += count

    def write(self) -> None:
        """Write the gates that have changed."""
        for key, row in self._rows.items():
            if started(row, self._started[key], self._now):
                self._changed.add(key)
            count, most = self._running[key] + self._started[key], row.max_running
            roomy.note(key, most is None or 2 * count <= most, self._now)
        if self._changed:
            rows = [self._rows[key] for key in sorted(self._changed)]
            statements().change_gates(rows, now=self._now)

    def shut(self) -> dict[str, datetime]:
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


def learn(firsts: Mapping[str, int]) -> None:
    """Find out the rules of gates that this process has not met, from the nodes behind them.

    Args:
        firsts: Gates, each with a node run behind it.
    """
    unknown = {gate: first for gate, first in firsts.items() if not is_known(gate)}
    if not unknown:
        return
    runs = NodeRun.objects.filter(id__in=unknown.values()).select_related("execution")
    for run in runs.only("node_id", "execution__version_id", "execution__key", "execution__tenant"):
        node = prepared(run.execution.version_id).nodes.get(run.node_id)
        if node is not None and node.rule is not None:
            node.rule.gate(run.execution.lane_key)
    for gate in unknown:
        note(gate)


def let_through(
    rows: Sequence[RunRow], places: Mapping[str, int], room: int, *, now: datetime
) -> list[RunRow]:
    """Return those of released node runs that may start at once, ``room`` at most.

    Beyond the places that were handed over, a gate must have more room than is asked for: where
    it has not, others wait, and theirs is the next turn.

    Args:
        places: By gate, how many may take the place of a node that has ended.
    """
    gates = Gates(now)
    asked = Counter(row.gate for row in rows if row.gate)
    gates.lock(asked - Counter(places))
    open_to = {"": room}
    for gate, count in asked.items():
        handed = places.get(gate, 0)
        spare = gates.free.get(gate, 0)
        beyond = count - handed
        open_to[gate] = count if spare is None or spare - handed > beyond > 0 else handed
    passed: list[RunRow] = []
    for row in rows:
        if open_to[row.gate] and len(passed) < room:
            open_to[row.gate] -= 1
            passed.append(row)
    gates.pass_through(Counter(row.gate for row in passed).items())
    gates.write()
    return passed
