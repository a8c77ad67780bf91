"""Which executions an operator means: by their ids, or by a filter.

A selection is JSON, as it comes over the wire and as a `BulkOperation` keeps it: ``{"ids":
[...]}``, or any of the other keys of `SCHEMA`, all of which must hold.  Filters choose executions
that were started on their own; those that belong to another one are chosen by ids, ``parent`` or,
with all others, by ``nested``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef

from ..core.errors import InvalidInput
from ..core.instants import instant_from
from ..core.json import Json
from ..core.schema import Fault, Schema, faults_in
from ..core.statuses import ExecutionStatus, NodeStatus
from ..models import Execution, NodeRun, Workflow
from ..models.execution import ExecutionQuerySet

MAX_IDS = 10_000

_UUID = "^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$"
_ID: Schema = {"type": "string", "pattern": _UUID}
_TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": 200}

SCHEMA: Schema = {
    "type": "object",
    "properties": {
        "ids": {"type": "array", "minItems": 1, "maxItems": MAX_IDS, "items": _ID},
        "workflow": _TEXT,
        "version": {"type": "integer", "minimum": 1},
        "status": {
            "type": "array",
            "minItems": 1,
            "items": {"enum": [status.value for status in ExecutionStatus]},
        },
        "createdSince": {"type": "string", "format": "date-time"},
        "createdUntil": {"type": "string", "format": "date-time"},
        "key": _TEXT,
        "idempotencyKey": _TEXT,
        "parent": _ID,
        "node": _TEXT,
        "errorType": _TEXT,
        "nested": {"const": True},
        "all": {"const": True},
    },
    "additionalProperties": False,
    "minProperties": 1,
}

_COLUMNS = {
    "workflow": "workflow__key",
    "version": "version__number",
    "status": "status__in",
    "key": "key",
    "idempotencyKey": "idempotency_key",
    "parent": "parent",
}
_STUCK = [NodeStatus.FAILED, NodeStatus.READY, NodeStatus.RUNNING, NodeStatus.WAITING]


def check_selection(selection: Json, path: str = "", *, tenant: str = "") -> None:
    """Refuse what is no selection.

    Args:
        tenant: Who asks; "": somebody who may see everything.

    Raises:
        InvalidInput: with every fault.
    """
    faults = list(faults_in(SCHEMA, selection, path))
    if isinstance(selection, dict):
        faults += _more_faults(selection, f"{path}." if path else "", tenant)
    if faults:
        raise InvalidInput(faults)


def selected(selection: Mapping[str, Any], *, tenant: str = "") -> ExecutionQuerySet:
    """Return the executions of a filter, or those of the ids that exist.

    Args:
        tenant: Only this one's; "": everybody's.

    Besides the columns: ``node`` and ``errorType`` choose executions of which a node, this one
    and with this error, has failed or not ended; ``createdSince`` is included, ``createdUntil``
    is not.
    """
    within = Execution.objects.filter(tenant=tenant) if tenant else Execution.objects.all()
    if "ids" in selection:
        return within.filter(pk__in=ids_of(selection))
    filters = {column: selection[name] for name, column in _COLUMNS.items() if name in selection}
    chosen = within.filter(**filters)
    if "parent" not in selection and "nested" not in selection:
        chosen = chosen.top_level()
    if "createdSince" in selection:
        chosen = chosen.filter(created_at__gte=instant_from(selection["createdSince"]))
    if "createdUntil" in selection:
        chosen = chosen.filter(created_at__lt=instant_from(selection["createdUntil"]))
    return _at_a_node(chosen, selection)


def ids_of(selection: Mapping[str, Any]) -> list[UUID]:
    """Return the ids that a selection names, each once, in the order of their values."""
    return sorted({UUID(text) for text in selection["ids"]})


def _at_a_node(chosen: ExecutionQuerySet, selection: Mapping[str, Any]) -> ExecutionQuerySet:
    names = {"node": "node_id", "errorType": "error_type"}
    wanted = {column: selection[name] for name, column in names.items() if name in selection}
    if not wanted:
        return chosen
    runs = NodeRun.objects.filter(execution=OuterRef("pk"), status__in=_STUCK, **wanted)
    return chosen.filter(Exists(runs))


def _more_faults(selection: dict[str, Any], path: str, tenant: str) -> Iterator[Fault]:
    if "ids" in selection and len(selection) > 1:
        yield Fault(f"{path}ids", "unfitting", "give ids or a filter, not both")
    if "all" in selection and len(selection) > 1:
        yield Fault(f"{path}all", "unfitting", "all is for a filter that names nothing else")
    for name in ("createdSince", "createdUntil"):
        given = selection.get(name)
        if isinstance(given, str) and instant_from(given) is None:
            message = f"'{given[:50]}' is no time with a zone: write 2025-01-31T12:00:00Z"
            yield Fault(path + name, "no_time", message)
    workflow = selection.get("workflow")
    if isinstance(workflow, str) and not _is_known(workflow[:500], tenant):
        yield Fault(f"{path}workflow", "unknown_workflow", f"no workflow '{workflow[:100]}'")


def _is_known(workflow: str, tenant: str) -> bool:
    known = Workflow.objects.filter(key=workflow)
    return (known.filter(tenant__in=("", tenant)) if tenant else known).exists()
