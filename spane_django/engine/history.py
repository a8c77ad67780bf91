"""What a settlement keeps of the past: failed attempts, dead letters and log lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from ..core.json import Json
from ..core.outcome import Failure
from ..core.statuses import NodeEvent
from ..core.verdict import Verdict
from ..models import Attempt, DeadLetter, LogLine
from .claim import Claim
from .finished import Line
from .inputs import inputs_of
from .versions import prepared

Failed = tuple[Claim, Verdict, datetime | None, datetime]
"""A claim, its verdict, and when the attempt started and ended."""


def record_lines(lines: Sequence[Line]) -> None:
    """Write log lines."""
    if lines:
        LogLine.objects.bulk_create(
            [
                LogLine(
                    execution_id=line.execution_id,
                    node_id=line.node_id,
                    attempt=line.attempt,
                    level=line.level,
                    message=line.message,
                    data=line.data or None,
                    created_at=line.created_at,
                )
                for line in lines
            ]
        )


def record_failures(failed: Sequence[Failed]) -> None:
    """Write an attempt for each failure, and a dead letter for each that is final."""
    if not failed:
        return
    Attempt.objects.bulk_create(_attempts(failed))
    dead = [item for item in failed if item[1].event is NodeEvent.FAILED]
    if dead:
        inputs = inputs_of([claim for claim, *_ in dead])
        DeadLetter.objects.bulk_create(
            [
                _dead_letter(claim, verdict, inputs[claim.key], ended_at)
                for claim, verdict, _, ended_at in dead
            ]
        )


def _attempts(failed: Iterable[Failed]) -> Iterable[Attempt]:
    for claim, verdict, started_at, ended_at in failed:
        failure = verdict.failure or Failure(message="")
        yield Attempt(
            node_run_id=claim.id,
            number=claim.attempt,
            result=Attempt.Result.LOST if verdict.is_lost else Attempt.Result.FAILED,
            error_type=failure.type[:200],
            error_message=failure.message,
            traceback=failure.traceback,
            started_at=started_at,
            finished_at=ended_at,
        )


def _dead_letter(claim: Claim, verdict: Verdict, data: Json, at: datetime) -> DeadLetter:
    failure = verdict.failure or Failure(message="")
    return DeadLetter(
        execution_id=claim.execution_id,
        node_run_id=claim.id,
        node_id=claim.node_id,
        node_type=prepared(claim.version_id).nodes[claim.node_id].type,
        attempts=claim.attempt,
        error_type=failure.type[:200],
        error_message=failure.message,
        traceback=failure.traceback,
        input=data,
        created_at=at,
    )
