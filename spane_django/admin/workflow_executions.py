"""The latest executions of a workflow: what each came to, what started it, where it failed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ..clock import now as current_time
from ..core.statuses import NodeStatus
from ..engine.scope import Scope
from ..models import Execution, NodeRun, Schedule, Trigger, Webhook, Workflow
from .present import brief, chip, code, lately, length, link, page_of, short_id

MOST = 25
_ERROR_CHARACTERS = 120
_FROM_ROWS: dict[str, Any] = {"schedule": Schedule, "webhook": Webhook, "trigger": Trigger}


@dataclass(frozen=True, slots=True)
class Recent:
    """An execution as the tab shows it."""

    identity: SafeString
    version: int
    status: SafeString
    began: SafeString | None
    took: SafeString | None
    origin: SafeString | str
    trouble: SafeString | str


def recent(workflow: Workflow, scope: Scope, site: str) -> list[Recent]:
    """Return the latest executions that were started on their own, the newest first."""
    rows = scope.within(Execution.objects.top_level().filter(workflow=workflow))
    rows = rows.select_related("version", "started_by").defer("input", "version__definition")
    found = list(rows.order_by("-id")[:MOST])
    failed = _failed_nodes(row.pk for row in found if row.failed_nodes)
    return [_told(row, failed.get(row.pk), site) for row in found]


def _failed_nodes(ids: Iterable[UUID]) -> dict[UUID, tuple[str, str, str]]:
    """Return the node of each execution that failed first, with its error."""
    runs = NodeRun.objects.filter(execution__in=list(ids), status=NodeStatus.FAILED)
    columns = ("execution_id", "node_id", "error_type", "error_message")
    told = runs.order_by("-finished_at", "-id").values_list(*columns)
    return {key: (node, kind, message) for key, node, kind, message in told}


def _told(row: Execution, failed: tuple[str, str, str] | None, site: str) -> Recent:
    page = page_of(Execution, row.pk, site)
    return Recent(
        identity=link(page, code(short_id(row.pk), str(row.pk))),
        version=row.version.number,
        status=chip(row.status),
        began=lately(row.started_at or row.created_at),
        took=_took(row),
        origin=_origin(row, site),
        trouble=_trouble(row, failed, page),
    )


def _took(row: Execution) -> SafeString | None:
    if row.started_at is None:
        return None
    return length((row.finished_at or current_time()) - row.started_at)


def _origin(row: Execution, site: str) -> SafeString | str:
    """Return what has started an execution: a trigger, another execution or a person."""
    kind, _colon, key = row.trigger.partition(":")
    if kind in _FROM_ROWS and key.isdecimal():
        return link(page_of(_FROM_ROWS[kind], key, site), code(row.trigger))
    if row.trigger:
        return code(row.trigger)
    if row.replay_of_id is not None:
        return link(page_of(Execution, row.replay_of_id, site), _("replay of another"))
    return str(row.started_by) if row.started_by else _("code or command line")


def _trouble(row: Execution, failed: tuple[str, str, str] | None, page: str) -> SafeString | str:
    if failed is None:
        return brief(row.reason, _ERROR_CHARACTERS)
    node, kind, message = failed
    at = link(f"{page}?{urlencode({'node': node})}", code(node))
    return format_html("{} {}: {}", at, kind, brief(message, _ERROR_CHARACTERS))
