"""The hot path on PostgreSQL: set-based statements over arrays, prepared on the server.

What a claim needs where nodes wait in lanes stands in `postgresql_lanes`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from ...core.plan import Arrivals
from ...core.statuses import ExecutionStatus, NodeStatus
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
from .postgresql_connection import array, columns
from .postgresql_lanes import PostgreSQLLanes

# NO KEY: inserting rows that refer to an execution must not wait for its lock.
LOCK = """
SELECT id, status, version_id, active_nodes, failed_nodes, priority, finished_at, parent_run_id,
       slot, depth, key, tenant
FROM spane_django_execution WHERE id = ANY(%s::uuid[]) ORDER BY id FOR NO KEY UPDATE
"""

# The claim is the fence: a row whose token has changed belongs to somebody else now.  That a row
# with a token is running is a constraint of the table; saying so here would lure the planner to
# the partial index of running rows, which is full of dead entries when nodes are quick.
_COMPLETED = """
status = 'completed', output = d.output::jsonb, next_nodes = d.next_nodes::jsonb,
started_at = d.started_at, finished_at = d.finished_at, claim_token = NULL,
checkpoint = NULL, error_type = '', error_message = ''
"""

COMPLETE = f"""
UPDATE spane_django_noderun n
SET {_COMPLETED}
FROM unnest(%s::bigint[], %s::uuid[], %s::text[], %s::text[], %s::timestamptz[],
            %s::timestamptz[]) AS d (id, token, output, next_nodes, started_at, finished_at)
WHERE n.id = d.id AND n.claim_token = d.token
RETURNING d.id, d.token
"""  # noqa: S608  # columns, written above

AMEND = """
UPDATE spane_django_noderun n
SET status = d.status, attempt = d.attempt, failures = d.failures, losses = d.losses,
    available_at = CASE WHEN d.status = 'waiting' THEN d.available_at
                        ELSE COALESCE(d.available_at, n.available_at) END,
    started_at = d.started_at, finished_at = d.finished_at, checkpoint = d.checkpoint::jsonb,
    error_type = d.error_type, error_message = d.error_message,
    signal_name = CASE WHEN d.status = 'waiting' THEN d.signal_name ELSE n.signal_name END,
    signal_key = CASE WHEN d.status = 'waiting' THEN d.signal_key ELSE n.signal_key END,
    failures_tolerated = d.failures_tolerated, claim_token = NULL,
    is_held = (e.status = 'paused' AND d.status IN ('ready', 'waiting'))
FROM unnest(%s::bigint[], %s::uuid[], %s::text[], %s::int[], %s::int[], %s::int[],
            %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::text[],
            %s::text[], %s::text[], %s::text[], %s::int[])
     AS d (id, token, status, attempt, failures, losses, available_at, started_at, finished_at,
           checkpoint, error_type, error_message, signal_name, signal_key, failures_tolerated),
     spane_django_execution e
WHERE n.id = d.id AND n.claim_token = d.token AND e.id = n.execution_id
RETURNING d.id, d.token
"""

ARRIVALS = """
SELECT n.execution_id, n.node_id, n.status = 'pending', n.open_edges, n.live_edges, n.broken_edges
FROM unnest(%s::uuid[], %s::text[]) AS d (execution_id, node_id)
JOIN spane_django_noderun n USING (execution_id, node_id)
"""

_RUN = """
(execution_id, node_id, node_type, status, queue, priority, available_at, lane, gate, is_held,
 is_limited, open_edges, live_edges, broken_edges, reason, worker_id, claim_token, created_at,
 started_at, finished_at, attempt, failures, losses, error_type, error_message)
"""

# A row that exists here is a pending join: everything else is decided once and never put again.
_DECIDE = """
ON CONFLICT (execution_id, node_id) DO UPDATE
SET status = excluded.status, available_at = excluded.available_at,
    lane = excluded.lane, gate = excluded.gate, is_held = excluded.is_held,
    open_edges = excluded.open_edges, live_edges = excluded.live_edges,
    broken_edges = excluded.broken_edges, reason = excluded.reason,
    worker_id = excluded.worker_id, claim_token = excluded.claim_token,
    started_at = excluded.started_at, finished_at = excluded.finished_at
RETURNING n.id, n.execution_id, n.node_id, n.status, n.attempt
"""

_PUT_RUNS = f"""
INSERT INTO spane_django_noderun AS n {_RUN}
SELECT d.execution_id, d.node_id, d.node_type, d.status, d.queue, d.priority,
       d.available_at, d.lane, d.gate, d.is_held, d.is_limited,
       d.open_edges, d.live_edges, d.broken_edges, d.reason,
       CASE WHEN d.status = 'running' THEN %s::uuid END,
       CASE WHEN d.status = 'running' THEN %s::uuid END,
       %s::timestamptz,
       CASE WHEN d.status = 'running' THEN %s::timestamptz END,
       CASE WHEN d.status IN ('skipped', 'cancelled') THEN %s::timestamptz END,
       1, 0, 0, '', ''
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::smallint[],
            %s::timestamptz[], %s::text[], %s::text[], %s::bool[], %s::bool[], %s::int[],
            %s::int[], %s::int[], %s::text[])
     AS d (execution_id, node_id, node_type, status, queue, priority, available_at, lane,
           gate, is_held, is_limited, open_edges, live_edges, broken_edges, reason)
{_DECIDE}
"""  # noqa: S608

PUT = f"""
WITH put AS ({_PUT_RUNS})
SELECT id, execution_id, node_id, attempt FROM put WHERE status = 'running'
"""  # noqa: S608

# Each part asks the one before it, so that they are carried out in the order of all locks.  What
# the executions look like is read under their locks, but the rows of nodes as they were when the
# statement began: so much is certain of them, as their claim is older.  The executions are looked
# up in arrays, as a join without an index weighs down a large batch.
GO_ON = f"""
WITH locked AS MATERIALIZED (
    SELECT id, priority, status, failed_nodes FROM spane_django_execution
    WHERE id = ANY(%s::uuid[]) ORDER BY id FOR NO KEY UPDATE
), running AS MATERIALIZED (
    SELECT array_agg(id) AS ids, array_agg(priority) AS priorities FROM locked
    WHERE status = 'running' AND failed_nodes = 0
), done AS (
    UPDATE spane_django_noderun n
    SET {_COMPLETED}
    FROM unnest(%s::bigint[], %s::uuid[], %s::text[], %s::text[], %s::timestamptz[],
                %s::timestamptz[], %s::text[], %s::text[], %s::smallint[])
         AS d (id, token, output, next_nodes, started_at, finished_at, node_id, node_type,
               priority)
    WHERE n.id = d.id AND n.claim_token = d.token
          AND array_position((SELECT ids FROM running), n.execution_id) IS NOT NULL
    RETURNING n.execution_id, n.lane, d.node_id, d.node_type, d.priority
), put AS (
    INSERT INTO spane_django_noderun AS n {_RUN}
    SELECT d.execution_id, d.node_id, d.node_type, 'running', %s,
           COALESCE(d.priority, r.priorities[array_position(r.ids, d.execution_id)]),
           now.at, d.lane, '', false, false, 0, 0, 0, '',
           %s::uuid, %s::uuid, now.at, now.at, NULL, 1, 0, 0, '', ''
    FROM (SELECT %s::timestamptz) AS now (at), running r, done d
    {_DECIDE}
)
SELECT id, execution_id, node_id, attempt FROM put
"""  # noqa: S608

UPDATE_EXECUTIONS = """
UPDATE spane_django_execution e
SET status = d.status, active_nodes = d.active_nodes, failed_nodes = d.failed_nodes,
    finished_at = d.finished_at
FROM unnest(%s::uuid[], %s::text[], %s::int[], %s::int[], %s::timestamptz[])
     AS d (id, status, active_nodes, failed_nodes, finished_at)
WHERE e.id = d.id
"""

# SKIP LOCKED: claiming never waits for anybody, so it may follow other locks without deadlock.
# Priority by priority, so that the index is entered at what is due and never walks past the
# nodes that sleep: with 200,000 of them one range over all priorities took 17 ms.  Where nodes
# wait in lanes it takes nothing and says so with a row without an id.
CLAIM = """
WITH laned AS MATERIALIZED (
    SELECT FROM generate_series(10, 1, -1) AS level (priority)
    CROSS JOIN LATERAL (
        SELECT FROM spane_django_noderun
        WHERE queue = %s AND priority = level.priority AND lane > ''
              AND status IN ('ready', 'waiting') AND NOT is_held
        ORDER BY lane LIMIT 1
    ) one
    LIMIT 1
), picked AS MATERIALIZED (
    SELECT due.id FROM generate_series(10, 1, -1) AS level (priority)
    CROSS JOIN LATERAL (
        SELECT id FROM spane_django_noderun
        WHERE queue = %s AND priority = level.priority AND lane = ''
              AND status IN ('ready', 'waiting') AND NOT is_held AND available_at <= %s
        ORDER BY available_at, id LIMIT %s FOR UPDATE SKIP LOCKED
    ) due
    WHERE NOT EXISTS (SELECT FROM laned)
    LIMIT %s
), taken AS (
    UPDATE spane_django_noderun n
    SET status = 'running', worker_id = %s, claim_token = %s, started_at = %s
    FROM picked, spane_django_execution e
    WHERE n.id = picked.id AND e.id = n.execution_id
    RETURNING n.id, n.execution_id, e.version_id, n.node_id, n.attempt, n.failures, n.losses,
              n.checkpoint::text, e.tenant, n.priority, n.available_at
)
SELECT id, execution_id, version_id, node_id, attempt, failures, losses, checkpoint, tenant
FROM (
    SELECT * FROM taken
    UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM laned
) answer ORDER BY priority DESC, available_at, id
"""

_INSERT_EXECUTIONS = """
INSERT INTO spane_django_execution
    (id, workflow_id, version_id, status, input, priority, active_nodes, created_at,
     started_by_id, start_at, deadline_at, replay_of_id, idempotency_key, duplicate_key, slot,
     slot_limit, parent_id, parent_run_id, parent_round, relation, item, depth, follows_parent,
     key, tenant, trigger, subject_type, subject_id, traceparent, started_at, failed_nodes,
     reason)
SELECT d.id, d.workflow_id, d.version_id, d.status, d.input::jsonb, d.priority, d.active_nodes,
       d.created_at, d.started_by_id, d.start_at, d.deadline_at, d.replay_of_id,
       d.idempotency_key, d.duplicate_key, d.slot, d.slot_limit, d.parent_id,
       d.parent_run_id, d.parent_round, d.relation, d.item, d.depth,
       d.follows_parent, d.key, COALESCE(NULLIF(d.tenant, ''), p.tenant, ''), d.trigger,
       COALESCE(NULLIF(d.subject_type, ''), p.subject_type, ''),
       COALESCE(NULLIF(d.subject_id, ''), p.subject_id, ''),
       COALESCE(d.traceparent, p.traceparent),
       CASE WHEN d.status = 'running' THEN d.created_at END, 0, ''
FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::smallint[],
            %s::int[], %s::timestamptz[], %s::bigint[], %s::timestamptz[], %s::timestamptz[],
            %s::uuid[], %s::text[], %s::text[], %s::text[], %s::int[], %s::uuid[], %s::bigint[],
            %s::int[], %s::text[], %s::int[], %s::smallint[], %s::bool[], %s::text[], %s::text[],
            %s::text[], %s::text[], %s::text[], %s::text[])
     AS d (id, workflow_id, version_id, status, input, priority, active_nodes, created_at,
           started_by_id, start_at, deadline_at, replay_of_id, idempotency_key, duplicate_key,
           slot, slot_limit, parent_id, parent_run_id, parent_round, relation, item, depth,
           follows_parent, key, tenant, trigger, subject_type, subject_id, traceparent)
"""

# What has no parent inherits nothing, and is not looked up: a plan that was made for a table of
# a few rows reads all of it, and the process of a web server keeps its plans for long.
_ALONE = """
CROSS JOIN (
    SELECT NULL::text AS tenant, NULL::text AS subject_type, NULL::text AS subject_id,
           NULL::text AS traceparent
) p
"""
_OF_PARENTS = "LEFT JOIN spane_django_execution p ON p.id = d.parent_id"

# An execution is referred to by its nodes; PostgreSQL looks whether it is there at the commit.
START, START_CHILDREN = (
    f"WITH started AS ({_INSERT_EXECUTIONS}{parents}), put AS ({_PUT_RUNS}) SELECT"
    for parents in (_ALONE, _OF_PARENTS)
)

PARENTS = """
SELECT n.execution_id, n.node_id, n.status, n.output::text, n.next_nodes::text, n.error_message
FROM unnest(%s::uuid[], %s::text[]) AS d (execution_id, node_id)
JOIN spane_django_noderun n USING (execution_id, node_id)
WHERE n.status IN ('completed', 'failed')
"""

# A tenant's own workflow of an id goes before the one that all share.
CURRENT_VERSION = """
SELECT current_version_id, is_enabled FROM spane_django_workflow
WHERE key = %s AND tenant IN ('', %s) ORDER BY tenant DESC LIMIT 1
"""

INPUTS = "SELECT id, input::text FROM spane_django_execution WHERE id = ANY(%s::uuid[])"

HEARD = """
SELECT DISTINCT name FROM spane_django_trigger
WHERE kind = %s AND name = ANY(%s::text[]) AND is_enabled
"""


_OF_COMPLETED = ("id", "token", "output", "next_nodes", "started_at", "finished_at")
_OF_RUN = (
    "execution_id", "node_id", "node_type", "status", "queue", "priority", "available_at", "lane",
    "gate", "is_held", "is_limited", "open_edges", "live_edges", "broken_edges", "reason",
)  # fmt: skip
_OF_EXECUTION = (
    "id", "workflow_id", "version_id", "status", "input", "priority", "active_nodes", "created_at",
    "started_by_id", "start_at", "deadline_at", "replay_of_id", "idempotency_key",
    "duplicate_key", "slot", "slot_limit", "parent_id", "parent_run_id", "parent_round",
    "relation", "item", "depth", "follows_parent", "key", "tenant", "trigger", "subject_type",
    "subject_id", "traceparent",
)  # fmt: skip


class PostgreSQL(PostgreSQLLanes):
    """The statements on one connection."""

    def lock(self, execution_ids: Collection[UUID]) -> dict[UUID, ExecutionRow]:
        rows = self._rows(LOCK, [array(execution_ids)])
        return {row[0]: ExecutionRow(row[0], ExecutionStatus(row[1]), *row[2:]) for row in rows}

    def complete(self, rows: Sequence[CompletedRow]) -> set[Proof]:
        return {(row[0], row[1]) for row in self._rows(COMPLETE, columns(rows, _OF_COMPLETED))}

    def amend(self, rows: Sequence[AmendedRow]) -> set[Proof]:
        names = (
            "id", "token", "status", "attempt", "failures", "losses", "available_at",
            "started_at", "finished_at", "checkpoint", "error_type", "error_message",
            "signal_name", "signal_key", "failures_tolerated",
        )  # fmt: skip
        return {(row[0], row[1]) for row in self._rows(AMEND, columns(rows, names))}

    def arrivals(self, keys: Collection[Key]) -> dict[Key, Arrivals | None]:
        rows = self._rows(ARRIVALS, _keys(keys))
        return {(row[0], row[1]): Arrivals(*row[3:]) if row[2] else None for row in rows}

    def put(
        self, rows: Sequence[RunRow], *, worker_id: UUID | None, token: UUID | None, now: datetime
    ) -> dict[Key, tuple[int, int]]:
        parameters = [worker_id, token, now, now, now, *columns(rows, _OF_RUN)]
        return {(row[1], row[2]): (row[0], row[3]) for row in self._rows(PUT, parameters)}

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
        parameters = [
            array({heir.execution_id for heir in heirs}),
            *columns(rows, _OF_COMPLETED),
            *columns(heirs, ("node_id", "node_type", "priority")),
            queue, worker_id, token, now,
        ]  # fmt: skip
        return {(row[1], row[2]): (row[0], row[3]) for row in self._rows(GO_ON, parameters)}

    def update_executions(self, rows: Sequence[ExecutionRow]) -> None:
        names = ("id", "status", "active_nodes", "failed_nodes", "finished_at")
        self._execute(UPDATE_EXECUTIONS, columns(rows, names))

    def claim(
        self, *, queue: str, room: int, worker_id: UUID, token: UUID, now: datetime
    ) -> list[ClaimedRow] | None:
        rows = self._rows(CLAIM, [queue, queue, now, room, room, worker_id, token, now])
        return None if rows and rows[0][0] is None else [ClaimedRow(*row) for row in rows]

    def current_version(self, workflow: str, tenant: str) -> tuple[int | None, bool] | None:
        rows = self._rows(CURRENT_VERSION, [workflow, tenant])
        return (rows[0][0], rows[0][1]) if rows else None

    def start(
        self, executions: Sequence[NewExecution], runs: Sequence[RunRow], *, now: datetime
    ) -> None:
        has_parents = any(row.parent_id is not None for row in executions)
        statement = START_CHILDREN if has_parents else START
        parameters = columns(executions, _OF_EXECUTION)
        self._execute(statement, [*parameters, None, None, now, None, now, *columns(runs, _OF_RUN)])

    def parents(self, keys: Collection[Key]) -> list[ParentRow]:
        rows = self._rows(PARENTS, _keys(keys))
        return [ParentRow(row[0], row[1], NodeStatus(row[2]), *row[3:]) for row in rows]

    def inputs(self, execution_ids: Collection[UUID]) -> dict[UUID, str]:
        return dict(self._rows(INPUTS, [array(execution_ids)]))

    def heard(self, kind: str, names: Collection[str]) -> set[str]:
        return {row[0] for row in self._rows(HEARD, [kind, array(names)])}


def _keys(keys: Collection[Key]) -> list[str]:
    return [array(key[0] for key in keys), array(key[1] for key in keys)]
