"""How many nodes may start now: limits at once, rates, and the circuit breaker, as arithmetic.

A *gate* is what nodes of a type, or with a key, pass one by one.  It holds them back, never
fails them: what may not start now stays ready.

* At once: how many run is counted by the caller, from rows, so that no counter can leak.
* Rate: the generic cell rate algorithm, which keeps one instant instead of a list of starts:
  when the bucket will be full again.  A bucket holds `count` starts and refills evenly.
  See: ITU-T I.371, annex A, where the instant is called the theoretical arrival time.
* Breaker: failures in a row open it; nothing starts until it has cooled down; then one node at
  a time tries, until enough have succeeded to close it or one has failed to open it again.

Nothing here knows of databases, queues or clocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many starts per period, all of them at once if nothing has started for so long."""

    count: int
    per: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What limits the nodes of a type, or a node.

    Attributes:
        max: So many run at once; None: any number.
        rate: So many start in a time; None: any number.
        per_key: Each key of executions has a limit of its own.
        name: Nodes whose limits have the same name share one; empty: only the type's nodes, or
            this node of all executions.
    """

    max: int | None = None
    rate: Rate | None = None
    per_key: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """When nodes that keep failing are held back.

    Attributes:
        failures: So many in a row open it; retries count one by one.
        successes: So many in a row, tried one at a time, close it again.
        cooldown: How long it stays open before the first try.
    """

    failures: int = 5
    successes: int = 1
    cooldown: timedelta = timedelta(seconds=30)


class BreakerStatus(StrEnum):
    """Whether a breaker lets nodes through."""

    CLOSED = "closed"
    """All of them."""
    OPEN = "open"
    HALF_OPEN = "half_open"
    """One at a time, to see."""


class BreakerEvent(StrEnum):
    """What happens to a breaker."""

    TRIPPED = "tripped"
    """Enough have failed in a row; while it is half open one is enough."""
    TRIED = "tried"
    """It has cooled down, and a node starts."""
    PROVEN = "proven"
    """Enough have succeeded in a row."""


_BREAKER: dict[tuple[BreakerStatus, BreakerEvent], BreakerStatus] = {
    (BreakerStatus.CLOSED, BreakerEvent.TRIPPED): BreakerStatus.OPEN,
    (BreakerStatus.OPEN, BreakerEvent.TRIED): BreakerStatus.HALF_OPEN,
    (BreakerStatus.HALF_OPEN, BreakerEvent.TRIPPED): BreakerStatus.OPEN,
    (BreakerStatus.HALF_OPEN, BreakerEvent.PROVEN): BreakerStatus.CLOSED,
}


@dataclass(slots=True)
class GateRow:
    """A gate as it stands: what was declared, and what has happened at it.

    Attributes:
        source: The version that declared it, so that an older one does not undo a newer one's
            word; 0: a node type or the settings.
        full_at: When the bucket of its rate will be full again; None: it is.
        blocked_until: Nothing starts before.
    """

    key: str
    source: int = 0
    max_running: int | None = None
    rate_count: int | None = None
    rate_seconds: float | None = None
    failure_threshold: int | None = None
    success_threshold: int = 1
    cooldown_seconds: float = 30.0
    full_at: datetime | None = None
    breaker: BreakerStatus = BreakerStatus.CLOSED
    failures: int = 0
    successes: int = 0
    blocked_until: datetime | None = None

    @property
    def rate(self) -> Rate | None:
        if self.rate_count is None or self.rate_seconds is None:
            return None
        return Rate(self.rate_count, timedelta(seconds=self.rate_seconds))


def limit_from(given: Mapping[str, Any]) -> Limit:
    """Read a ``limit`` of the wire."""
    rate, most = given.get("rate"), given.get("max")
    return Limit(
        # In JSON 5.0 is an integer, too.
        max=None if most is None else int(most),
        rate=rate and Rate(int(rate["count"]), timedelta(milliseconds=rate["perMs"])),
        per_key=given.get("perKey", False),
        name=given.get("name", ""),
    )


def breaker_from(given: Mapping[str, Any]) -> Breaker:
    """Read a ``circuitBreaker`` of the wire."""
    standard = Breaker()
    cooldown = given.get("timeout")
    return Breaker(
        failures=int(given.get("failureThreshold", standard.failures)),
        successes=int(given.get("successThreshold", standard.successes)),
        cooldown=standard.cooldown if cooldown is None else timedelta(milliseconds=cooldown),
    )


def allowance(full_at: datetime | None, rate: Rate, now: datetime) -> int:
    """Return how many may start now, from none to the rate's count."""
    missing = max(full_at - now, timedelta()) if full_at else timedelta()
    return max(0, (rate.per - missing) * rate.count // rate.per)


def after(full_at: datetime | None, rate: Rate, now: datetime, started: int) -> datetime:
    """Return when the bucket is full again once ``started`` have started now."""
    begins = max(full_at, now) if full_at else now
    # Rounded down, so that what is left is never less than what was not taken.
    return begins + (rate.per * started // _MICROSECOND // rate.count) * _MICROSECOND


def opens_at(full_at: datetime, rate: Rate) -> datetime:
    """Return when the next may start if none may start now."""
    share = -(-(rate.per // _MICROSECOND) // rate.count)
    return full_at - rate.per + share * _MICROSECOND


def free(gate: GateRow, running: int, now: datetime) -> int | None:
    """Return how many may start now; None: any number.

    Args:
        running: How many run now.
    """
    if gate.blocked_until is not None and gate.blocked_until > now:
        return 0
    rooms = []
    if gate.breaker is not BreakerStatus.CLOSED:
        rooms.append(1 - running)
    if gate.max_running is not None:
        rooms.append(gate.max_running - running)
    if gate.rate is not None:
        rooms.append(allowance(gate.full_at, gate.rate, now))
    return max(0, min(rooms)) if rooms else None


def started(gate: GateRow, count: int, now: datetime) -> bool:
    """Take note of nodes that start now, if any; say whether the gate has changed."""
    before = (gate.breaker, gate.full_at, gate.blocked_until)
    if count and gate.breaker is BreakerStatus.OPEN:
        _move(gate, BreakerEvent.TRIED, now)
    if gate.rate is not None:
        gate.full_at = after(gate.full_at, gate.rate, now, count)
        if not allowance(gate.full_at, gate.rate, now):
            gate.blocked_until = opens_at(gate.full_at, gate.rate)
    return before != (gate.breaker, gate.full_at, gate.blocked_until)


def ended(gate: GateRow, successes: Iterable[bool], now: datetime) -> bool:
    """Take note of attempts that have ended, oldest first; say whether the gate has changed.

    What began before the breaker opened and ends while it is open says nothing new.
    """
    before = (gate.breaker, gate.failures, gate.successes)
    for is_success in successes:
        _count(gate, is_success=is_success)
        if event := _event(gate):
            _move(gate, event, now)
    return before != (gate.breaker, gate.failures, gate.successes)


def _count(gate: GateRow, *, is_success: bool) -> None:
    if gate.failure_threshold is None or gate.breaker is BreakerStatus.OPEN:
        return
    if not is_success:
        gate.failures += 1
    elif gate.breaker is BreakerStatus.HALF_OPEN:
        gate.successes += 1
    else:
        gate.failures = 0


def _event(gate: GateRow) -> BreakerEvent | None:
    is_trial = gate.breaker is BreakerStatus.HALF_OPEN
    enough = 1 if is_trial else gate.failure_threshold
    if enough is not None and gate.breaker is not BreakerStatus.OPEN and gate.failures >= enough:
        return BreakerEvent.TRIPPED
    if is_trial and gate.successes >= gate.success_threshold:
        return BreakerEvent.PROVEN
    return None


def _move(gate: GateRow, event: BreakerEvent, now: datetime) -> None:
    gate.breaker = _BREAKER[gate.breaker, event]
    gate.failures = gate.successes = 0
    is_open = gate.breaker is BreakerStatus.OPEN
    gate.blocked_until = now + timedelta(seconds=gate.cooldown_seconds) if is_open else None
