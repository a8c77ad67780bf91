"""What a worker asks of the database: every statement, how often per node, and what it costs.

    python benchmarks/queries.py [--shape chain|lone|fan|single]

One drain works in this process, so that each of its statements can be counted: how often it is
sent per 1,000 nodes and how many milliseconds it waits for the answer.  ``round_trips`` counts the
BEGIN and COMMIT of each transaction, too.  To see where a worker's own time goes, look at one
with a sampling profiler while `throughput.py` runs; docs/performance.md says how.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import Any
from unittest.mock import patch

from common import silence, stage
from output import parser, say, say_machine
from shapes import chain, fan, publish_shape

# Edges and how many executions.
WORK = {
    "chain": (chain(10), 500),
    "lone": (chain(500), 1),
    "fan": (fan(1_000), 1),
    "single": (chain(1), 1),
}
LINGER_SECONDS = 0.2


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--shape", choices=list(WORK), default="chain", help="what it works on")
    shape = made.parse_args().shape
    say_machine()
    with stage():
        edges, executions = WORK[shape]
        nodes = len(edges) * executions
        calls, seconds, transactions = counted(shape)
    for statement, count in calls.most_common():
        per_node = 1_000 * count / nodes
        took = seconds[statement] * 1_000 / count
        say(statement, per_node, "per 1,000 nodes", ms=took, calls=count)
    trips = sum(calls.values()) + 2 * transactions
    say("transactions", 1_000 * transactions / nodes, "per 1,000 nodes")
    say("round_trips", 1_000 * trips / nodes, "per 1,000 nodes")


def counted(shape: str) -> tuple[Counter[str], Counter[str], int]:
    """Run a shape; return how often each statement was sent, its seconds, and the transactions."""
    import psycopg
    from django.utils import timezone

    from spane_django.engine.start import start_many

    edges, executions = WORK[shape]
    publish_shape(shape, edges)
    calls: Counter[str] = Counter()
    seconds: Counter[str] = Counter()

    # Here and not in Django's cursor, which the engine's own statements pass by.
    execute = psycopg.Cursor.execute

    def count(cursor: Any, query: Any, *rest: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(cursor, query, *rest, **options)
        finally:
            calls[_short(query)] += 1
            seconds[_short(query)] += time.perf_counter() - began

    with silence():
        start_many(shape, [{"n": 1}] * executions, now=timezone.now())
        before = _transactions()
        with patch.object(psycopg.Cursor, "execute", count):
            _drain()
        # The two that ask for the count are transactions as well.
        return calls, seconds, _transactions() - before - 1


def _drain() -> None:
    from spane_django.dispatch.bell import RedisBell
    from spane_django.dispatch.drain import Drain
    from spane_django.dispatch.rq import redis_of, wake

    redis = redis_of("spane")
    Drain(
        "spane",
        make_bell=lambda ring: RedisBell(
            redis, "spane", "queries", ring=ring, should_stop=lambda: False,
            pass_on=lambda: wake(["spane"]),
        ),
        wake=wake,
        linger=LINGER_SECONDS,
    ).run()  # fmt: skip


def _transactions() -> int:
    from django.db import connection

    connection.close()
    time.sleep(1.5)  # what a backend has done, it tells the statistics within a second
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        )
        found: int = cursor.fetchone()[0]
    return found


def _short(query: Any) -> str:
    sql = query.decode() if isinstance(query, bytes) else str(query)
    return re.sub(r"\s+", " ", sql.partition("*/")[2] or sql).strip()[:80]


if __name__ == "__main__":
    main()
