"""What the API answers about what starts workflows, about secrets, tokens and tenants."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .answers import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A trigger that could not start its workflow."""

    trigger_id: int
    workflow_id: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Emission:
    """What an event has started."""

    event: str
    execution_ids: list[str]
    refused: list[Refusal]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTrigger:
    """A workflow that an event starts."""

    id: int
    event: str
    workflow_id: str
    when: str | None
    map: Json
    enabled: bool
    declared: bool
    created_at: datetime
    failures: int
    last_error: str
    failed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTrigger:
    """One of all that starts a workflow."""

    type: str
    id: int | None
    says: str
    workflow_id: str
    enabled: bool
    declared: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowTriggers:
    """All that starts a workflow."""

    results: list[ListedTrigger]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A workflow that time starts."""

    id: int
    name: str
    workflow_id: str
    enabled: bool
    timing: str
    cron: str | None
    timezone: str | None
    every: float | None
    at: datetime | None
    solar: dict[str, Any] | None
    input: Json
    payloads_hidden: bool
    misfire: str
    cap: int
    priority: int | None
    key: str
    start_time: datetime | None
    expires: datetime | None
    declared: bool
    problem: str
    next_runs: list[datetime]
    last_start: dict[str, Any] | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NextRuns:
    """When a schedule will run."""

    next_runs: list[datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledStart:
    """What became of one time of a schedule."""

    id: int
    scheduled_for: datetime
    started_at: datetime
    execution_id: str | None
    error: str
    backfill: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """What a backfill has started, or would."""

    missing: int
    known: int
    started: int
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A path that starts a workflow; the secret is shown once, when it is made or rotated."""

    id: int
    name: str
    workflow_id: str
    path: str
    url: str | None
    methods: list[str]
    enabled: bool
    signature: dict[str, Any]
    tolerance_seconds: int
    networks: list[str]
    input: Json
    dedupe_key: str
    response: dict[str, Any]
    declared: bool
    retired: bool
    created_at: datetime
    old_secret_until: datetime | None
    curl: str | None
    secret: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A request that came to a webhook."""

    id: str
    webhook_id: int
    received_at: datetime
    address: str
    status: str
    reason: str
    execution_id: str | None
    repeats: int
    redelivery_of: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeDelivery(Delivery):
    """A delivery with its request."""

    request: Json
    payloads_hidden: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Where a secret is used."""

    workflow_id: str
    version: int
    paths: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret; its value is never shown."""

    name: str
    tenant: str
    description: str
    created_at: datetime
    updated_at: datetime
    value_set_at: datetime
    used_by: list[Use]


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token of a program, without the token itself."""

    id: int
    name: str
    user: str
    scope: str
    tenant: str | None
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    old_secret_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken(Token):
    """A token that was made just now: this is the only time that it is shown."""

    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A tenant that the caller belongs to."""

    key: str
    name: str
