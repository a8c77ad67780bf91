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


def stalls(changes: list[Change], down: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the longest times in which no node began, with their beginnings, the longest first.

    While all workers are struck at once nobody begins anything, so that these are to be looked at
    beside the faults; what is taken off is the same as of recoveries.
    """
    nodes = (change for change in changes if change.run_id is not None)
    begun = [change.at.timestamp() for change in nodes if change.became == "running"]
    times = pairwise(sorted(begun))
    found = [(until - since - _overlap(since, until, down), since) for since, until in times]
    return [(since, seconds) for seconds, since in sorted(found, reverse=True)[:3]]


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
