"""Lanes and gates on PostgreSQL; see `spane_django.engine.lanes` for what they are good for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from uuid import UUID

from ...core.limits import BreakerStatus, GateRow
from ..rows import ClaimedRow, LaneRange, LaneRow
from .postgresql_connection import PostgreSQLConnection, array, columns

_GATE = tuple(field.name for field in fields(GateRow))
_GATE_COLUMNS = ", ".join(_GATE)
_CLAIMABLE = "n.status IN ('ready', 'waiting') AND NOT n.is_held"

# A loose index scan: from the first row of a lane the index is entered anew behind the lane, so
# that a lane costs one look however long it is and whether or not it sleeps.  A gate that is
# closed is left out by a look at its row and at what runs; who claims looks again under its lock.
LANES = f"""
SELECT r.priority, l.lane, l.gate, l.id, l.available_at
FROM unnest(%s::smallint[], %s::text[], %s::text[])
     WITH ORDINALITY AS r (priority, low, high, turn)
CROSS JOIN LATERAL (
    WITH RECURSIVE lane AS (
        (SELECT n.lane, n.gate, n.id, n.available_at FROM spane_django_noderun n
         WHERE n.queue = %s AND n.priority = r.priority AND n.lane >= r.low AND {_CLAIMABLE}
         ORDER BY n.lane, n.available_at, n.id LIMIT 1)
        UNION ALL
        SELECT behind.* FROM lane CROSS JOIN LATERAL (
            SELECT n.lane, n.gate, n.id, n.available_at FROM spane_django_noderun n
            WHERE n.queue = %s AND n.priority = r.priority AND n.lane > lane.lane AND {_CLAIMABLE}
            ORDER BY n.lane, n.available_at, n.id LIMIT 1
        ) behind WHERE r.high IS NULL OR lane.lane < r.high
    )
    SELECT * FROM lane WHERE r.high IS NULL OR lane.lane <= r.high
) l
LEFT JOIN spane_django_gate g ON g.key = l.gate
WHERE l.available_at <= %s AND (r.low = '' OR l.lane <> r.low) AND (
    g.key IS NULL OR (
        (g.blocked_until IS NULL OR g.blocked_until <= %s)
        AND ((g.breaker = 'closed' AND g.max_running IS NULL) OR (
            SELECT count(*) FROM spane_django_noderun n
            WHERE n.gate = g.key AND NOT (n.gate = '') AND n.status = 'running'
        ) < CASE WHEN g.breaker = 'closed' THEN g.max_running ELSE 1 END)
    )
)
LIMIT %s
"""  # noqa: S608  # a condition, written above

# SKIP LOCKED: a claim waits for nobody, gates included, whatever its transaction has locked.
LOCK_GATES = f"""
SELECT {_GATE_COLUMNS} FROM spane_django_gate WHERE key = ANY(%s::text[]) FOR UPDATE SKIP LOCKED
"""  # noqa: S608

# Gates at which the end of an attempt may change something; in the order of their keys.
LOCK_BREAKERS = f"""
SELECT {_GATE_COLUMNS} FROM spane_django_gate
WHERE key = ANY(%s::text[]) AND (key = ANY(%s::text[]) OR failures > 0 OR breaker <> 'closed')
ORDER BY key FOR UPDATE
"""  # noqa: S608

# A statement of its own, so that it sees what was committed until the gates were locked.
RUNNING = """
SELECT n.gate, count(*) FROM spane_django_noderun n
WHERE n.gate = ANY(%s::text[]) AND NOT (n.gate = '') AND n.status = 'running' GROUP BY n.gate
"""

_WRITE_GATES = f"""
INSERT INTO spane_django_gate AS g ({_GATE_COLUMNS}, updated_at)
SELECT d.*, %s FROM unnest(
    %s::text[], %s::bigint[], %s::int[], %s::int[], %s::float8[], %s::int[], %s::int[],
    %s::float8[], %s::timestamptz[], %s::text[], %s::int[], %s::int[], %s::timestamptz[])
    AS d ({_GATE_COLUMNS})
"""  # noqa: S608  # names of columns, written above
ADD_GATES = f"{_WRITE_GATES} ORDER BY d.key ON CONFLICT DO NOTHING RETURNING key"
_CHANGES = ", ".join(f"{name} = excluded.{name}" for name in (*_GATE[1:], "updated_at"))
CHANGE_GATES = f"{_WRITE_GATES} ON CONFLICT (key) DO UPDATE SET {_CHANGES}"

TAKE = f"""
WITH picked AS MATERIALIZED (
    SELECT due.id, w.turn FROM unnest(%s::text[], %s::int[])
           WITH ORDINALITY AS w (lane, share, turn)
    CROSS JOIN LATERAL (
        SELECT n.id FROM spane_django_noderun n
        WHERE n.queue = %s AND n.priority = %s AND n.lane = w.lane AND {_CLAIMABLE}
              AND n.available_at <= %s
        ORDER BY n.available_at, n.id LIMIT w.share FOR UPDATE SKIP LOCKED
    ) due
), taken AS (
    UPDATE spane_django_noderun n
    SET status = 'running', worker_id = %s, claim_token = %s, started_at = %s
    FROM picked, spane_django_execution e
    WHERE n.id = picked.id AND e.id = n.execution_id
    RETURNING n.id, n.execution_id, e.version_id, n.node_id, n.attempt, n.failures, n.losses,
              n.checkpoint, e.tenant, picked.turn, n.available_at
)
SELECT id, execution_id, version_id, node_id, attempt, failures, losses, checkpoint::text, tenant,
       turn - 1
FROM taken ORDER BY turn, available_at, id
"""  # noqa: S608  # a condition, written above


class PostgreSQLLanes(PostgreSQLConnection):
    """The statements that a claim needs where nodes wait in lanes."""

    def lanes(
        self,
        *,
        queue: str,
        ranges: Sequence[LaneRange],
        most: int,
        due_by: datetime,
        now: datetime,
    ) -> list[LaneRow]:
        bounds = columns(ranges, ("priority", "low", "high"))
        rows = self._rows(LANES, [*bounds, queue, queue, due_by, now, most])
        return [LaneRow(*row) for row in rows]

    def take(
        self,
        shares: Mapping[str, int],
        *,
        queue: str,
        priority: int,
        worker_id: UUID,
        token: UUID,
        now: datetime,
    ) -> list[ClaimedRow]:
        wanted = [array(shares), array(shares.values())]
        rows = self._rows(TAKE, [*wanted, queue, priority, now, worker_id, token, now])
        return [ClaimedRow(*row) for row in rows]

    def lock_gates(self, keys: Collection[str]) -> list[GateRow]:
        return [_gate(row) for row in self._rows(LOCK_GATES, [array(keys)])]

    def lock_breakers(self, keys: Collection[str], failed: Collection[str]) -> list[GateRow]:
        return [_gate(row) for row in self._rows(LOCK_BREAKERS, [array(keys), array(failed)])]

    def running(self, gates: Collection[str]) -> dict[str, int]:
        return dict(self._rows(RUNNING, [array(gates)]))

    def add_gates(self, rows: Sequence[GateRow], *, now: datetime) -> set[str]:
        return {row[0] for row in self._rows(ADD_GATES, [now, *columns(rows, _GATE)])}

    def change_gates(self, rows: Sequence[GateRow], *, now: datetime) -> None:
        self._execute(CHANGE_GATES, [now, *columns(rows, _GATE)])


def _gate(row: Sequence[object]) -> GateRow:
    gate = GateRow(*row)  # type: ignore[arg-type]  # the columns of _GATE
    gate.breaker = BreakerStatus(gate.breaker)
    return gate
