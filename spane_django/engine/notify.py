"""Telling the rest of the process what was committed: signals, sent after the commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol
from uuid import UUID

from django.dispatch import Signal

from .. import signals
from ..core.statuses import NodeEvent
from ..core.verdict import Verdict
from ..signals import EndedAttempt, FinishedExecution, StartedExecution
from .db import on_commit
from .finished import Finished
from .rows import ExecutionRow
from .versions import prepared

_OF_ATTEMPTS = (signals.attempts_ended, signals.dead_lettered, signals.leases_lost)

_OUTCOMES = {
    NodeEvent.COMPLETED: "completed",
    NodeEvent.FAILED: "failed",
    NodeEvent.RETRIED: "retried",
    NodeEvent.LOST: "lost",
    NodeEvent.DEFERRED: "waiting",
}
"""What is told of a verdict's event.  An attempt that was given back unstarted was none."""


class Judged(Protocol):
    """A finished attempt with its verdict."""

    @property
    def finished(self) -> Finished: ...
    @property
    def verdict(self) -> Verdict: ...


def notify_started(executions: Iterable[tuple[UUID, int]]) -> None:
    """Send `executions_started` once the transaction has committed.

    Args:
        executions: Ids with those of their versions.
    """
    if signals.executions_started.has_listeners():
        started = [
            StartedExecution(key, prepared(version_id).workflow_key)
            for key, version_id in executions
        ]
        if started:
            on_commit(lambda: _send(signals.executions_started, executions=started))


def notify_ended(rows: Sequence[ExecutionRow]) -> None:
    """Send `executions_finished` and `execution_finished` once the transaction has committed."""
    if not rows:
        return
    if signals.executions_finished.has_listeners():
        ended = [
            FinishedExecution(row.id, prepared(row.version_id).workflow_key, row.status.value)
            for row in rows
        ]
        on_commit(lambda: _send(signals.executions_finished, executions=ended))
    if signals.execution_finished.has_listeners():
        each = [(row.id, row.status.value) for row in rows]
        on_commit(lambda: _send_each(each))


def notify_attempts(judged: Sequence[Judged], *, refused: int) -> None:
    """Send what became of a batch of attempts once the transaction has committed.

    Args:
        refused: How many answers were not accepted.
    """
    if refused and signals.answers_refused.has_listeners():
        on_commit(lambda: _send(signals.answers_refused, count=refused))
    if judged and tells_attempts():
        # Described after the commit: until then others wait for the locks.
        on_commit(lambda: _send_attempts(judged))


def tells_attempts() -> bool:
    """Say whether anybody wants to hear what became of attempts."""
    return any(signal.has_listeners() for signal in _OF_ATTEMPTS)


def _send_attempts(judged: Sequence[Judged]) -> None:
    ended = [_ended(item) for item in judged if item.verdict.event in _OUTCOMES]
    for signal, told in (
        (signals.attempts_ended, ended),
        (signals.dead_lettered, [attempt for attempt in ended if attempt.is_dead]),
        (signals.leases_lost, [attempt for attempt in ended if attempt.is_lost]),
    ):
        if told:
            _send(signal, attempts=told)


def _ended(item: Judged) -> EndedAttempt:
    finished, verdict = item.finished, item.verdict
    claim, failure = finished.claim, verdict.failure
    version = prepared(claim.version_id)
    node = version.nodes[claim.node_id]
    # What fails for good and continues is completed for its children, and still has failed.
    is_final = verdict.event is NodeEvent.COMPLETED and failure is not None
    return EndedAttempt(
        execution_id=claim.execution_id,
        workflow=version.workflow_key,
        node_id=claim.node_id,
        node_type=node.type,
        queue=node.queue,
        attempt=claim.attempt,
        outcome="failed" if is_final else _OUTCOMES[verdict.event],
        error_type=failure.type if failure else "",
        is_dead=verdict.event is NodeEvent.FAILED,
        is_lost=verdict.is_lost,
        started_at=finished.started_at,
        finished_at=finished.finished_at,
    )


def _send_each(ended: list[tuple[UUID, str]]) -> None:
    for execution_id, status in ended:
        _send(signals.execution_finished, execution_id=execution_id, status=status)


def _send(signal: Signal, **arguments: Any) -> None:
    signal.send_robust(sender=None, **arguments)
