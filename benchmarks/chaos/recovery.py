"""Recovery: how long what a dead worker ran lay still, from the fault to the next change of it.

From the history: what was running in one of the struck processes at that moment, and when its
node run changed next.  Time in which PostgreSQL was down, or in which all schedulers were dead or
frozen at once, is taken off: nobody could have done anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from .faults import Strike
from .history import Change

# How long a worker needs to begin, with the machine busy; and Redis's clients to try again.
_GRACE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """One node run that a fault took its worker from.

    Attributes:
        seconds: Until it changed; less what is taken off.
    """

    kind: str
    execution: str
    node: str
    at: float
    seconds: float


def recoveries(
    strikes: list[Strike],
    changes: list[Change],
    pids: dict[Any, int],
    down: list[tuple[float, float]],
) -> Iterator[Recovery]:
    """Yield what each strike took from its worker, and how long it lay still."""
    spells = list(_spells(changes))
    for strike in strikes:
        struck = set(strike.pids)
        for change, until in spells:
            began = change.at.timestamp()
            if pids.get(change.worker_id) in struck and began <= strike.at < until:
                seconds = until - strike.at - _overlap(strike.at, until, down)
                key, node = str(change.execution_id), change.node_id or ""
                yield Recovery(strike.kind, key, node, strike.at, seconds)


@dataclass(frozen=True, slots=True)
class Stall:
    """A time in which no node began.

    Attributes:
        seconds: How long; less what is taken off of recoveries.
        idle: For how much of it, at one stretch, a worker had not been struck, nor anything that
            all need, and its processes had had time to begin.
    """

    at: float
    seconds: float
    idle: float


def stalls(
    strikes: list[Strike],
    changes: list[Change],
    workers: list[str],
    down: list[tuple[float, float]],
) -> list[Stall]:
    """Return the times in which no node began while faults struck, the longest first.

    While all workers are struck at once nobody begins anything; while one is whole, it should.
    """
    nodes = (change for change in changes if change.run_id is not None)
    begun = [change.at.timestamp() for change in nodes if change.became == "running"]
    last = max((strike.at for strike in strikes), default=0.0)
    found = [
        Stall(
            since,
            until - since - _overlap(since, until, down),
            max(_longest_free(since, until, [*_spoilt(strikes, name), *down]) for name in workers),
        )
        for since, until in pairwise(sorted(begun))
        if since < last
    ]
    return sorted(found, key=lambda stall: -stall.seconds)


def _spoilt(strikes: list[Strike], worker: str) -> Iterator[tuple[float, float]]:
    """Yield when a worker could not be expected to work, which some seconds after a fault it is."""
    for strike in strikes:
        if strike.target in (worker, ""):
            lasts = 0.0 if strike.kind == "skew the clock" else strike.seconds
            yield strike.at, strike.at + lasts + _GRACE_SECONDS


def _longest_free(begin: float, end: float, taken: list[tuple[float, float]]) -> float:
    """Return the longest stretch of a time that lies outside of others, which may overlap."""
    longest, free_since = 0.0, begin
    for since, until in sorted(taken):
        longest = max(longest, min(since, end) - free_since)
        free_since = max(free_since, until)
    return max(longest, end - free_since)


def _spells(changes: list[Change]) -> Iterator[tuple[Change, float]]:
    """Yield each time in which a node ran, with its end."""
    by_run: dict[Any, list[Change]] = defaultdict(list)
    for change in changes:
        if change.run_id is not None:
            by_run[change.run_id].append(change)
    for steps in by_run.values():
        for step, following in pairwise(steps):
            if step.became == "running":
                yield step, following.at.timestamp()


def _overlap(begin: float, end: float, down: list[tuple[float, float]]) -> float:
    """Return how much of a time lies within others, which may overlap."""
    total, covered = 0.0, begin
    for since, until in sorted(down):
        total += max(0.0, min(end, until) - max(covered, since))
        covered = max(covered, min(end, until))
    return total
