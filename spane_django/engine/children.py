"""Children: executions that a node starts and waits for.

They are inserted in the transaction that settles their parent node as waiting, so that a claim
that no longer holds starts nothing.  Whatever speaks against one of them (an unknown workflow, an
input that does not fit, too deep a nesting) is a failure of the node, and none is started.

Children belong to a *round* of their parent node: a retry starts others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from ..conf import settings
from ..core.errors import SpaneError
from ..core.ids import uuid7
from ..core.json import encode
from ..core.outcome import Child, Failure, Outcome, StartChildren
from ..core.schema import faults_in
from ..core.statuses import ExecutionStatus
from ..models import Execution, WorkflowVersion
from ..models.payloads import PayloadUnavailable, load
from ..nodes.base import ChildRun
from .claim import Claim
from .current import UnknownWorkflow, current_version
from .outputs import errors_of, outputs_of
from .payloads import store
from .release import insert
from .rows import ExecutionRow, NewExecution
from .versions import PreparedVersion, part_of, prepared


class DepthExceeded(SpaneError):
    """Executions are nested too deeply."""


class RefusedChild(SpaneError):
    """A child cannot be started as it was asked for."""


def planned(
    claim: Claim, wait: StartChildren, parent: ExecutionRow, *, now: datetime
) -> tuple[Outcome, list[NewExecution]]:
    """Return the rows of the children, or the failure of the node that wanted them."""
    try:
        return wait, list(_rows(claim, wait, parent, now=now))
    except SpaneError as error:
        may_pass = isinstance(error, PayloadUnavailable)
        failure = Failure(message=str(error), type=type(error).__name__, is_retryable=may_pass)
        return failure, []


def insert_children(rows: Iterable[NewExecution], *, now: datetime) -> set[str]:
    """Insert planned children and release what starts at once; return the queues with work."""
    by_version: dict[int, list[NewExecution]] = defaultdict(list)
    for row in rows:
        by_version[row.version_id].append(row)
    queues: set[str] = set()
    for version_id, group in by_version.items():
        queues |= insert(prepared(version_id), group, now=now)
    return queues


def children_of(claim: Claim, first: int = 0) -> list[ChildRun]:
    """Return what became of the children of this round, by item, those below ``first`` left out."""
    children = Execution.objects.filter(
        parent_run_id=claim.id, parent_round=claim.round, item__gte=first
    )
    rows = list(children.order_by("item").values_list("id", "item", "status", "version_id"))
    completed = [(key, version_id) for key, _, status, version_id in rows if status == "completed"]
    outputs = outputs_of(completed)
    errors = errors_of([key for key, _, status, _ in rows if status in ("failed", "cancelled")])
    return [
        ChildRun(
            execution_id=key,
            item=item or 0,
            status=status,
            output=load(outputs.get(key)),
            error=errors.get(key, ""),
        )
        for key, item, status, _ in rows
    ]


def _rows(
    claim: Claim, wait: StartChildren, parent: ExecutionRow, *, now: datetime
) -> Iterator[NewExecution]:
    if parent.depth >= settings.MAX_DEPTH:
        raise DepthExceeded(
            f"Maximum sub-workflow depth ({settings.MAX_DEPTH}) exceeded (current: {parent.depth})"
        )
    _check_count(wait.children)
    versions: dict[tuple[str, str], PreparedVersion] = {}
    for place, child in enumerate(wait.children):
        name = (child.workflow, child.part)
        version = versions.get(name) or _version(claim, child, parent.tenant)
        versions[name] = version
        is_started = wait.parallelism is None or place < wait.parallelism
        yield _row(claim, wait, child, version, parent, is_started=is_started, now=now)


def _check_count(children: Sequence[Child]) -> None:
    if not children:
        raise RefusedChild("the node asked for children and named none: answer with a Result")
    if len(children) > settings.MAX_CHILDREN:
        raise RefusedChild(
            f"{len(children):,} children are too many: at most {settings.MAX_CHILDREN:,} are "
            "allowed (the setting MAX_CHILDREN); divide the list"
        )


def _version(claim: Claim, child: Child, tenant: str) -> PreparedVersion:
    if child.workflow:
        try:
            return current_version(child.workflow, tenant)
        except UnknownWorkflow:
            raise UnknownWorkflow(
                f"Sub-workflow '{child.workflow}' not found: publish its definition first"
            ) from None
    try:
        return part_of(claim.version_id, child.part)
    except WorkflowVersion.DoesNotExist:
        raise RefusedChild(f"this version of the workflow has no part '{child.part}'") from None


def _row(
    claim: Claim,
    wait: StartChildren,
    child: Child,
    version: PreparedVersion,
    parent: ExecutionRow,
    *,
    is_started: bool,
    now: datetime,
) -> NewExecution:
    timeout = version.definition.timeout
    slot, limit = _slot(claim, wait, version, parent)
    # A slot of the workflow is shared with others: who may start is decided by who fills it.
    is_running = is_started and (wait.parallelism is not None or not slot)
    return NewExecution(
        id=uuid7(),
        workflow_id=version.workflow_id,
        version_id=version.id,
        status=ExecutionStatus.RUNNING if is_running else ExecutionStatus.PENDING,
        input=_text(child, version, now=now),
        priority=parent.priority,
        active_nodes=len(version.graph.roots) if is_running else 0,
        created_at=now,
        deadline_at=now + timeout if timeout else None,
        slot=slot,
        slot_limit=limit,
        parent_id=claim.execution_id,
        parent_run_id=claim.id,
        parent_round=claim.round,
        relation=Execution.Relation.CHILD,
        item=child.item,
        depth=parent.depth + 1,
        follows_parent=child.follows_parent,
        key=parent.key,
        tenant=parent.tenant,
    )


def _slot(
    claim: Claim, wait: StartChildren, version: PreparedVersion, parent: ExecutionRow
) -> tuple[str, int | None]:
    if wait.parallelism is not None:
        # A config may write the number as 5.0, or larger than any column.
        return f"run:{claim.id}:{claim.round}", min(int(wait.parallelism), settings.MAX_CHILDREN)
    return version.slot_for(parent.key, parent.tenant)


def _text(child: Child, version: PreparedVersion, *, now: datetime) -> str:
    schema = version.definition.input_schema
    faults = list(faults_in(schema, child.input, "input")) if schema else []
    if faults:
        raise RefusedChild(
            f"'{version.workflow_key}' refuses its input: " + "; ".join(map(str, faults))
        )
    return store(encode(child.input, limit_bytes=settings.MAX_PAYLOAD_BYTES), now=now)


def unfinished_of(parent_id: UUID) -> list[UUID]:
    """Return the children of an execution that have started, not ended, and follow it."""
    children = Execution.objects.unfinished().filter(
        parent_id=parent_id, relation=Execution.Relation.CHILD, follows_parent=True
    )
    return list(children.order_by("id").values_list("id", flat=True))
