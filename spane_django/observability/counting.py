"""The receivers that count what the engine tells, once for each transaction."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from .. import signals
from ..signals import EndedAttempt, FinishedExecution, StartedExecution
from .catalogue import (
    ATTEMPTS,
    BUCKETS,
    DEAD_LETTERS,
    DURATION,
    FINISHED,
    LEASE_LOSSES,
    REFUSED,
    RETRIES,
    STARTED,
)
from .counts import Field, counts

SUM = "sum"
"""Of a histogram, the field of the sum; the others are numbers of buckets."""

_RUNS_AGAIN = frozenset({"retried", "lost"})


def connect() -> None:
    """Begin to count."""
    for signal, receiver in _RECEIVERS:
        signal.connect(receiver, weak=False)


def disconnect() -> None:
    """Count no more."""
    for signal, receiver in _RECEIVERS:
        signal.disconnect(receiver)


def _started(*, executions: Sequence[StartedExecution], **_: object) -> None:
    counts.add(Counter((STARTED.name, one.workflow) for one in executions))


def _finished(*, executions: Sequence[FinishedExecution], **_: object) -> None:
    counts.add(Counter((FINISHED.name, one.workflow, one.status) for one in executions))


def _ended(*, attempts: Sequence[EndedAttempt], **_: object) -> None:
    amounts: Counter[Field] = Counter()
    settled: Counter[str] = Counter()
    for one in attempts:
        settled[one.queue] += 1
        amounts[ATTEMPTS.name, one.queue, one.node_type, one.outcome] += 1
        if one.outcome in _RUNS_AGAIN:
            amounts[RETRIES.name, one.workflow, one.node_type] += 1
        if one.is_dead:
            amounts[DEAD_LETTERS.name, one.workflow, one.node_type] += 1
        if one.is_lost:
            amounts[LEASE_LOSSES.name, one.queue, one.node_type] += 1
        elif one.seconds is not None:
            # A worker that died says nothing of how long its nodes take.
            bucket = str(bisect_left(BUCKETS, one.seconds))
            amounts[DURATION.name, one.node_type, bucket] += 1
            amounts[DURATION.name, one.node_type, SUM] += one.seconds  # type: ignore[assignment]
    counts.add(amounts, settled)


def _refused(*, count: int, **_: object) -> None:
    counts.add({(REFUSED.name,): count})


def _flush(**_: object) -> None:
    counts.flush()


_RECEIVERS = (
    (signals.executions_started, _started),
    (signals.executions_finished, _finished),
    (signals.attempts_ended, _ended),
    (signals.answers_refused, _refused),
    (signals.drain_ended, _flush),
)
