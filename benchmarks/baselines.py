"""What the machine itself can do: the figures that ours are put beside, from the same run.

``commits`` is the ceiling of a design that commits once per node: connections that each do
one-row ``UPDATE … COMMIT`` as fast as they can.  ``floor`` is what one such commit takes with
nothing else to do: one round trip and one fsync.
"""

from __future__ import annotations

import os
import statistics
import time
from typing import Any

from common import fork

SECONDS = 3.0


def commits(connections: int = 2, *, seconds: float = SECONDS) -> float:
    """Return one-row updates per second, each its own commit, of so many connections."""
    url = _prepare(connections)
    counts = fork.Array("i", connections)
    processes = [
        fork.Process(target=_update, args=(url, row, counts, seconds)) for row in range(connections)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return sum(counts) / seconds


def floor(samples: int = 500) -> float:
    """Return the median milliseconds of a one-row update with its commit, on one connection."""
    import psycopg

    took = []
    with psycopg.connect(_prepare(1), autocommit=True, prepare_threshold=1) as connection:
        for _ in range(samples):
            began = time.perf_counter()
            _touch(connection, 0)
            took.append((time.perf_counter() - began) * 1_000)
    return statistics.median(took)


def _prepare(rows: int) -> str:
    """Make the table afresh and return the URL of its database."""
    import psycopg

    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS benchmark_baseline")
        connection.execute("CREATE TABLE benchmark_baseline (id int PRIMARY KEY, n int)")
        connection.execute(
            "INSERT INTO benchmark_baseline SELECT row, 0 FROM generate_series(0, %s) row", [rows]
        )
    return url


def _update(url: str, row: int, counts: Any, seconds: float) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True, prepare_threshold=1) as connection:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            _touch(connection, row)
            counts[row] += 1


def _touch(connection: Any, row: int) -> None:
    connection.execute("UPDATE benchmark_baseline SET n = n + 1 WHERE id = %s", [row])
