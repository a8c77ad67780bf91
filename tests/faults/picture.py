"""What a run has come to, without what may differ from run to run: ids, instants, tokens.

A picture holds what people and programs can see of executions: statuses, outputs, counters, dead
letters, signals, decisions, log lines, audit entries.  Left out is what a fault may leave behind:
how many attempts were lost with their worker, and which worker did what.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from spane_django.core.json import decode, encode
from spane_django.models import (
    Approval,
    Attempt,
    AuditEntry,
    DeadLetter,
    Execution,
    LogLine,
    NodeRun,
    Signal,
)
from spane_django.models.payloads import load

_ACTIVE = ("ready", "running", "waiting")
_FINAL = ("completed", "failed", "skipped", "cancelled")

# How attempts end at a fault: where the policy of a node lets it, it is tried again.
_FAULTS = ("WorkerLost", "OperationalError", "InterfaceError")

# Ids, instants, and how often a node was tried until it failed for good.
_VARIES = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)?"
    r'|(?<="attempts":)\d+'
)

Picture = dict[str, Any]


def picture_of(roots: Iterable[UUID], name: str) -> list[Any]:
    """Return executions with all that belongs to them, those that they have started included.

    Args:
        name: Of the run, wherever it occurs.
    """
    told = encode([_execution(Execution.objects.get(pk=key)) for key in roots])
    return list(decode(_VARIES.sub("0", told).replace(name, "RUN")))


def broken_laws(roots: Iterable[UUID]) -> list[str]:
    """Return what is wrong with executions whatever they were to do: counters, claims, ends."""
    return [fault for key in roots for fault in _faults(Execution.objects.get(pk=key))]


def _faults(row: Execution) -> Iterable[str]:
    runs = list(row.node_runs.all())
    active = sum(run.status in _ACTIVE for run in runs)
    failed = sum(run.status == "failed" for run in runs)
    where = f"{row.workflow.key} {row.relation}".strip()
    if (row.active_nodes, row.failed_nodes) != (active, failed):
        counted = f"{row.active_nodes} active and {row.failed_nodes} failed"
        yield f"{where}: it counts {counted}, there are {active} and {failed}"
    if row.status in _FINAL and (active or row.finished_at is None):
        yield f"{where}: it is {row.status} and {active} nodes are active"
    for run in runs:
        if run.status == "running":
            yield f"{where}: '{run.node_id}' is running and nobody runs it"
        if (run.status in _FINAL) != (run.finished_at is not None):
            yield f"{where}: '{run.node_id}' is {run.status}, finished at {run.finished_at}"
    for child in row.children.all():
        yield from _faults(child)


def _execution(row: Execution) -> Picture:
    return {
        "workflow": row.workflow.key,
        "version": row.version.number,
        "of": (row.relation, row.parent_run and row.parent_run.node_id, row.parent_round, row.item),
        "status": row.status,
        "reason": row.reason,
        "input": load(row.input),
        "counts": (row.active_nodes, row.failed_nodes),
        "replay": row.replay_of is not None,
        "nodes": {run.node_id: _node(run) for run in row.node_runs.order_by("node_id")},
        "letters": _rows(DeadLetter, row, "node_id", "error_type", "error_message", "resolution"),
        "log": _rows(LogLine, row, "node_id", "level", "message"),
        "audit": _rows(AuditEntry, row, "verb", "target", "reason"),
        "approvals": _rows(Approval, row, "title", "status", "decisions__username"),
        "children": sorted((_execution(child) for child in row.children.all()), key=encode),
    }


def _node(run: NodeRun) -> Picture:
    failures = Attempt.objects.filter(node_run=run).exclude(error_type__in=_FAULTS)
    return {
        "status": run.status,
        "reason": run.reason,
        "output": load(run.output),
        "chose": run.next_nodes,
        "error": (run.error_type, run.error_message),
        "edges": (run.open_edges, run.live_edges, run.broken_edges),
        "held": run.is_held,
        "failed": sorted(failures.values_list("error_type", "error_message")),
        "signals": _values(Signal.objects.filter(node_run=run), "name", "payload"),
    }


def _rows(model: Any, row: Execution, *columns: str) -> list[Any]:
    return _values(model.objects.filter(execution_id=row.pk), *columns)


def _values(rows: Any, *columns: str) -> list[Any]:
    return sorted((list(values) for values in rows.values_list(*columns)), key=encode)
