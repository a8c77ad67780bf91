"""An attempt that has ended: what running hands to settling."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from ..core.json import Json
from ..core.outcome import Outcome
from .claim import Claim
from .rows import CompletedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line for an execution's log, not written yet."""

    execution_id: UUID
    node_id: str
    attempt: int
    level: str
    message: str
    data: Json
    created_at: datetime


@dataclass(slots=True, kw_only=True)
class Finished:
    """An attempt that has ended, with everything to be committed about it.

    Attributes:
        output: The data of a completed node, encoded as JSON text where it was made.
        lines: What the node wrote to the log.
        ahead: Successors that have run already and are committed in the same transaction, as
            far as they are released to this worker.
        settled: The queues with new work, if the attempt has been settled already.
        traceparent: The attempt's place in its trace; None where nothing is traced.
    """

    claim: Claim
    outcome: Outcome
    started_at: datetime | None
    finished_at: datetime
    output: str = "null"
    lines: list[Line] = field(default_factory=list)
    ahead: list[Finished] = field(default_factory=list)
    settled: set[str] | None = None
    traceparent: str | None = None


def completed_row(
    finished: Finished, *, output: str | None = None, next_nodes: str | None = None
) -> CompletedRow:
    """Return what is recorded of an attempt that completed its node.

    Args:
        output: What it hands on, if that is not what the attempt has answered.
        next_nodes: The children that it chose, as JSON text; None: all.
    """
    return CompletedRow(
        id=finished.claim.id,
        token=finished.claim.token,
        output=finished.output if output is None else output,
        next_nodes=next_nodes,
        started_at=finished.started_at or finished.finished_at,
        finished_at=finished.finished_at,
    )
