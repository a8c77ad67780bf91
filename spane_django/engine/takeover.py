"""Going on in another version: a new execution that takes over what an older one has completed.

What is taken over is decided by `core.rewind.carried`: a node that completed, is the same in
the new version, and does not lie behind anything that is to run.  The fate of every other node
is decided by `core.replan`, as if all that was taken over had ended just now.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from ..core.ids import uuid7
from ..core.json import Json, encode
from ..core.plan import Ended, Progress
from ..core.replan import replan
from ..core.rewind import carried
from ..core.statuses import ExecutionStatus, NodeStatus
from ..models import Execution, NodeRun
from . import payloads
from .ending import conclude
from .followup import follow_up_on_commit
from .notify import notify_started
from .progress import carry_out
from .rows import NewExecution
from .sql import statements
from .versions import PreparedVersion

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

# Outputs may be large: so many are held at once.
_CHUNK = 100


def take_over(
    original: Execution,
    version: PreparedVersion,
    barred: Collection[str],
    data: Json,
    *,
    now: datetime,
    by: AbstractBaseUser | None,
) -> Execution:
    """Start an execution of ``version`` in the caller's transaction, and return it.

    Args:
        barred: Nodes that are to run again even though they have completed.
        data: The input as a column holds it.
    """
    kept, progress = taken_over(original, version, barred)
    execution_id = _insert(original, version, data, now=now, by=by)
    _copy(original, execution_id, kept, version, now=now)
    row = statements().lock({execution_id})[execution_id]
    steps = carry_out(row, progress, now=now)
    todo = conclude(steps.ended, now=now)
    todo.queues |= steps.left
    follow_up_on_commit(todo, now=now)
    return Execution.objects.select_related("workflow").get(pk=execution_id)


def taken_over(
    original: Execution, version: PreparedVersion, barred: Collection[str]
) -> tuple[dict[str, Ended], Progress]:
    """Return what an execution of ``version`` takes over of an older one, and the fate of the rest.

    Nothing is changed.
    """
    kept = carried(version.graph, _finished(original, version), version.joins, barred)
    return kept, replan(version.graph, kept, (), version.joins)


def _finished(original: Execution, version: PreparedVersion) -> dict[str, Ended]:
    runs = original.node_runs.completed().values_list("node_id", "node_type", "next_nodes")
    return {
        node_id: Ended(node_id, NodeStatus.COMPLETED, None if chosen is None else frozenset(chosen))
        for node_id, node_type, chosen in runs
        if node_id in version.nodes and version.nodes[node_id].type == node_type
    }


def _insert(
    original: Execution,
    version: PreparedVersion,
    data: Json,
    *,
    now: datetime,
    by: AbstractBaseUser | None,
) -> UUID:
    timeout = version.definition.timeout
    row = NewExecution(
        id=uuid7(),
        workflow_id=version.workflow_id,
        version_id=version.id,
        status=ExecutionStatus.RUNNING,
        input=encode(data),
        priority=original.priority,
        active_nodes=0,
        created_at=now,
        started_by_id=by.pk if by else None,
        deadline_at=now + timeout if timeout else None,
        replay_of_id=original.pk,
        key=original.key,
        tenant=original.tenant,
        subject_type=original.subject_type,
        subject_id=original.subject_id,
    )
    statements().start([row], [], now=now)
    payloads.record([(row.id, row.input)], now=now)
    notify_started([(row.id, version.id)])
    return row.id


def _copy(
    original: Execution,
    execution_id: UUID,
    kept: Collection[str],
    version: PreparedVersion,
    *,
    now: datetime,
) -> None:
    runs = original.node_runs.completed().filter(node_id__in=kept).defer("checkpoint")
    copies: list[NodeRun] = []
    for run in runs.iterator(chunk_size=_CHUNK):
        payloads.record([(execution_id, encode(run.output))], now=now)
        copies.append(_copied(run, execution_id, version, now=now))
        if len(copies) == _CHUNK:
            NodeRun.objects.bulk_create(copies)
            copies.clear()
    NodeRun.objects.bulk_create(copies)


def _copied(
    run: NodeRun, execution_id: UUID, version: PreparedVersion, *, now: datetime
) -> NodeRun:
    children, chosen = version.graph.children[run.node_id], run.next_nodes
    return NodeRun(
        execution_id=execution_id,
        node_id=run.node_id,
        node_type=run.node_type,
        status=NodeStatus.COMPLETED,
        reason=f"taken over from execution {run.execution_id}",
        queue=run.queue,
        priority=run.priority,
        output=run.output,
        next_nodes=None if chosen is None else [node for node in chosen if node in children],
        created_at=now,
        finished_at=now,
    )
