"""The evidence: everything that the checks compare, read once after everything has ended."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import dict_row

from . import record
from .checks import Evidence
from .history import changes
from .load import Journal
from .oracle import Ended, Run
from .plant import Plant

_EXECUTIONS = """
SELECT e.id, e.status, e.reason, e.version_id, e.parent_id, e.parent_run_id, e.parent_round,
    e.relation, e.item, e.idempotency_key, e.active_nodes, e.failed_nodes, e.follows_parent
FROM spane_django_execution e ORDER BY e.id
"""
_RUNS = """
SELECT id, execution_id, node_id, node_type AS type, status, reason, attempt, failures, losses,
    next_nodes, output, error_type
FROM spane_django_noderun
"""


def gather(plant: Plant, journal: Journal, database: psycopg.Connection[Any]) -> Evidence:
    """Read what there is."""
    cursor = database.cursor(row_factory=dict_row)
    versions = dict(
        database.execute("SELECT id, definition FROM spane_django_workflowversion").fetchall()
    )
    rows = {str(row["id"]): row for row in cursor.execute(_EXECUTIONS)}
    executions = {key: _ended(row, rows, versions, journal) for key, row in rows.items()}
    for row in cursor.execute(_RUNS):
        made = Run(**{name: value for name, value in row.items() if name != "execution_id"})
        executions[str(row["execution_id"])].runs[made.node_id] = made
    workers = database.execute("SELECT id, pid FROM spane_django_worker").fetchall()
    return Evidence(
        executions=executions,
        rows=rows,
        bodies=record.read(plant.record),
        changes=changes(database),
        journal=journal,
        answers=plant.web.answers,
        pids=dict(workers),
    )


def _ended(
    row: dict[str, Any],
    rows: dict[str, dict[str, Any]],
    versions: dict[int, Any],
    journal: Journal,
) -> Ended:
    return Ended(
        id=str(row["id"]),
        status=row["status"],
        reason=row["reason"],
        definition=versions[row["version_id"]],
        active_nodes=row["active_nodes"],
        failed_nodes=row["failed_nodes"],
        is_reopened=row["id"] in journal.reopened,
        may_be_cancelled=_may_be_cancelled(row, rows, journal),
    )


def _may_be_cancelled(
    row: dict[str, Any], rows: dict[str, dict[str, Any]], journal: Journal
) -> bool:
    """Say whether somebody wanted it, or its parent's node went on or ended without it."""
    return row["id"] in journal.cancelled or row["relation"] == "child"
