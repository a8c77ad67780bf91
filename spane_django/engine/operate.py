"""What an operator does to nodes that wait: hurry one, or move them to another queue or priority.

Each is one transaction that needs no worker, and is audited.  To end a node by hand is in
`by_hand`, to run one again in `retry` and `rerun`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings as django_settings

from ..conf import Settings, settings
from ..core.errors import InvalidInput, SpaneError
from ..core.schema import Fault
from ..core.statuses import NodeStatus
from ..models import Execution, NodeRun
from .audit import record
from .control import locked
from .db import atomic
from .reopen import locked_run
from .wake import wake_on_commit

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

_LONGEST_QUEUE = 100
_UNFINISHED = [status for status in NodeStatus if not status.is_final]


class NotWaitingForTime(SpaneError):
    """The node does not wait for a time, so there is nothing to hurry."""


class NothingToReassign(SpaneError):
    """The execution has no unfinished node that could be reassigned."""


def retry_now(
    execution_id: UUID,
    node_id: str,
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    reason: str = "",
) -> NodeRun:
    """Let a node go on now that waits for a retry or another time.

    Of a node that waits for something to happen until then, that time is over: it runs again and
    finds that nothing has come.

    Locks:
        The execution, then the node run.

    Raises:
        UnknownExecution, UnknownNodeRun, NotWaitingForTime: nothing has changed.
    """
    with atomic():
        run = locked_run(locked(execution_id), node_id)
        due = run.available_at
        if run.status not in (NodeStatus.READY, NodeStatus.WAITING):
            raise NotWaitingForTime(f"node '{node_id}' waits for no time: it is {run.status}")
        if due is None:
            raise NotWaitingForTime(f"node '{node_id}' waits for something to happen, not a time")
        if due <= now:
            raise NotWaitingForTime(f"node '{node_id}' is due already: it waits for a worker")
        run.available_at = now
        run.save(update_fields=["available_at"])
        record(
            "retry-now", now=now, by=by, execution_id=execution_id, target=node_id,
            before={"availableAt": due.isoformat()}, after={"availableAt": now.isoformat()},
            reason=reason,
        )  # fmt: skip
        wake_on_commit([run.queue])
    return run


def reassign(
    execution_id: UUID,
    *,
    queue: str | None = None,
    priority: int | None = None,
    node_id: str | None = None,
    now: datetime,
    by: AbstractBaseUser | None = None,
    reason: str = "",
) -> Execution:
    """Move what has not ended of an execution, or one node of it, to a queue or a priority.

    A node that is running stays where it runs, and is moved for its next attempt.  Nodes that
    are yet to come take the execution's new priority, unless their definition names one, and
    the queue of their definition.

    Args:
        queue: One that workers serve; None: as it is.
        priority: 1 to 10, higher first; None: as it is.

    Locks:
        The execution, then its node runs.

    Raises:
        UnknownExecution, UnknownNodeRun: there is none.
        InvalidInput: neither is given, or one is refused; every fault is listed.
        NothingToReassign: nothing of it, or not this node, is unfinished.
    """
    given = {"queue": queue, "priority": priority}
    values = {name: value for name, value in given.items() if value is not None}
    if faults := list(reassign_faults(queue, priority)):
        raise InvalidInput(faults)
    with atomic():
        execution = locked(execution_id)
        runs = _unfinished(execution, node_id)
        before = {run.node_id: [run.queue, run.priority] for run in runs}
        NodeRun.objects.filter(pk__in=[run.pk for run in runs]).update(**values)
        if priority is not None and node_id is None:
            execution.priority = priority
            execution.save(update_fields=["priority"])
        record(
            "reassign", now=now, by=by, execution_id=execution_id, target=node_id or "",
            before={"nodes": before}, after=values, reason=reason,
        )  # fmt: skip
        wake_on_commit(queue or run.queue for run in runs)
    return Execution.objects.select_related("workflow").get(pk=execution_id)


def _unfinished(execution: Execution, node_id: str | None) -> list[NodeRun]:
    runs = execution.node_runs.select_for_update(of=("self",)).filter(status__in=_UNFINISHED)
    if node_id is not None:
        run = locked_run(execution, node_id)
        if NodeStatus(run.status).is_final:
            raise NothingToReassign(f"node '{node_id}' is {run.status} and runs no more")
        return [run]
    found = list(runs.defer("output", "checkpoint").order_by("id"))
    if not found:
        raise NothingToReassign(f"execution {execution.pk} has no unfinished node to reassign")
    return found


def reassign_faults(queue: str | None, priority: int | None) -> Iterator[Fault]:
    """Yield why nothing can be moved so."""
    if queue is None and priority is None:
        yield Fault("", "missing", "give a queue, a priority or both")
    if queue is not None and not 1 <= len(queue) <= _LONGEST_QUEUE:
        yield Fault("queue", "out_of_range", f"a queue has 1 to {_LONGEST_QUEUE} characters")
    elif queue is not None and queue not in (known_queues() or (queue,)):
        message = f"no worker can serve the queue '{queue[:50]}': add it to RQ_QUEUES"
        yield Fault("queue", "unknown_queue", message)
    if priority is not None and not 1 <= priority <= 10:
        yield Fault("priority", "out_of_range", "Priority must be between 1 and 10")


def known_queues() -> tuple[str, ...]:
    """Return the queues that workers can serve; none: any, to a dispatcher of the project's own."""
    if settings.DISPATCHER != Settings.DISPATCHER:
        return ()
    return tuple(getattr(django_settings, "RQ_QUEUES", ()))
