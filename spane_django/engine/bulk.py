"""One verb for many executions, in steps that anybody may take.

`plan` counts.  `begin` writes the operation down, with the last execution that it concerns, so
that what the verb itself starts is not among them.  `advance` takes one step: it applies the verb
to the next executions in the order of their ids, each in a savepoint of its own, and commits
their changes with the operation's progress.  So a process that dies between or in a step loses
nothing and does nothing twice, and whoever finds the operation unfinished may go on; the sweep
does.  Two who try at once take turns: the operation's row is locked for a step.

Memory is bounded by a step.  Of the refusals the first are kept, and all are counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Q

from ..core.errors import InvalidInput, SpaneError
from ..core.json import Json
from ..core.schema import Fault, faults_in
from ..models import BulkOperation, Execution
from ..models.execution import ExecutionQuerySet
from .audit import Owned, record
from .bulk_verbs import VERBS, BulkVerb
from .control import UnknownExecution
from .db import atomic, connection, in_transaction
from .selection import check_selection, ids_of, selected

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

ROWS_PER_STEP = 100
REFUSALS_KEPT = 100

# Whoever drives an operation takes steps all the time; after this the sweep takes over.
_ABANDONED_AFTER = timedelta(minutes=1)
# So that the timers of a sweep are not kept waiting.
_STEPS_PER_SWEEP = 4
_OPERATIONS_PER_SWEEP = 5


class UnknownOperation(SpaneError):
    """There is no such bulk operation."""


def plan(
    verb: str,
    selection: Json,
    arguments: Json = None,
    *,
    tenant: str = "",
    is_complete: bool = True,
) -> int:
    """Return how many executions a verb would be applied to; change nothing.

    Args:
        tenant: Only this one's; "": everybody's.
        is_complete: Whether these are all arguments; else somebody is still to be asked for more.

    Raises:
        InvalidInput: the verb, the selection or an argument is refused; every fault is listed.
    """
    checked = _checked(verb, selection, arguments, tenant, is_complete=is_complete)
    return _chosen(checked, selection, arguments or {}, tenant).count()


def begin(
    verb: str,
    selection: Json,
    arguments: Json = None,
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    reason: str = "",
    tenant: str = "",
) -> BulkOperation:
    """Write an operation down, for `advance` to do it.

    Args:
        tenant: Whose executions it may change, whatever the selection names; "": everybody's.

    Raises:
        InvalidInput: as `plan`.
    """
    checked = _checked(verb, selection, arguments, tenant)
    chosen = _chosen(checked, selection, arguments or {}, tenant)
    with atomic():
        last, total = _extent(chosen, selection)
        operation = BulkOperation.objects.create(
            verb=verb,
            arguments=arguments or {},
            selection=selection,
            reason=reason,
            tenant=tenant,
            total=total,
            last=last,
            started_by_id=by.pk if by else None,
            created_at=now,
            finished_at=None if total else now,
        )
        record(
            "bulk", now=now, by=by, target=Owned(verb, tenant), reason=reason,
            after={"operation": str(operation.pk), "total": total, "selection": selection},
        )  # fmt: skip
    return operation


def advance(
    operation_id: UUID, *, now: datetime, limit: int | None = None, keeps_driver: bool = False
) -> BulkOperation:
    """Take one step of an operation and return how it stands; while another does, only look.

    Args:
        limit: The most executions of the step; None: `ROWS_PER_STEP`.
        keeps_driver: Leave the note of who drives it as it is: the sweep helps out.

    Locks:
        The operation, then the executions of the step by id.

    Raises:
        UnknownOperation: there is none.
    """
    rows = limit or ROWS_PER_STEP
    in_transaction(lambda: _step(operation_id, now=now, limit=rows, keeps_driver=keeps_driver))
    return find_operation(operation_id)


def find_operation(operation_id: UUID) -> BulkOperation:
    """Return an operation as it stands.

    Raises:
        UnknownOperation: there is none.
    """
    found = BulkOperation.objects.select_related("started_by").filter(pk=operation_id).first()
    if found is None:
        raise UnknownOperation(f"there is no bulk operation {operation_id}")
    return found


def advance_abandoned(*, now: datetime) -> int:
    """Go on with operations that nobody drives; return how many executions were dealt with."""
    left = Q(advanced_at=None) | Q(advanced_at__lt=now - _ABANDONED_AFTER)
    operations = BulkOperation.objects.unfinished().filter(left).order_by("id")
    done = 0
    for operation in operations[:_OPERATIONS_PER_SWEEP]:
        before = operation.changed + operation.refused
        for _ in range(_STEPS_PER_SWEEP):
            operation = advance(operation.pk, now=now, limit=ROWS_PER_STEP, keeps_driver=True)
        done += operation.changed + operation.refused - before
    return done


def _step(operation_id: UUID, *, now: datetime, limit: int, keeps_driver: bool) -> None:
    operation = _locked(operation_id)
    if operation is None:
        return
    keys = _next_keys(operation, limit)
    for key in keys:
        _apply(operation, key, now=now)
    if keys:
        operation.cursor = str(keys[-1])
    if len(keys) < limit or operation.cursor == operation.last:
        operation.finished_at = now
    if not keeps_driver:
        operation.advanced_at = now
    operation.save(
        update_fields=[
            "cursor", "changed", "refused", "refusals", "advanced_at", "finished_at",
        ]
    )  # fmt: skip


def _locked(operation_id: UUID) -> BulkOperation | None:
    """Return an unfinished operation under its lock; None if it is over, or another has it."""
    skips = bool(connection().features.has_select_for_update_skip_locked)
    rows = BulkOperation.objects.unfinished().select_for_update(of=("self",), skip_locked=skips)
    return rows.select_related("started_by").filter(pk=operation_id).first()


def _apply(operation: BulkOperation, key: UUID, *, now: datetime) -> None:
    verb, by = VERBS[operation.verb], operation.started_by
    try:
        with atomic():
            _require_within(operation.tenant, key)
            verb.apply(key, operation.arguments, now=now, by=by, reason=operation.reason)
    except SpaneError as error:
        operation.refused += 1
        if len(operation.refusals) < REFUSALS_KEPT:
            operation.refusals[str(key)] = str(error)
    else:
        operation.changed += 1


def _next_keys(operation: BulkOperation, limit: int) -> list[UUID]:
    selection = operation.selection
    after = UUID(operation.cursor) if operation.cursor else None
    if "ids" in selection:
        left = [key for key in ids_of(selection) if after is None or key > after]
        return left[:limit]
    rows = _chosen(VERBS[operation.verb], selection, operation.arguments, operation.tenant)
    rows = rows.filter(pk__lte=UUID(operation.last))
    if after is not None:
        rows = rows.filter(pk__gt=after)
    return list(rows.order_by("pk").values_list("pk", flat=True)[:limit])


def _extent(chosen: ExecutionQuerySet, selection: Mapping[str, Any]) -> tuple[str, int]:
    """Return the last id that an operation concerns, and how many there are."""
    if "ids" in selection:
        keys = ids_of(selection)
        return str(keys[-1]), len(keys)
    newest = chosen.order_by("-pk").values_list("pk", flat=True).first()
    return (str(newest), chosen.count()) if newest is not None else ("", 0)


def _require_within(tenant: str, key: UUID) -> None:
    """Refuse an execution that was named by its id and is another tenant's."""
    if tenant and not Execution.objects.filter(pk=key, tenant=tenant).exists():
        raise UnknownExecution(f"there is no execution {key}")


def _chosen(
    verb: BulkVerb, selection: Mapping[str, Any], arguments: Mapping[str, Any], tenant: str
) -> ExecutionQuerySet:
    chosen = selected(selection, tenant=tenant)
    return chosen if "ids" in selection else verb.narrow(chosen, arguments)


def _checked(
    verb: str, selection: Json, arguments: Json, tenant: str, *, is_complete: bool = True
) -> BulkVerb:
    faults: list[Fault] = []
    known = VERBS.get(verb)
    if known is None:
        names = ", ".join(VERBS)
        faults.append(Fault("verb", "unknown_verb", f"'{verb[:50]}' is none of {names}"))
    elif is_complete:
        found = list(faults_in(known.schema, arguments or {}, "arguments"))
        faults += found or known.check(arguments or {})
    try:
        check_selection(selection, "selection", tenant=tenant)
    except InvalidInput as error:
        faults += error.faults
    if faults or known is None:
        raise InvalidInput(faults)
    return known
