"""What the engine tells after it has committed: the catalogue of its signals.

They are sent in the process that made the change: a worker's for what nodes did, usually.  Each
is skipped while nobody listens, and a receiver that fails harms nothing.  Where many things
happen in one transaction there is one signal with all of them, not one for each.

``sender`` is None.  Receivers take ``**kwargs``: arguments may be added.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.dispatch import Signal


@dataclass(frozen=True, slots=True)
class StartedExecution:
    """An execution that has begun.

    Attributes:
        workflow: The workflow's id.
    """

    execution_id: UUID
    workflow: str


@dataclass(frozen=True, slots=True)
class FinishedExecution:
    """An execution that has ended.

    Attributes:
        workflow: The workflow's id.
        status: ``completed``, ``failed`` or ``cancelled``.
    """

    execution_id: UUID
    workflow: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedAttempt:
    """One try of a node that has ended.

    Attributes:
        workflow: The workflow's id.
        attempt: Its number, from 1.
        outcome: ``completed``; ``failed``: for good; ``retried``: it runs again after a failure;
            ``lost``: it runs again because its worker died; ``waiting``: it goes on later.
        error_type: The class of the error; "" if there was none.
        is_dead: Whether it has left a dead letter.
        is_lost: Whether it ended with its worker.
        started_at: None if nobody knows.
    """

    execution_id: UUID
    workflow: str
    node_id: str
    node_type: str
    queue: str
    attempt: int
    outcome: str
    error_type: str = ""
    is_dead: bool = False
    is_lost: bool = False
    started_at: datetime | None
    finished_at: datetime

    @property
    def seconds(self) -> float | None:
        """How long it took; None if nobody knows."""
        if self.started_at is None:
            return None
        return max(0.0, (self.finished_at - self.started_at).total_seconds())


executions_started = Signal()
"""Executions have begun.  Arguments: ``executions`` (list of `StartedExecution`)."""

executions_finished = Signal()
"""Executions have ended.  Arguments: ``executions`` (list of `FinishedExecution`)."""

execution_finished = Signal()
"""An execution has ended.  Arguments: ``execution_id`` (UUID), ``status`` (str)."""

attempts_ended = Signal()
"""Attempts were settled in one transaction.  Arguments: ``attempts`` (list of `EndedAttempt`)."""

dead_lettered = Signal()
"""Nodes have failed for good.  Arguments: ``attempts`` (list of `EndedAttempt`)."""

leases_lost = Signal()
"""Nodes were taken back from workers that died.  Arguments: ``attempts``, as above."""

answers_refused = Signal()
"""Answers came too late: their claims no longer held.  Arguments: ``count`` (int)."""

drain_ended = Signal()
"""A worker of this process has ended; the process may end at any moment.  No arguments."""
