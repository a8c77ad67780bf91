"""What the API answers, as dataclasses: the names are those of the OpenAPI document, in snake case.

Instants are aware datetimes in UTC, ids are texts as the API writes them.  A field that a newer
server adds is passed over; what may be missing has a default.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

Json = Any
Definition = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong, and where."""

    path: str
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An execution that has been started."""

    execution_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where an execution stands."""

    execution_id: str
    workflow_id: str
    status: str
    reason: str
    created_at: datetime
    start_at: datetime | None
    started_at: datetime | None
    deadline_at: datetime | None
    finished_at: datetime | None
    duration_ms: float | None

    @property
    def has_ended(self) -> bool:
        """Whether it is completed, failed or cancelled."""
        return self.status in ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """The execution and the node that have started another one."""

    execution_id: str
    node_id: str | None
    relation: str
    item: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedExecution(Status):
    """An execution as lists have it."""

    version: int
    priority: int
    parent: Parent | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeResult:
    """What became of a node."""

    type: str
    status: str
    success: bool | None
    skipped: bool
    data: Json
    error: str | None
    error_type: str | None
    next_nodes: list[str] | None
    reason: str
    attempt: int
    available_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What else is known of an execution."""

    replayed_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution(ListedExecution):
    """An execution with the results of its nodes, by node id."""

    input: Json
    output: Json
    node_results: dict[str, NodeResult]
    children: dict[str, int]
    metadata: Metadata
    payloads_hidden: bool
    data_cleared_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What an execution came to; of one that has not ended in time there is only the id."""

    execution_id: str
    workflow_id: str | None = None
    status: str | None = None
    reason: str = ""
    created_at: datetime | None = None
    start_at: datetime | None = None
    started_at: datetime | None = None
    deadline_at: datetime | None = None
    finished_at: datetime | None = None
    duration_ms: float | None = None
    output: Json = None
    payloads_hidden: bool | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it is known to have ended."""
        return self.status is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Executions that have been started, in the order of their inputs."""

    execution_ids: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRun(NodeResult):
    """What became of a node of an execution."""

    node_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why an execution does not move, or what it is doing."""

    sentence: str
    facts: list[str]
    queues: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """A line of a log."""

    timestamp: datetime
    level: str
    message: str
    node_id: str | None
    attempt: int | None
    data: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One attempt of one node."""

    id: str
    node_id: str
    name: str
    attempt: int
    status: str
    start_time: datetime
    end_time: datetime | None
    duration_ms: float | None
    wait_ms: float | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A span for every attempt of every node that has begun."""

    trace_id: str
    execution_id: str
    workflow_id: str
    status: str
    start_time: datetime | None
    end_time: datetime | None
    duration_ms: float | None
    spans: list[Span]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that has happened to an execution: ``execution``, ``node``, ``log`` or ``end``."""

    id: str
    event: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """What is new; go on with the cursor."""

    results: list[Event]
    cursor: str
    has_more: bool
    has_ended: bool
