"""The two state machines, as tables: what may become of an execution and of a node run.

Rule 1: every legal change of status is one line of a table in this file.
Rule 2: nothing here knows about databases, queues or clocks.
Rule 3: final is final.  Only an operator's `reopened`, `rerun` and `reset` lead out of an end.

A status is what a thing *is*; an event is what *happened* to it.  `after` is the only way to
compute a new status, and `sources` gives the statuses that an event may meet, which is the
WHERE clause of an update that applies it to many rows at once.
"""

from __future__ import annotations

from enum import StrEnum

from .errors import SpaneError


class ExecutionStatus(StrEnum):
    """What an execution is."""

    PENDING = "pending"
    """Accepted; its start is delayed or waits for a slot."""
    RUNNING = "running"
    PAUSED = "paused"
    """Nothing new starts; nodes in flight finish and are recorded."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in _FINAL_EXECUTION


class ExecutionEvent(StrEnum):
    """What happened to an execution."""

    STARTED = "started"
    PAUSED = "paused"
    RESUMED = "resumed"
    POSTPONED = "postponed"
    """Resumed before its delayed start was due."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REOPENED = "reopened"
    """An operator retried one of its nodes after it had ended."""


class NodeStatus(StrEnum):
    """What a node run is."""

    PENDING = "pending"
    """Some parent has ended, others have not."""
    READY = "ready"
    """May be claimed once ``available_at`` has come."""
    RUNNING = "running"
    WAITING = "waiting"
    """Answered that it must go on later; nobody holds it."""
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    """No branch that was taken leads here."""
    CANCELLED = "cancelled"
    """The execution was cancelled, or something upstream failed."""

    @property
    def is_final(self) -> bool:
        return self in _FINAL_NODE


class NodeEvent(StrEnum):
    """What happened to a node run."""

    RELEASED = "released"
    PRUNED = "pruned"
    BLOCKED = "blocked"
    """Something upstream failed, so it can never run."""
    CLAIMED = "claimed"
    COMPLETED = "completed"
    FAILED = "failed"
    RETRIED = "retried"
    DEFERRED = "deferred"
    LOST = "lost"
    """Its worker died; it runs again."""
    RETURNED = "returned"
    """Its worker gave it back unstarted."""
    CANCELLED = "cancelled"
    RERUN = "rerun"
    """An operator makes it run again with a fresh budget of attempts."""
    RESET = "reset"
    """An operator reran something upstream, so its fate is open again."""
    SKIPPED = "skipped"
    """An operator lets the execution go on without it."""
    COMPLETED_BY_HAND = "completed-by-hand"
    """An operator gave its output."""


class IllegalTransition(SpaneError):
    """The event cannot happen to a thing of this status."""

    def __init__(self, status: StrEnum, event: StrEnum) -> None:
        super().__init__(f"cannot be {event.value}: it is {status.value}")
        self.status = status
        self.event = event


_E, _X = ExecutionStatus, ExecutionEvent
EXECUTION_TRANSITIONS: dict[tuple[ExecutionStatus, ExecutionEvent], ExecutionStatus] = {
    (_E.PENDING, _X.STARTED): _E.RUNNING,
    (_E.PENDING, _X.PAUSED): _E.PAUSED,
    (_E.PENDING, _X.FAILED): _E.FAILED,
    (_E.PENDING, _X.CANCELLED): _E.CANCELLED,
    (_E.RUNNING, _X.PAUSED): _E.PAUSED,
    (_E.RUNNING, _X.COMPLETED): _E.COMPLETED,
    (_E.RUNNING, _X.FAILED): _E.FAILED,
    (_E.RUNNING, _X.CANCELLED): _E.CANCELLED,
    (_E.PAUSED, _X.RESUMED): _E.RUNNING,
    (_E.PAUSED, _X.POSTPONED): _E.PENDING,
    (_E.PAUSED, _X.COMPLETED): _E.COMPLETED,
    (_E.PAUSED, _X.FAILED): _E.FAILED,
    (_E.PAUSED, _X.CANCELLED): _E.CANCELLED,
    (_E.COMPLETED, _X.REOPENED): _E.RUNNING,
    (_E.FAILED, _X.REOPENED): _E.RUNNING,
    (_E.CANCELLED, _X.REOPENED): _E.RUNNING,
}

_N, _V = NodeStatus, NodeEvent
NODE_TRANSITIONS: dict[tuple[NodeStatus, NodeEvent], NodeStatus] = {
    (_N.PENDING, _V.RELEASED): _N.READY,
    (_N.PENDING, _V.PRUNED): _N.SKIPPED,
    (_N.PENDING, _V.BLOCKED): _N.CANCELLED,
    (_N.PENDING, _V.CANCELLED): _N.CANCELLED,
    (_N.READY, _V.CLAIMED): _N.RUNNING,
    (_N.READY, _V.CANCELLED): _N.CANCELLED,
    (_N.READY, _V.RESET): _N.PENDING,
    (_N.READY, _V.SKIPPED): _N.SKIPPED,
    (_N.READY, _V.COMPLETED_BY_HAND): _N.COMPLETED,
    (_N.RUNNING, _V.COMPLETED): _N.COMPLETED,
    (_N.RUNNING, _V.FAILED): _N.FAILED,
    (_N.RUNNING, _V.RETRIED): _N.READY,
    (_N.RUNNING, _V.DEFERRED): _N.WAITING,
    (_N.RUNNING, _V.LOST): _N.READY,
    (_N.RUNNING, _V.RETURNED): _N.READY,
    (_N.RUNNING, _V.CANCELLED): _N.CANCELLED,
    (_N.RUNNING, _V.RESET): _N.PENDING,
    (_N.RUNNING, _V.SKIPPED): _N.SKIPPED,
    (_N.RUNNING, _V.COMPLETED_BY_HAND): _N.COMPLETED,
    (_N.WAITING, _V.CLAIMED): _N.RUNNING,
    (_N.WAITING, _V.CANCELLED): _N.CANCELLED,
    (_N.WAITING, _V.RESET): _N.PENDING,
    (_N.WAITING, _V.SKIPPED): _N.SKIPPED,
    (_N.WAITING, _V.COMPLETED_BY_HAND): _N.COMPLETED,
    (_N.COMPLETED, _V.RERUN): _N.READY,
    (_N.COMPLETED, _V.RESET): _N.PENDING,
    (_N.FAILED, _V.RERUN): _N.READY,
    (_N.FAILED, _V.RESET): _N.PENDING,
    (_N.SKIPPED, _V.RERUN): _N.READY,
    (_N.SKIPPED, _V.RESET): _N.PENDING,
    (_N.CANCELLED, _V.RERUN): _N.READY,
    (_N.CANCELLED, _V.RESET): _N.PENDING,
}

_FINAL_EXECUTION = frozenset({_E.COMPLETED, _E.FAILED, _E.CANCELLED})
_FINAL_NODE = frozenset({_N.COMPLETED, _N.FAILED, _N.SKIPPED, _N.CANCELLED})


def after_execution(status: ExecutionStatus, event: ExecutionEvent) -> ExecutionStatus:
    """Return what an execution is after ``event``.

    Raises:
        IllegalTransition: the table has no such line.
    """
    try:
        return EXECUTION_TRANSITIONS[status, event]
    except KeyError:
        raise IllegalTransition(status, event) from None


def after_node(status: NodeStatus, event: NodeEvent) -> NodeStatus:
    """Return what a node run is after ``event``.

    Raises:
        IllegalTransition: the table has no such line.
    """
    try:
        return NODE_TRANSITIONS[status, event]
    except KeyError:
        raise IllegalTransition(status, event) from None


def execution_sources(event: ExecutionEvent) -> tuple[ExecutionStatus, ...]:
    """Return the statuses of executions that ``event`` may happen to."""
    return tuple(status for status, known in EXECUTION_TRANSITIONS if known is event)


def node_sources(event: NodeEvent) -> tuple[NodeStatus, ...]:
    """Return the statuses of node runs that ``event`` may happen to."""
    return tuple(status for status, known in NODE_TRANSITIONS if known is event)
