"""One node of an execution, looked at closely: what it got, what it made of it, what went wrong.

It is a part of the execution's page, chosen by ``?node=``: a link to it is a link to the page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ..core.statuses import NodeStatus
from ..engine.inputs import input_of
from ..engine.versions import prepared
from ..models import Approval, Attempt, DeadLetter, Execution, NodeRun
from ..models.payloads import shown
from .base import has_perm
from .node_verbs import NODE_VERBS, NodeVerb
from .present import chip, instant, length, pretty
from .timeline import ran, waited

_ATTEMPTS = 20
_TAKES_NO_INPUT = frozenset({NodeStatus.PENDING, NodeStatus.SKIPPED, NodeStatus.CANCELLED})

UrlOf = Callable[[str], str]


@dataclass
class Inspector:
    """What is told of one node.

    Attributes:
        run: None: nothing has reached the node yet.
        verbs: What may be done to it now by whoever looks, each with its address.
        children: How many executions it has started, by status.
    """

    node_id: str
    node_type: str
    run: NodeRun | None = None
    chip: SafeString | None = None
    facts: list[tuple[str, object]] = field(default_factory=list)
    payloads: list[tuple[str, SafeString]] = field(default_factory=list)
    attempts: list[tuple[Attempt, SafeString | None, SafeString | None]] = field(
        default_factory=list
    )
    letter: DeadLetter | None = None
    approval: Approval | None = None
    verbs: list[tuple[NodeVerb, str]] = field(default_factory=list)
    children: list[tuple[str, SafeString]] = field(default_factory=list)


def inspector_of(
    execution: Execution, node_id: str, request: HttpRequest, *, url_of: UrlOf, now: datetime
) -> Inspector | None:
    """Return what is told of a node; None: the version has no such node.

    Args:
        url_of: The address of a verb's page, by the verb's name.
    """
    node = prepared(execution.version_id).nodes.get(node_id)
    if node is None:
        return None
    inspector = Inspector(node_id, node.type)
    run = execution.node_runs.filter(node_id=node_id).first()
    if run is None:
        return inspector
    run.execution = execution
    inspector.run, inspector.chip = run, chip(run.status)
    inspector.facts = [(label, value) for label, value in _facts(run, now) if value]
    inspector.attempts = [
        (attempt, instant(attempt.started_at), length(_took(attempt)))
        for attempt in run.attempts.order_by("-number")[:_ATTEMPTS]
    ]
    inspector.letter = run.dead_letters.filter(resolved_at=None).only("pk").order_by("pk").last()
    inspector.approval = run.approvals.open().only("pk", "title").order_by("pk").last()
    inspector.children = _children(run)
    may_see = has_perm(request, "view_payload")
    if may_see:
        inspector.payloads = _payloads(run)
    inspector.verbs = [
        (verb, f"{url_of(verb.name)}?{urlencode({'node': node_id})}")
        for verb in NODE_VERBS
        if has_perm(request, verb.permission)
        and (may_see or not verb.shows_data)
        and verb.is_offered(run, now)
    ]
    return inspector


def _facts(run: NodeRun, now: datetime) -> list[tuple[str, object]]:
    is_waiting = run.status in (NodeStatus.READY, NodeStatus.WAITING)
    return [
        (_("Started"), instant(run.started_at)),
        (_("Ran"), length(ran(run, now))),
        (_("Waited"), length(waited(run, now))),
        (_("Due"), instant(run.available_at) if is_waiting else None),
        (_("Attempt"), run.attempt if run.started_at else None),
        (_("Queue"), run.queue),
        (_("Signal"), f"{run.signal_name} {run.signal_key}".strip()),
        (_("Limit"), run.gate),
        (_("Chosen"), None if run.next_nodes is None else ", ".join(run.next_nodes) or _("none")),
    ]


def _payloads(run: NodeRun) -> list[tuple[str, SafeString]]:
    told: list[tuple[str, Any]] = []
    if run.status not in _TAKES_NO_INPUT:
        told.append((_("Input"), input_of(run)))
    if run.output is not None:
        told.append((_("Output"), run.output))
    if run.checkpoint is not None:
        told.append((_("Checkpoint"), run.checkpoint))
    return [(label, pretty(shown(value))) for label, value in told]


def _children(run: NodeRun) -> list[tuple[str, SafeString]]:
    counted = run.children.order_by("status").values_list("status").annotate(Count("pk"))
    return [(status, chip(status, count=count)) for status, count in counted]


def _took(attempt: Attempt) -> Any:
    return None if attempt.started_at is None else attempt.finished_at - attempt.started_at
