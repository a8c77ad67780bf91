"""What a run has come to, without what may differ from run to run: ids, instants, tokens.

A picture holds what people and programs can see of executions: statuses, outputs, counters, dead
letters, signals, decisions, log lines, audit entries.  Left out is what a fault may leave behind:
how many attempts were lost with their worker, and which worker did what.

A run is read with one query per table, as there are thousands of runs.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
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
_FAULTS = ("WorkerLost", "TransactionLost", "DatabaseLost", "OperationalError", "InterfaceError")

# Ids, instants, and how often a node was tried until it failed for good.
_VARIES = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)?"
    r'|(?<="attempts":)\d+'
)

_OF_EXECUTION = {
    "letters": (DeadLetter, "node_id", "error_type", "error_message", "resolution"),
    "log": (LogLine, "node_id", "level", "message"),
    "audit": (AuditEntry, "verb", "target", "reason"),
    "approvals": (Approval, "title", "status", "decisions__username"),
}

Rows = dict[Any, list[dict[str, Any]]]


class Picture:
    """All that has been started since an instant, as it stands.

    Args:
        roots: What people have started, in the order in which it is shown.
        name: Of the run, left out wherever it occurs.
    """

    def __init__(self, roots: Sequence[UUID], *, since: datetime, name: str) -> None:
        self._name = name
        mine = {"execution__created_at__gte": since}
        rows = list(Execution.objects.filter(created_at__gte=since).values(*_COLUMNS))
        self._roots = [row for key in roots for row in rows if row["id"] == key]
        self._children = _by(rows, "parent_id")
        self._runs = _by(
            NodeRun.objects.filter(**mine).order_by("node_id").values(), "execution_id"
        )
        attempts = Attempt.objects.exclude(error_type__in=_FAULTS)
        of_node = {"node_run__execution__created_at__gte": since}
        self._attempts = _by(attempts.filter(**of_node).values(), "node_run_id")
        self._signals = _by(Signal.objects.filter(**of_node).values(), "node_run_id")
        keys = [row["id"] for row in rows]
        self._belongings = {
            name: _by(
                model.objects.filter(execution_id__in=keys).values("execution_id", *columns),
                "execution_id",
            )
            for name, (model, *columns) in _OF_EXECUTION.items()
        }

    def told(self) -> list[Any]:
        """Return what can be compared with another run."""
        text = encode([self._execution(row) for row in self._roots])
        return list(decode(_VARIES.sub("0", text).replace(self._name, "RUN")))

    def faults(self) -> list[str]:
        """Return what is wrong whatever was to happen: with counters, claims and ends."""
        return [fault for row in self._roots for fault in self._faults(row)]

    def _faults(self, row: dict[str, Any]) -> Iterator[str]:
        runs = self._runs[row["id"]]
        active = sum(run["status"] in _ACTIVE for run in runs)
        failed = sum(run["status"] == "failed" for run in runs)
        where = f"{row['workflow__key']} {row['relation']}".strip()
        if (row["active_nodes"], row["failed_nodes"]) != (active, failed):
            counted = f"{row['active_nodes']} active and {row['failed_nodes']} failed"
            yield f"{where}: it counts {counted}, there are {active} and {failed}"
        if row["status"] in _FINAL and (active or row["finished_at"] is None):
            yield f"{where}: it is {row['status']} and {active} nodes are active"
        for run in runs:
            if run["status"] == "running":
                yield f"{where}: '{run['node_id']}' is running and nobody runs it"
            if (run["status"] in _FINAL) != (run["finished_at"] is not None):
                yield f"{where}: '{run['node_id']}' is {run['status']}: {run['finished_at']}"
        for child in self._children[row["id"]]:
            yield from self._faults(child)

    def _execution(self, row: dict[str, Any]) -> dict[str, Any]:
        children = [self._execution(child) for child in self._children[row["id"]]]
        belongings = {
            name: sorted((_plain(each, "execution_id") for each in rows[row["id"]]), key=encode)
            for name, rows in self._belongings.items()
        }
        return {
            "workflow": (row["workflow__key"], row["version__number"]),
            "of": (row["relation"], row["parent_run__node_id"], row["parent_round"], row["item"]),
            "status": (row["status"], row["reason"]),
            "input": load(row["input"]),
            "counts": (row["active_nodes"], row["failed_nodes"]),
            "replay": row["replay_of_id"] is not None,
            "nodes": {run["node_id"]: self._node(run) for run in self._runs[row["id"]]},
            "children": sorted(children, key=encode),
            **belongings,
        }

    def _node(self, run: dict[str, Any]) -> dict[str, Any]:
        failed = [(each["error_type"], each["error_message"]) for each in self._attempts[run["id"]]]
        signals = [(each["name"], each["payload"]) for each in self._signals[run["id"]]]
        return {
            "status": (run["status"], run["reason"]),
            "output": load(run["output"]),
            "chose": run["next_nodes"],
            "error": (run["error_type"], run["error_message"]),
            "edges": (run["open_edges"], run["live_edges"], run["broken_edges"]),
            "held": run["is_held"],
            "failed": sorted(failed),
            "signals": sorted(signals, key=encode),
        }


_COLUMNS = (
    "id", "parent_id", "relation", "parent_round", "item", "status", "reason", "input",
    "active_nodes", "failed_nodes", "replay_of_id", "finished_at", "workflow__key",
    "version__number", "parent_run__node_id",
)  # fmt: skip


def _by(rows: Any, column: str) -> Rows:
    found: Rows = defaultdict(list)
    for row in rows:
        found[row[column]].append(row)
    return found


def _plain(row: dict[str, Any], without: str) -> list[Any]:
    return [value for name, value in row.items() if name != without]
