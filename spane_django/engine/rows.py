"""What passes between the verbs and the statements: rows in, rows out, nothing more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ..core.lanes import owned
from ..core.statuses import ExecutionStatus, NodeStatus

Key = tuple[UUID, str]
"""An execution's id and the id of one of its nodes."""

Proof = tuple[int, UUID]
"""What a write of a claimed node run must show: the row's id and the claim's token."""


@dataclass(slots=True)
class ExecutionRow:
    """An execution as it stands under its lock."""

    id: UUID
    status: ExecutionStatus
    version_id: int
    active_nodes: int
    failed_nodes: int
    priority: int
    finished_at: datetime | None = None
    parent_run_id: int | None = None
    slot: str = ""
    depth: int = 0
    key: str = ""
    tenant: str = ""

    @property
    def lane_key(self) -> str:
        """The key of its lanes and of its gates ``perKey``."""
        return owned(self.tenant, self.key)


@dataclass(slots=True)
class NewExecution:
    """An execution to be inserted.  ``input`` is JSON text.

    One that has a parent gets the parent's tenant, subject and trace, unless it has its own.
    """

    id: UUID
    workflow_id: int
    version_id: int
    status: ExecutionStatus
    input: str
    priority: int
    active_nodes: int
    created_at: datetime
    started_by_id: int | None = None
    start_at: datetime | None = None
    deadline_at: datetime | None = None
    replay_of_id: UUID | None = None
    idempotency_key: str | None = None
    duplicate_key: str | None = None
    slot: str = ""
    slot_limit: int | None = None
    parent_id: UUID | None = None
    parent_run_id: int | None = None
    parent_round: int = 0
    relation: str = ""
    item: int | None = None
    depth: int = 0
    follows_parent: bool = True
    key: str = ""
    tenant: str = ""
    trigger: str = ""
    subject_type: str = ""
    subject_id: str = ""
    traceparent: str | None = None

    @property
    def lane_key(self) -> str:
        """The key of its lanes and of its gates ``perKey``."""
        return owned(self.tenant, self.key)


@dataclass(slots=True)
class RunRow:
    """A node run to be inserted, or a pending one to be decided."""

    execution_id: UUID
    node_id: str
    node_type: str
    status: NodeStatus
    queue: str
    priority: int
    available_at: datetime
    lane: str = ""
    gate: str = ""
    is_held: bool = False
    is_limited: bool = False
    open_edges: int = 0
    live_edges: int = 0
    broken_edges: int = 0
    reason: str = ""


@dataclass(slots=True)
class CompletedRow:
    """A claimed node run that completed.  ``output`` and ``next_nodes`` are JSON text."""

    id: int
    token: UUID
    output: str
    next_nodes: str | None
    started_at: datetime
    finished_at: datetime


@dataclass(slots=True)
class HeirRow:
    """The node run that alone follows one that completed, to be inserted as running.

    Attributes:
        priority: The node's own; None: the execution's.
    """

    execution_id: UUID
    node_id: str
    node_type: str
    priority: int | None

    @property
    def key(self) -> Key:
        return (self.execution_id, self.node_id)


@dataclass(slots=True)
class AmendedRow:
    """A claimed node run that did not complete.  ``checkpoint`` is JSON text."""

    id: int
    token: UUID
    status: NodeStatus
    attempt: int
    failures: int
    losses: int
    available_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    checkpoint: str | None = None
    error_type: str = ""
    error_message: str = ""
    signal_name: str = ""
    signal_key: str = ""
    failures_tolerated: int | None = None


@dataclass(slots=True)
class ClaimedRow:
    """A node run that has just been claimed.

    Attributes:
        checkpoint: JSON text.
        turn: Of its lane among those that were asked for, from 0.
    """

    id: int
    execution_id: UUID
    version_id: int
    node_id: str
    attempt: int
    failures: int
    losses: int
    checkpoint: str | None
    tenant: str = ""
    turn: int = 0


@dataclass(frozen=True, slots=True)
class LaneRange:
    """The lanes of a priority from behind ``low`` (from the first if it is "") to ``high``."""

    priority: int
    low: str = ""
    high: str | None = None


@dataclass(slots=True)
class LaneRow:
    """A lane of a queue, with the first node run in it.

    Attributes:
        available_at: Of the first one; None: all of it waits until something is delivered.
    """

    priority: int
    lane: str
    gate: str
    first_id: int
    available_at: datetime | None


@dataclass(slots=True)
class ParentRow:
    """What a finished parent hands on.  ``output`` and ``next_nodes`` are JSON text."""

    execution_id: UUID
    node_id: str
    status: NodeStatus
    output: str | None
    next_nodes: str | None
    error_message: str
