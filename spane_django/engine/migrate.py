"""Moving executions to another version of their workflow, while they live or after they failed.

`preview` tells what would happen and changes nothing; `migrate` looks once more, under the lock,
and does it.  A live execution goes on at once.  A failed one stays failed, and a retry then runs
by the new version.  What can be moved is said in `moves`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Case, QuerySet, Value, When

from ..core.errors import Faulty
from ..core.statuses import ExecutionStatus, NodeEvent, NodeStatus, after_node
from ..models import DeadLetter, Execution, LogLine, NodeRun, WorkflowVersion
from ..models.execution import ExecutionQuerySet
from .audit import record
from .cancelling import cancel_unstarted
from .control import UnknownExecution, locked
from .db import atomic
from .ending import conclude
from .followup import follow_up_on_commit
from .moves import Examined, Move, Rename, chosen, examine
from .naming import of_workflow
from .progress import carry_out
from .release import run_row
from .rows import RunRow
from .sql import statements
from .versions import PreparedVersion, UnknownVersion, WrongVersionStatus, prepared

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

# A claim that began before the move sees its row as it is now, but the execution as it was.  It
# takes only what is due by its own clock, so that a row which is due a little later is safe.
_GRACE = timedelta(seconds=1)


class Unmovable(Faulty):
    """The execution cannot go on in that version; every reason is listed."""

    headline = "The execution cannot be moved"


def preview(
    execution_ids: Sequence[UUID], to_number: int, *, rename: Rename | None = None
) -> list[Move]:
    """Return what `migrate` would do to each execution, in the order given.

    Raises:
        UnknownExecution, UnknownVersion, WrongVersionStatus: one of them cannot be looked at.
    """
    found = Execution.objects.select_related("version").in_bulk(execution_ids)
    runs: dict[UUID, list[NodeRun]] = {key: [] for key in found}
    for run in _runs(found):
        runs[run.execution_id].append(run)
    moves = []
    for key in execution_ids:
        if key not in found:
            raise UnknownExecution(f"there is no execution {key}")
        target = _target(found[key], to_number)
        moves.append(examine(found[key], runs[key], target, rename or {}).told())
    return moves


def migrate(
    execution_id: UUID,
    to_number: int,
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    reason: str = "",
    rename: Rename | None = None,
) -> Execution:
    """Let an execution go on by another published version of its workflow.

    Locks:
        The execution, then its node runs.

    Raises:
        UnknownExecution, UnknownVersion, WrongVersionStatus: nothing has changed.
        Unmovable: every reason is listed; nothing has changed.
    """
    with atomic():
        execution = locked(execution_id)
        target = _target(execution, to_number)
        # Locked, so that nothing of it is claimed meanwhile.
        runs = list(_runs([execution_id]).select_for_update(of=("self",)))
        found = examine(execution, runs, target, rename or {})
        if found.faults:
            raise Unmovable(found.faults)
        facts = {"rename": dict(rename)} if rename else {}
        record(
            "migrate", now=now, by=by, execution_id=execution_id, reason=reason,
            before={"version": execution.version.number}, after={"version": to_number, **facts},
        )  # fmt: skip
        _move(found, now=now)
        return Execution.objects.select_related("workflow", "version").get(pk=execution_id)


def movable(
    workflow: str, to_number: int, *, from_number: int | None = None, tenant: str = ""
) -> ExecutionQuerySet:
    """Return the unfinished executions of a workflow that run another version, oldest first.

    Args:
        from_number: Only those of this version.
        tenant: Who asks: of their own workflow of this id.
    """
    chosen = Execution.objects.unfinished().filter(version__part="")
    chosen = chosen.filter(of_workflow(workflow, tenant))
    if from_number is not None:
        chosen = chosen.filter(version__number=from_number)
    return chosen.exclude(version__number=to_number).order_by("id")


def _target(execution: Execution, number: int) -> PreparedVersion:
    """Return the version of this number, or of a part the same part."""
    versions = WorkflowVersion.objects.filter(
        workflow_id=execution.workflow_id, part=execution.version.part, number=number
    )
    row = versions.values_list("id", "status").first()
    if row is None:
        raise UnknownVersion(f"{execution.version} has no version {number} beside it")
    if row[1] != WorkflowVersion.Status.PUBLISHED:
        raise WrongVersionStatus(
            f"version {number} is {row[1]}: executions can be moved to a published version"
        )
    return prepared(row[0])


def _runs(execution_ids: Iterable[UUID]) -> QuerySet[NodeRun]:
    runs = NodeRun.objects.filter(execution_id__in=list(execution_ids))
    return runs.defer("output", "checkpoint").order_by("execution_id", "id")


def _move(found: Examined, *, now: datetime) -> None:
    execution = found.execution
    Execution.objects.filter(pk=execution.pk).update(version=found.target.id)
    NodeRun.objects.filter(pk__in=[run.pk for run in found.idle]).delete()
    _rename(found)
    for node_id, run in found.active.items():
        _place(run, node_id, found, now=now)
    for node_id, run in found.undone.items():
        _reset(run, node_id, found, now=now)
    if found.progress is None:
        return
    lost = found.progress.lost
    row = statements().lock([execution.pk])[execution.pk]
    row.active_nodes = len(found.active)
    row.failed_nodes = found.failures
    if found.is_halted:
        row.active_nodes -= cancel_unstarted([row.id], reason="another node failed", now=now)
    steps = carry_out(row, found.progress, now=now)
    todo = conclude(steps.ended, now=now)
    todo.runs |= {run.pk for node_id, run in found.active.items() if node_id in lost}
    todo.queues |= steps.left | {run.queue for run in found.active.values()}
    follow_up_on_commit(todo, now=now)


def _rename(found: Examined) -> None:
    """Give nodes their new ids wherever they are named."""
    renamed = {key: run for key, run in found.begun.items() if key != run.node_id}
    # An id may pass from one node to another, and at no time may two have it.
    for key in renamed:
        NodeRun.objects.filter(pk=renamed[key].pk).update(node_id=f"\x01{renamed[key].pk}")
    for key, run in renamed.items():
        NodeRun.objects.filter(pk=run.pk).update(node_id=key)
    new = Case(*[When(node_id=run.node_id, then=Value(key)) for key, run in renamed.items()])
    old = [run.node_id for run in renamed.values()]
    for model in (LogLine, DeadLetter) if old else ():
        model.objects.filter(execution=found.execution, node_id__in=old).update(node_id=new)
    for key, run in found.begun.items():
        children = chosen(run, found.rename)
        if children != run.next_nodes:
            NodeRun.objects.filter(pk=run.pk).update(next_nodes=children)
        run.node_id = key


def _place(run: NodeRun, node_id: str, found: Examined, *, now: datetime) -> None:
    """Let a node that is under way go on as its definition now wants it."""
    fresh = _fit(run, node_id, found, now=now)
    if run.status == NodeStatus.READY:
        run.is_held = fresh.is_held or found.execution.status == ExecutionStatus.PAUSED
    if run.available_at is not None:
        run.available_at = max(run.available_at, now + _GRACE)
    run.save(update_fields=[*_FITTED, "is_held", "available_at"])


def _reset(run: NodeRun, node_id: str, found: Examined, *, now: datetime) -> None:
    """Open the fate of a node that had begun when it was cancelled; its attempts count on."""
    _fit(run, node_id, found, now=now)
    if run.status != NodeStatus.PENDING:
        run.status = after_node(NodeStatus(run.status), NodeEvent.RESET).value
    run.open_edges = len(found.target.graph.parents[node_id])
    run.live_edges = run.broken_edges = run.failures = run.losses = 0
    run.attempt += 1
    run.checkpoint, run.finished_at = None, None
    run.reason = run.error_type = run.error_message = ""
    run.save(
        update_fields=[
            *_FITTED, "status", "open_edges", "live_edges", "broken_edges", "failures", "losses",
            "attempt", "checkpoint", "finished_at", "reason", "error_type", "error_message",
        ]
    )  # fmt: skip


_FITTED = ("queue", "priority", "lane", "gate", "is_limited")


def _fit(run: NodeRun, node_id: str, found: Examined, *, now: datetime) -> RunRow:
    execution = found.execution
    fresh = run_row(
        found.target,
        execution.pk,
        node_id,
        priority=execution.priority,
        key=execution.lane_key,
        now=now,
    )
    for name in _FITTED:
        setattr(run, name, getattr(fresh, name))
    return fresh
