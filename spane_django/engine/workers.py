"""Workers and leases: who is at work, and who alone may do what only one must do."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.db import IntegrityError
from django.db.models import Q

from ..models import Lease, NodeRun, Worker
from .db import alias, atomic
from .gates import align
from .rules import rules_of_types


def enlist(name: str, queue: str, *, pid: int, now: datetime) -> UUID:
    """Register a worker that begins to work on a queue and return its id.

    It brings along what its process declares of node types: their limits hold from now on.
    """
    worker = Worker(
        id=uuid4(), name=name[:200], queue=queue, pid=pid, started_at=now, heartbeat_at=now
    )
    worker.save(force_insert=True, using=alias())
    align(rules_of_types(), now=now)
    return worker.pk


def beat(worker_id: UUID, *, now: datetime) -> bool:
    """Say that a worker lives; False if it has been taken for dead meanwhile."""
    alive = Worker.objects.filter(pk=worker_id, stopped_at=None)
    return bool(alive.update(heartbeat_at=now))


def dismiss(worker_id: UUID, *, now: datetime) -> None:
    """Say that a worker has stopped and runs nothing any more."""
    Worker.objects.filter(pk=worker_id).update(stopped_at=now)


def lead(name: str, holder: str, *, now: datetime, duration: timedelta) -> bool:
    """Take or keep the lease of a role; False if somebody else holds it.

    A lease that has run out is free to be taken by the first who asks.
    """
    values = {"holder": holder, "renewed_at": now, "expires_at": now + duration}
    takeable = Q(holder=holder) | Q(expires_at__lte=now)
    if Lease.objects.filter(takeable, name=name).update(**values):
        return True
    # Looked for first: PostgreSQL logs every insert that a constraint refuses.
    if Lease.objects.filter(name=name).exists():
        return False
    try:
        with atomic():
            Lease.objects.create(name=name, **values)
    except IntegrityError:
        return False
    return True


def step_down(name: str, holder: str, *, now: datetime) -> None:
    """Give up the lease of a role, so that another may take it at once."""
    Lease.objects.filter(name=name, holder=holder).update(expires_at=now)


def held_by(worker_id: UUID) -> set[int]:
    """Return the ids of the node runs that a worker holds, by the database."""
    return set(NodeRun.objects.running().filter(worker_id=worker_id).values_list("id", flat=True))
