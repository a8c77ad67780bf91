"""Claiming: a worker takes node runs that are ready, and is the only one that may settle them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid4

from ..core.json import Json, decode
from ..models import NodeRun
from .db import in_transaction
from .lanes import expects_lanes, share
from .rows import ClaimedRow, Key, Proof
from .sql import statements


class Claim(NamedTuple):
    """The proof that its holder may settle one attempt of a node run.

    Attributes:
        token: Changes with every claim of the node run; a write without it is refused.
        failures: How many attempts have failed since the node's budget was last fresh.
        losses: How many workers have died while running it.
        checkpoint: What the node's last ``Delay`` handed on.
        tenant: The execution's.
    """

    id: int
    execution_id: UUID
    version_id: int
    node_id: str
    token: UUID
    attempt: int = 1
    failures: int = 0
    losses: int = 0
    checkpoint: Json = None
    tenant: str = ""

    @property
    def round(self) -> int:
        """The same after waits and lost workers; another after each retry or rerun."""
        return self.attempt - self.losses

    @property
    def key(self) -> Key:
        return (self.execution_id, self.node_id)

    @property
    def proof(self) -> Proof:
        return (self.id, self.token)


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """What a worker would take on.

    Attributes:
        room: The most claims it has use for.
        fill: Whether to look for other ready node runs when the successors of what is settled
            leave room; False saves a statement when nothing new is expected.
        yields: Whether a quarter of the room is for those others, so that a worker that finds
            successors for ever keeps nobody waiting.
        tokens: What proves its claims, those of successors and the others, so that who did not
            hear what came of it finds them by `claimed`; None: what nobody else knows.
    """

    worker_id: UUID
    queue: str
    room: int
    fill: bool = True
    yields: bool = False
    tokens: tuple[UUID, UUID] | None = None


def claim(want: Want, *, now: datetime) -> list[Claim]:
    """Claim ready node runs of a queue by priority, then lane by lane, each by age.

    An empty list is an ordinary answer: nothing is due, others were faster, or what is ready
    belongs to paused executions.

    Locks:
        The node runs that it takes and the gates that they pass, skipping those that somebody
        else has locked.
    """
    if want.room < 1:
        return []
    return in_transaction(lambda: take(want, want.room, now=now))


def take(want: Want, room: int, *, now: datetime) -> list[Claim]:
    """Claim inside the caller's transaction."""
    token, rows = want.tokens[1] if want.tokens else uuid4(), None
    if not expects_lanes(want.worker_id, now=now):
        rows = statements().claim(
            queue=want.queue, room=room, worker_id=want.worker_id, token=token, now=now
        )
    if rows is None:
        rows = share(want, room, token=token, now=now)
    return list(_claims(rows, token))


def claimed(want: Want) -> list[Claim]:
    """Return what has been claimed for a want and not settled: its commit was never confirmed."""
    mine = {"worker_id": want.worker_id, "claim_token__in": want.tokens or ()}
    runs = NodeRun.objects.running().filter(**mine)
    return [held_claim(run) for run in runs.select_related("execution").order_by("id")]


def held_claim(run: NodeRun) -> Claim:
    """Return the claim by which a node run is held; its execution has been fetched with it.

    Raises:
        ValueError: it is not running.
    """
    if run.claim_token is None:
        raise ValueError(f"node run {run.pk} is {run.status}: nobody holds it")
    return Claim(
        id=run.pk,
        execution_id=run.execution_id,
        version_id=run.execution.version_id,
        node_id=run.node_id,
        token=run.claim_token,
        attempt=run.attempt,
        failures=run.failures,
        losses=run.losses,
        checkpoint=run.checkpoint,
        tenant=run.execution.tenant,
    )


def _claims(rows: Iterable[ClaimedRow], token: UUID) -> Iterable[Claim]:
    for row in rows:
        yield Claim(
            id=row.id,
            execution_id=row.execution_id,
            version_id=row.version_id,
            node_id=row.node_id,
            token=token,
            attempt=row.attempt,
            failures=row.failures,
            losses=row.losses,
            checkpoint=None if row.checkpoint is None else decode(row.checkpoint),
            tenant=row.tenant,
        )
