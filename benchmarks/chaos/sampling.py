"""Samples while the storm rages: what must hold in every committed moment.

Each query is one snapshot of the database.  Limits are counted from the claims that live in it;
the counters of executions are counted afresh from their node runs.
"""

from __future__ import annotations

import threading
from typing import Any

import psycopg

from .checks import Violation

_QUERIES = {
    "limit exceeded": (
        "SELECT r.gate, count(*) || ' run, ' || min(g.max_running) || ' may'"
        " FROM spane_django_noderun r JOIN spane_django_gate g ON g.key = r.gate"
        " WHERE r.status = 'running' GROUP BY r.gate HAVING count(*) > min(g.max_running)"
    ),
    "maxConcurrency exceeded": (
        "SELECT r.execution_id::text, count(*) || ' nodes run at once'"
        " FROM spane_django_noderun r WHERE r.status = 'running' AND r.is_limited"
        " GROUP BY r.execution_id HAVING count(*) > %(nodes)s"
    ),
    "maxExecutions exceeded": (
        "SELECT slot, count(*) || ' executions have started' FROM spane_django_execution"
        " WHERE slot <> '' AND status IN ('running', 'paused')"
        " GROUP BY slot HAVING count(*) > min(slot_limit)"
    ),
    "counters": (
        "SELECT e.id::text, 'it counts ' || e.active_nodes || ' active nodes, there are ' || n.n"
        " FROM spane_django_execution e CROSS JOIN LATERAL (SELECT count(*) AS n"
        "  FROM spane_django_noderun r WHERE r.execution_id = e.id"
        "  AND r.status IN ('ready', 'running', 'waiting')) n"
        " WHERE e.status IN ('running', 'paused') AND e.active_nodes <> n.n"
    ),
}


class Sampler:
    """Looks a few times a second, on a thread of its own."""

    def __init__(self, url: str, most_nodes: int) -> None:
        self._url = url
        self._values = {"nodes": most_nodes}
        self._stop = threading.Event()
        self.samples = 0
        self.violations: list[Violation] = []
        self._thread = threading.Thread(target=self._run, name="chaos-sampler", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with psycopg.connect(
                    self._url, autocommit=True, application_name="chaos"
                ) as database:
                    while not self._stop.wait(0.15):
                        self._look(database)
            except psycopg.Error:
                # The database is down or has thrown us out: that is what this is about.
                self._stop.wait(0.3)

    def _look(self, database: psycopg.Connection[Any]) -> None:
        for check, query in _QUERIES.items():
            for row, what in database.execute(query, self._values).fetchall():
                self.violations.append(Violation(check, what, row))
        self.samples += 1
