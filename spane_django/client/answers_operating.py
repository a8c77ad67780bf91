"""What the API answers about operating: bulk operations, approvals, limits, triggers, tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .answers import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operation on many executions; of a dry run there is only the count."""

    verb: str
    dry_run: bool
    count: int
    operation_id: str | None = None
    changed: int = 0
    refused: int = 0
    refusals: dict[str, str] = field(default_factory=dict)
    created_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A signal that was sent."""

    id: int
    name: str
    key: str | None
    is_taken: bool
    kept_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What somebody said."""

    user: str
    approved: bool
    comment: str
    form: Json
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What people are asked, and what they answered."""

    id: int
    execution_id: str
    workflow_id: str
    node_id: str
    title: str
    description: str
    form: Json
    users: list[str]
    groups: list[str]
    permission: str | None
    quorum: int
    escalation: Json
    status: str
    created_at: datetime
    deadline_at: datetime | None
    decided_at: datetime | None
    decisions: list[Decision]
    payloads_hidden: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalInFull(Approval):
    """An approval, and why the one who asks may not decide it."""

    why_not: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A node that failed for good."""

    id: int
    execution_id: str
    workflow_id: str
    node_id: str
    node_type: str
    attempts: int
    error_type: str
    error: str
    traceback: str | None
    input: Json
    created_at: datetime
    resolved_at: datetime | None
    resolution: str | None
    payloads_hidden: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many starts in so many seconds."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A limit in use and its breaker."""

    key: str
    breaker: str
    blocked_until: datetime | None
    running: int
    max: int | None
    rate: Rate | None
    failure_threshold: int | None
    success_threshold: int
    cooldown_seconds: float
    failures: int
    successes: int
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who did what to what, what it was before and is after, and why."""

    id: str
    at: datetime
    user: str | None
    verb: str
    execution_id: str | None
    target: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str
    payloads_hidden: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """The node runs of a queue."""

    waiting: int
    active: int
    delayed: int
    completed: int
    failed: int
    workers: int
    oldest_ready_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """How much there is to do and what has become of the rest."""

    queues: dict[str, Queue]
    executions: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLoad:
    """How long the work of a queue waits."""

    latency_seconds: float
    estimated_seconds: float | None
    throughput_per_second: float | None
    ready: int
    delayed: int
    active: int
    drains: int
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoscaling:
    """What an autoscaler asks: the longest latency, and each queue's."""

    latency_seconds: float
    queues: dict[str, QueueLoad]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether work is being done; each check has a ``status`` and a ``message``."""

    status: str
    checks: dict[str, dict[str, Any]]
    timestamp: datetime
