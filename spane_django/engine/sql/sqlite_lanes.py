"""Lanes and gates on SQLite; see `spane_django.engine.lanes` for what they are good for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from ...core.limits import BreakerStatus, GateRow, free
from ..rows import ClaimedRow, LaneRange, LaneRow
from .sqlite_connection import SQLiteConnection, instant

_GATE = tuple(field.name for field in fields(GateRow))
_GATE_COLUMNS = ", ".join(_GATE)

_LANE = """
SELECT lane, gate, id, available_at FROM spane_django_noderun
WHERE queue = ? AND priority = ? AND lane {} ? AND status IN ('ready', 'waiting') AND NOT is_held
"""
# Two looks at the index: for the lane, and for what is due first in it.  NULL comes first here.
FIRST_LANE = f"{_LANE.format('>=')} ORDER BY lane LIMIT 1"
NEXT_LANE = f"{_LANE.format('>')} ORDER BY lane LIMIT 1"
FIRST_IN_LANE = f"{_LANE.format('=')} AND available_at <= ? ORDER BY available_at, id LIMIT 1"

GATE = f"SELECT {_GATE_COLUMNS} FROM spane_django_gate WHERE key = ?"  # noqa: S608
RUNNING = """
SELECT count(*) FROM spane_django_noderun
WHERE gate = ? AND NOT (gate = '') AND status = 'running'
"""
CHANGE_GATE = f"""
INSERT OR REPLACE INTO spane_django_gate ({_GATE_COLUMNS}, updated_at)
VALUES ({", ".join("?" * len(_GATE))}, ?)
"""  # noqa: S608  # names of columns

# The inner SELECT names the rows first: SQLite's UPDATE has no ORDER BY of its own.
TAKE = """
UPDATE spane_django_noderun SET status = 'running', worker_id = ?, claim_token = ?, started_at = ?
WHERE id IN (
    SELECT id FROM spane_django_noderun
    WHERE queue = ? AND priority = ? AND lane = ? AND status IN ('ready', 'waiting')
          AND NOT is_held AND available_at <= ?
    ORDER BY available_at, id LIMIT ?)
RETURNING id
"""

TAKEN = """
SELECT n.id, n.execution_id, e.version_id, n.node_id, n.attempt, n.failures, n.losses,
       n.checkpoint, e.tenant, n.available_at
FROM spane_django_noderun n JOIN spane_django_execution e ON e.id = n.execution_id WHERE n.id = ?
"""


class SQLiteLanes(SQLiteConnection):
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
        found = (row for part in ranges for row in self._lanes(queue, part, due_by))
        return list(islice((row for row in found if self._is_open(row.gate, now)), most))

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
        taken: list[ClaimedRow] = []
        for turn, (lane, share) in enumerate(shares.items()):
            values = [worker_id, token, now, queue, priority, lane, now, share]
            ids = [row[0] for row in self._execute(TAKE, values).fetchall()]
            rows = [self._row(TAKEN, [row_id]) for row_id in ids]
            rows.sort(key=lambda row: (row[9], row[0]))
            taken += [_claimed(row, turn) for row in rows]
        return taken

    def lock_gates(self, keys: Collection[str]) -> list[GateRow]:
        found = (self._gate(key) for key in sorted(keys))
        return [gate for gate in found if gate is not None]

    def lock_breakers(self, keys: Collection[str], failed: Collection[str]) -> list[GateRow]:
        return [
            gate
            for gate in self.lock_gates(keys)
            if gate.key in failed or gate.failures or gate.breaker is not BreakerStatus.CLOSED
        ]

    def running(self, gates: Collection[str]) -> dict[str, int]:
        return {gate: self._row(RUNNING, [gate])[0] for gate in gates}

    def add_gates(self, rows: Sequence[GateRow], *, now: datetime) -> set[str]:
        self.change_gates(rows, now=now)
        return {row.key for row in rows}

    def change_gates(self, rows: Sequence[GateRow], *, now: datetime) -> None:
        for row in rows:
            self._execute(CHANGE_GATE, [*(getattr(row, name) for name in _GATE), now])

    def _lanes(self, queue: str, part: LaneRange, due_by: datetime) -> Iterator[LaneRow]:
        look = FIRST_LANE
        behind = part.low
        while row := self._row(look, [queue, part.priority, behind]):
            behind, look = row[0], NEXT_LANE
            if part.high is not None and behind > part.high:
                return
            if behind != part.low or not part.low:
                first = self._row(FIRST_IN_LANE, [queue, part.priority, behind, due_by])
                if first:
                    lane, gate, first_id, available_at = first
                    yield LaneRow(part.priority, lane, gate, first_id, instant(available_at))

    def _is_open(self, key: str, now: datetime) -> bool:
        gate = self._gate(key) if key else None
        # Without its rate: what that lets through is for the claim to find out, and to note.
        if gate is None:
            return True
        gate.rate_count = None
        return free(gate, self._row(RUNNING, [key])[0], now) != 0

    def _gate(self, key: str) -> GateRow | None:
        row: Any = self._row(GATE, [key])
        if row is None:
            return None
        gate = GateRow(*row)
        gate.breaker = BreakerStatus(gate.breaker)
        gate.full_at, gate.blocked_until = instant(gate.full_at), instant(gate.blocked_until)
        return gate


def _claimed(row: Sequence[Any], turn: int) -> ClaimedRow:
    claimed = ClaimedRow(row[0], UUID(row[1]), *row[2:9])
    claimed.turn = turn
    return claimed
