"""Pruning: finished executions past their keep go, with everything that belongs to them.

* Executions that others started go with them, never before: only those at the top are chosen, and
  one of which something is still unfinished, however far below, is left for another time.
* In bounded transactions, oldest first, from the leaves up, so that neither a large backlog nor a
  parent of ten thousand blocks workers or fills memory.  Interrupted between two of them, the
  next run goes on with what is left.
* Rows are deleted by their execution's id, without being read: every reference has an index.
* How long executions are kept is said by the workflow as it is now (``keepDays``), else by the
  setting ``KEEP_DAYS``; without either, for ever.  Replays stay, and audit entries, which have a
  keep of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q

from ..conf import settings
from ..core.definition import Definition
from ..core.statuses import ExecutionStatus
from ..models import (
    Approval,
    ApprovalDecision,
    Attempt,
    AuditEntry,
    DeadLetter,
    Execution,
    LogLine,
    NodeRun,
    Signal,
    Workflow,
)
from ..models.execution import ExecutionQuerySet
from .db import alias, atomic
from .naming import of_workflow
from .payloads import forget

# So many node runs at once, as executions may have one or five thousand of them.
MOST_RUNS = 10_000

FINAL = tuple(status for status in ExecutionStatus if status.is_final)


def prunable(
    *,
    before: datetime,
    statuses: Collection[ExecutionStatus],
    workflow: str | None = None,
    tenant: str = "",
) -> ExecutionQuerySet:
    """Return the executions that ended before an instant with one of the statuses.

    Args:
        tenant: Only this one's, and those of the workflow that its id means to it; "": all.

    Raises:
        ValueError: a status is not final.
    """
    unfinished = [status.value for status in statuses if not status.is_final]
    if unfinished:
        raise ValueError(f"only finished executions can be pruned, not {', '.join(unfinished)}")
    executions = _top().filter(status__in=statuses, finished_at__lt=before)
    return _of(executions, workflow, tenant)


def outlived(
    *,
    now: datetime,
    statuses: Collection[ExecutionStatus] = FINAL,
    workflow: str | None = None,
    tenant: str = "",
) -> ExecutionQuerySet:
    """Return the executions that have been kept as long as workflows and settings want it."""
    past = Q(pk__in=())
    bounds = [datetime.min.replace(tzinfo=now.tzinfo)]
    own = dict(_own_days())
    for status in statuses:
        with_own = [key for key, days in own.items() if status.value in days]
        rules = [(Q(workflow_id=key), own[key][status.value]) for key in with_own]
        others = settings.KEEP_DAYS.get(status.value)
        for whose, days in [*rules, (~Q(workflow_id__in=with_own), others)]:
            if days is not None:
                bounds.append(now - timedelta(days=days))
                past |= whose & Q(status=status, finished_at__lt=bounds[-1])
    # Said once for all, so that the index by end is entered just as far as it is of use.
    executions = _top().filter(past, finished_at__lt=max(bounds))
    return _of(executions, workflow, tenant)


def size(executions: ExecutionQuerySet) -> int:
    """Return how many executions these are, with all that they started."""
    total, level = executions.count(), Execution.objects.filter(parent__in=executions)
    while found := level.count():
        total += found
        level = Execution.objects.filter(parent__in=level)
    return total


def prune(executions: ExecutionQuerySet, *, batch: int = 500) -> Iterator[int]:
    """Delete executions with all that belongs to them; yield how many after each transaction.

    Args:
        batch: The most executions that one transaction deletes.
    """
    later = Q()
    ordered = executions.order_by("finished_at", "id").values_list("finished_at", "id")
    while page := list(ordered.filter(later)[:batch]):
        last_at, last_id = page[-1]
        later = Q(finished_at__gte=last_at) & (Q(finished_at__gt=last_at) | Q(id__gt=last_id))
        ids = [key for _, key in page]
        unfinished = _with_unfinished(ids)
        yield from _fell([key for key in ids if key not in unfinished], batch)


def prune_signals(*, now: datetime, batch: int = 5_000) -> Iterator[int]:
    """Delete signals that nobody took in their time; yield how many after each transaction."""
    expired = Signal.objects.untaken().filter(expires_at__lt=now).order_by("expires_at")
    while ids := list(expired.values_list("id", flat=True)[:batch]):
        Signal.objects.untaken().filter(id__in=ids).delete()
        yield len(ids)


def _of(executions: ExecutionQuerySet, workflow: str | None, tenant: str) -> ExecutionQuerySet:
    if tenant:
        executions = executions.filter(tenant=tenant)
    return executions.filter(of_workflow(workflow, tenant)) if workflow else executions


def prune_audit(*, now: datetime, batch: int = 5_000) -> Iterator[int]:
    """Delete audit entries past ``AUDIT_KEEP_DAYS``; yield how many after each transaction.

    Nothing else deletes them.
    """
    if not settings.AUDIT_KEEP_DAYS:
        return
    before = now - timedelta(days=settings.AUDIT_KEEP_DAYS)
    old = AuditEntry.objects.filter(at__lt=before).order_by("at")
    while ids := list(old.values_list("id", flat=True)[:batch]):
        AuditEntry.objects.filter(id__in=ids)._raw_delete(alias())
        yield len(ids)


def _top() -> ExecutionQuerySet:
    return Execution.objects.final().top_level()


def _own_days() -> Iterator[tuple[int, dict[str, float | None]]]:
    """Yield the workflows that say themselves how long their executions are kept."""
    found = Workflow.objects.filter(current_version__definition__has_key="keepDays")
    for key, raw in found.values_list("id", "current_version__definition"):
        yield key, Definition(raw).keep_days


def _with_unfinished(ids: Sequence[UUID]) -> set[UUID]:
    """Return those below which something is unfinished.  One query if nothing is below them."""
    found: set[UUID] = set()
    path = "parent_id"
    while Execution.objects.filter(**{f"{path}__in": ids}).exists():
        unfinished = Execution.objects.unfinished().filter(**{f"{path}__in": ids})
        found |= set(unfinished.values_list(path, flat=True))
        path = f"parent__{path}"
    return found


def _fell(ids: Sequence[UUID], batch: int) -> Iterator[int]:
    """Delete executions, what is below them first."""
    children = Execution.objects.filter(parent_id__in=ids).order_by("id")
    while below := list(children.values_list("id", flat=True)[:batch]):
        gone = 0
        for number in _fell(below, batch):
            gone += number
            yield number
        if not gone:
            break  # something was opened again just now: it stays, with what is above it
    for portion in _portions(ids):
        yield _delete(portion)


def _portions(ids: Sequence[UUID]) -> Iterator[list[UUID]]:
    """Divide executions so that no portion has very many node runs, unless one alone has."""
    runs = NodeRun.objects.filter(execution_id__in=ids).order_by()
    counts = dict(runs.values_list("execution_id").annotate(Count("pk")))
    portion: list[UUID] = []
    total = 0
    for key in ids:
        total += counts.get(key, 0)
        if portion and total > MOST_RUNS:
            yield portion
            portion, total = [], counts.get(key, 0)
        portion.append(key)
    if portion:
        yield portion


def _delete(ids: Sequence[UUID]) -> int:
    """Delete executions that are final and have none below them; return how many.

    Locks:
        The executions by id, so that nobody opens one again meanwhile.
    """
    with atomic():
        free = Execution.objects.final().exclude(
            Exists(Execution.objects.filter(parent_id=OuterRef("pk")))
        )
        locked = free.filter(id__in=ids).select_for_update(of=("self",)).order_by("id")
        keys = list(locked.values_list("id", flat=True))
        if keys:
            _delete_rows(keys)
    return len(keys)


def _delete_rows(keys: Sequence[UUID]) -> None:
    runs = NodeRun.objects.filter(execution_id__in=keys)
    approvals = Approval.objects.filter(execution_id__in=keys)
    forget(keys)
    # Without Django's collector, which would read every row to see what refers to it.
    for rows in (
        Attempt.objects.filter(node_run__in=runs),
        Signal.objects.filter(node_run__in=runs),
        ApprovalDecision.objects.filter(approval__in=approvals),
        approvals,
        DeadLetter.objects.filter(execution_id__in=keys),
        LogLine.objects.filter(execution_id__in=keys),
        runs,
    ):
        rows._raw_delete(alias())
    Execution.objects.filter(replay_of_id__in=keys).update(replay_of=None)
    Execution.objects.filter(id__in=keys)._raw_delete(alias())
