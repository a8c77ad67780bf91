"""The hot path on SQLite: the same functions, a row at a time.

SQLite has one writer, so a transaction (IMMEDIATE, see the documentation's settings) is the
lock, and a statement costs microseconds instead of a round trip.  What a claim needs where nodes
wait in lanes stands in `sqlite_lanes`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from ...core.json import encode
from ...core.plan import Arrivals
from ...core.statuses import ExecutionStatus, NodeStatus
from ..db import atomic
from ..rows import (
    AmendedRow,
    ClaimedRow,
    CompletedRow,
    ExecutionRow,
    HeirRow,
    Key,
    NewExecution,
    ParentRow,
    Proof,
    RunRow,
)
from .sqlite_connection import instant
from .sqlite_lanes import SQLiteLanes

LOCK = """
SELECT id, status, version_id, active_nodes, failed_nodes, priority, finished_at, parent_run_id,
       slot, depth, key, tenant
FROM spane_django_execution WHERE id = ?
"""

COMPLETE = """
UPDATE spane_django_noderun
SET status = 'completed', output = ?, next_nodes = ?, started_at = ?, finished_at = ?,
    claim_token = NULL, checkpoint = NULL, error_type = '', error_message = ''
WHERE id = ? AND claim_token = ? AND status = 'running'
"""

AMEND = """
UPDATE spane_django_noderun
SET status = ?1, attempt = ?2, failures = ?3, losses = ?4,
    available_at = CASE WHEN ?1 = 'waiting' THEN ?5 ELSE COALESCE(?5, available_at) END,
    signal_name = CASE WHEN ?1 = 'waiting' THEN ?11 ELSE signal_name END,
    signal_key = CASE WHEN ?1 = 'waiting' THEN ?12 ELSE signal_key END,
    failures_tolerated = ?13, started_at = ?6, finished_at = ?7, checkpoint = ?8,
    error_type = ?9, error_message = ?10, claim_token = NULL,
    is_held = ?1 IN ('ready', 'waiting') AND (
        SELECT e.status = 'paused' FROM spane_django_execution e
        WHERE e.id = spane_django_noderun.execution_id)
WHERE id = ?14 AND claim_token = ?15 AND status = 'running'
"""

ARRIVALS = """
SELECT status = 'pending', open_edges, live_edges, broken_edges
FROM spane_django_noderun WHERE execution_id = ? AND node_id = ?
"""

PUT = """
INSERT INTO spane_django_noderun
    (execution_id, node_id, node_type, status, queue, priority, available_at, lane, gate, is_held,
     is_limited, open_edges, live_edges, broken_edges, reason, worker_id, claim_token, created_at,
     started_at, finished_at, attempt, failures, losses, error_type, error_message)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, 0, '', '')
ON CONFLICT (execution_id, node_id) DO UPDATE
SET status = excluded.status, available_at = excluded.available_at, lane = excluded.lane,
    gate = excluded.gate, is_held = excluded.is_held,
    open_edges = excluded.open_edges, live_edges = excluded.live_edges,
    broken_edges = excluded.broken_edges, reason = excluded.reason,
    worker_id = excluded.worker_id, claim_token = excluded.claim_token,
    started_at = excluded.started_at, finished_at = excluded.finished_at
RETURNING id, attempt
"""

UPDATE_EXECUTION = """
UPDATE spane_django_execution
SET status = ?, active_nodes = ?, failed_nodes = ?, finished_at = ? WHERE id = ?
"""

HAS_LANES = """
SELECT EXISTS (
    SELECT 1 FROM (VALUES (10), (9), (8), (7), (6), (5), (4), (3), (2), (1)) AS level
    WHERE EXISTS (
        SELECT 1 FROM spane_django_noderun
        WHERE queue = ? AND priority = level.column1 AND lane > ''
              AND status IN ('ready', 'waiting') AND NOT is_held))
"""

# The inner SELECT names the rows first: SQLite's UPDATE has no ORDER BY of its own.  There is
# one lane; naming it in the order tells the planner that the index has that order.
CLAIM = """
UPDATE spane_django_noderun SET status = 'running', worker_id = ?, claim_token = ?, started_at = ?
WHERE id IN (
    SELECT id FROM spane_django_noderun
    WHERE queue = ? AND status IN ('ready', 'waiting') AND NOT is_held AND available_at <= ?
    ORDER BY priority DESC, lane, available_at, id LIMIT ?)
"""

CLAIMED = """
SELECT n.id, n.execution_id, e.version_id, n.node_id, n.attempt, n.failures, n.losses, n.checkpoint,
       e.tenant
FROM spane_django_noderun n JOIN spane_django_execution e ON e.id = n.execution_id
WHERE n.worker_id = ? AND n.claim_token = ? AND n.status = 'running'
ORDER BY n.priority DESC, n.available_at, n.id
"""

INSERTED = (
    "id", "workflow_id", "version_id", "status", "input", "priority", "active_nodes",
    "created_at", "started_by_id", "start_at", "deadline_at", "replay_of_id", "idempotency_key",
    "duplicate_key", "slot", "slot_limit", "parent_id", "parent_run_id", "parent_round",
    "relation", "item", "depth", "follows_parent", "key", "trigger",
)  # fmt: skip
INHERITED = ("tenant", "subject_type", "subject_id")
_PARENT_ID = f"?{INSERTED.index('parent_id') + 1}"
_OF_PARENT = (
    "COALESCE(NULLIF(?, ''), (SELECT {name} FROM spane_django_execution WHERE id = {id}), '')"
)
INSERT_EXECUTION = f"""
INSERT INTO spane_django_execution
    ({", ".join((*INSERTED, *INHERITED))}, traceparent, started_at, failed_nodes, reason)
VALUES ({", ".join("?" * len(INSERTED))},
        {", ".join(_OF_PARENT.format(name=name, id=_PARENT_ID) for name in INHERITED)},
        COALESCE(?, (SELECT traceparent FROM spane_django_execution WHERE id = {_PARENT_ID})),
        ?, 0, '')
"""  # noqa: S608  # names of columns, written above

PARENT = """
SELECT execution_id, node_id, status, output, next_nodes, error_message
FROM spane_django_noderun
WHERE execution_id = ? AND node_id = ? AND status IN ('completed', 'failed')
"""

# A tenant's own workflow of an id goes before the one that all share.
CURRENT_VERSION = """
SELECT current_version_id, is_enabled FROM spane_django_workflow
WHERE key = ? AND tenant IN ('', ?) ORDER BY tenant DESC LIMIT 1
"""

INPUT = "SELECT input FROM spane_django_execution WHERE id = ?"

HEARD = """
SELECT name FROM spane_django_trigger
WHERE kind = ? AND is_enabled AND name IN (SELECT value FROM json_each(?))
"""


class SQLite(SQLiteLanes):
    """The statements on one connection."""

    def lock(self, execution_ids: Collection[UUID]) -> dict[UUID, ExecutionRow]:
        found = (self._row(LOCK, [key]) for key in sorted(execution_ids))
        rows = (_execution(row) for row in found if row)
        return {row.id: row for row in rows}

    def complete(self, rows: Sequence[CompletedRow]) -> set[Proof]:
        names = ("output", "next_nodes", "started_at", "finished_at", "id", "token")
        return self._taken(COMPLETE, rows, names)

    def amend(self, rows: Sequence[AmendedRow]) -> set[Proof]:
        names = (
            "status", "attempt", "failures", "losses", "available_at", "started_at",
            "finished_at", "checkpoint", "error_type", "error_message", "signal_name",
            "signal_key", "failures_tolerated", "id", "token",
        )  # fmt: skip
        return self._taken(AMEND, rows, names)

    def arrivals(self, keys: Collection[Key]) -> dict[Key, Arrivals | None]:
        found = {key: self._row(ARRIVALS, key) for key in keys}
        return {key: Arrivals(*row[1:]) if row[0] else None for key, row in found.items() if row}

    def put(
        self, rows: Sequence[RunRow], *, worker_id: UUID | None, token: UUID | None, now: datetime
    ) -> dict[Key, tuple[int, int]]:
        running: dict[Key, tuple[int, int]] = {}
        for row in rows:
            is_running = row.status is NodeStatus.RUNNING
            parameters = [
                row.execution_id, row.node_id, row.node_type, row.status, row.queue,
                row.priority, row.available_at, row.lane, row.gate, row.is_held, row.is_limited,
                row.open_edges, row.live_edges, row.broken_edges, row.reason,
                worker_id if is_running else None, token if is_running else None, now,
                now if is_running else None, now if row.status.is_final else None,
            ]  # fmt: skip
            row_id, attempt = self._row(PUT, parameters)
            if is_running:
                running[row.execution_id, row.node_id] = (row_id, attempt)
        return running

    def go_on(
        self,
        rows: Sequence[CompletedRow],
        heirs: Sequence[HeirRow],
        *,
        queue: str,
        worker_id: UUID,
        token: UUID,
        now: datetime,
    ) -> dict[Key, tuple[int, int]]:
        return {}

    def update_executions(self, rows: Sequence[ExecutionRow]) -> None:
        for row in rows:
            values = [row.status, row.active_nodes, row.failed_nodes, row.finished_at, row.id]
            self._execute(UPDATE_EXECUTION, values)

    def claim(
        self, *, queue: str, room: int, worker_id: UUID, token: UUID, now: datetime
    ) -> list[ClaimedRow] | None:
        if self._row(HAS_LANES, [queue])[0]:
            return None
        if not self._execute(CLAIM, [worker_id, token, now, queue, now, room]).rowcount:
            return []
        rows = self._execute(CLAIMED, [worker_id, token]).fetchall()
        return [ClaimedRow(row[0], UUID(row[1]), *row[2:]) for row in rows]

    def current_version(self, workflow: str, tenant: str) -> tuple[int | None, bool] | None:
        row = self._row(CURRENT_VERSION, [workflow, tenant])
        return (row[0], bool(row[1])) if row else None

    def start(
        self, executions: Sequence[NewExecution], runs: Sequence[RunRow], *, now: datetime
    ) -> None:
        with atomic():
            for row in executions:
                started_at = row.created_at if row.status is ExecutionStatus.RUNNING else None
                values = [getattr(row, name) for name in (*INSERTED, *INHERITED)]
                self._execute(INSERT_EXECUTION, [*values, row.traceparent, started_at])
            self.put(runs, worker_id=None, token=None, now=now)

    def parents(self, keys: Collection[Key]) -> list[ParentRow]:
        found = (self._row(PARENT, key) for key in keys)
        return [
            ParentRow(UUID(row[0]), row[1], NodeStatus(row[2]), *row[3:]) for row in found if row
        ]

    def inputs(self, execution_ids: Collection[UUID]) -> dict[UUID, str]:
        found = {key: self._row(INPUT, [key]) for key in execution_ids}
        return {key: row[0] for key, row in found.items() if row}

    def heard(self, kind: str, names: Collection[str]) -> set[str]:
        return {row[0] for row in self._execute(HEARD, [kind, encode(list(names))])}

    def _taken(self, statement: str, rows: Sequence[Any], names: Iterable[str]) -> set[Proof]:
        wanted = tuple(names)
        return {
            (row.id, row.token)
            for row in rows
            if self._execute(statement, [getattr(row, name) for name in wanted]).rowcount
        }


def _execution(row: Any) -> ExecutionRow:
    key, status, version_id, active_nodes, failed_nodes, priority, finished_at, *rest = row
    return ExecutionRow(
        id=UUID(key),
        status=ExecutionStatus(status),
        version_id=version_id,
        active_nodes=active_nodes,
        failed_nodes=failed_nodes,
        priority=priority,
        finished_at=instant(finished_at),
        parent_run_id=rest[0],
        slot=rest[1],
        depth=rest[2],
        key=rest[3],
        tenant=rest[4],
    )
