"""How fast durable nodes run: figures beside a baseline measured in the same run.

    python benchmarks/throughput.py [--json] [--only NAME …]

PostgreSQL (fsync on) and Redis are started when DATABASE_URL and REDIS_URL are not set.  Nodes
do nothing; workers are two drains in processes of their own, woken through Redis as in
production.  The baseline is what the same machine commits with two psycopg connections, each
doing one-row ``UPDATE … COMMIT`` as fast as it can: the ceiling of a design that commits once
per node.  Every figure is the median of its repetitions.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

from common import (
    NOTHING,
    REPETITIONS,
    fork,
    median,
    publish,
    silence,
    stage,
    until_completed,
    workers,
)

BASELINE_SECONDS = 3.0


def main() -> None:
    options = _options()
    with stage():
        baseline = _baseline()
        _print(options, "baseline", baseline, "commits/s", 1.0)
        for name, figure in FIGURES.items():
            if not options.only or name in options.only:
                value, unit = figure()
                per_second = unit.endswith("/s")
                ratio = value / baseline if per_second else value * baseline / 1_000
                _print(options, name, value, unit, ratio)


def chain10() -> tuple[float, str]:
    """1,000 chains of 10."""
    return median(lambda: _throughput("chain10", chain(10), 1_000)), "nodes/s"


def fan100() -> tuple[float, str]:
    """20 times 1 → 100 → 1."""
    return median(lambda: _throughput("fan100", fan(100), 20)), "nodes/s"


def fan1000() -> tuple[float, str]:
    """One 1 → 1,000 → 1."""
    return median(lambda: _throughput("fan1000", fan(1_000), 1)), "nodes/s"


def single_p50_ms() -> tuple[float, str]:
    """Start to completed of an execution of one node, with a worker that lingers: the median."""
    return statistics.median(_latencies("single", chain(1), 100)), "ms"


def single_p95_ms() -> tuple[float, str]:
    """The same, the 95th percentile."""
    return statistics.quantiles(_latencies("single", chain(1), 100), n=20)[18], "ms"


def chain_lone(length: int) -> Callable[[], tuple[float, str]]:
    """One chain with nothing else to do: milliseconds per node, one commit each."""

    def figure() -> tuple[float, str]:
        samples = max(REPETITIONS, 100 // length)
        latencies = _latencies(f"lone{length}", chain(length), samples)
        return statistics.median(latencies) / length, "ms/node"

    return figure


def starts() -> tuple[float, str]:
    """Executions started per second, in batches of 100, by one process, no worker running."""
    from django.utils import timezone

    from spane_django.engine.start import start_many

    _publish("starts", chain(10))

    def measure() -> float:
        began = time.perf_counter()
        for _ in range(20):
            start_many("starts", [{"n": 1}] * 100, now=timezone.now())
        return 2_000 / (time.perf_counter() - began)

    with silence():
        return median(measure), "executions/s"


FIGURES: dict[str, Callable[[], tuple[float, str]]] = {
    "chain10": chain10,
    "fan100": fan100,
    "fan1000": fan1000,
    "single_p50_ms": single_p50_ms,
    "single_p95_ms": single_p95_ms,
    "chain_lone_10": chain_lone(10),
    "chain_lone_100": chain_lone(100),
    "chain_lone_500": chain_lone(500),
    "starts": starts,
}


def chain(length: int) -> dict[str, list[str]]:
    """Return the edges of a chain."""
    ids = [f"n{index}" for index in range(length)]
    return {node: ids[index + 1 : index + 2] for index, node in enumerate(ids)}


def fan(width: int) -> dict[str, list[str]]:
    """Return the edges of 1 → width → 1."""
    middle = [f"m{index}" for index in range(width)]
    return {"first": middle, **{node: ["last"] for node in middle}, "last": []}


def _throughput(key: str, edges: dict[str, list[str]], executions: int) -> float:
    """Return nodes per second from the moment work is ready until the last execution ended."""
    from django.utils import timezone

    from spane_django.engine.start import start_many

    _publish(key, edges)
    with workers(2):
        began = time.perf_counter()
        ids = start_many(key, [{"n": 1}] * executions, now=timezone.now())
        until_completed(ids)
        return executions * len(edges) / (time.perf_counter() - began)


def _latencies(key: str, edges: dict[str, list[str]], samples: int) -> list[float]:
    """Return the milliseconds from start to end of executions that run one after another."""
    from django.utils import timezone

    from spane_django.engine.start import start
    from spane_django.models import Execution

    _publish(key, edges)
    latencies = []
    with workers(1):
        for _ in range(samples):
            execution = start(key, {"n": 1}, now=timezone.now())
            until_completed([execution.pk])
            ended = Execution.objects.values_list("finished_at", flat=True).get(pk=execution.pk)
            latencies.append((ended - execution.created_at).total_seconds() * 1_000)
    return latencies


def _publish(key: str, edges: dict[str, list[str]]) -> None:
    parents: dict[str, list[str]] = {name: [] for name in edges}
    for name, children in edges.items():
        for child in children:
            parents[child].append(name)
    nodes = [
        {"id": name, "type": NOTHING, "inputs": parents[name], "outputs": children}
        for name, children in edges.items()
    ]
    publish({"id": key, "name": key, "entryNodeId": nodes[0]["id"], "nodes": nodes})


def _baseline() -> float:
    """Return one-row updates per second, each its own commit, of two connections."""
    import psycopg

    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS benchmark_baseline")
        connection.execute("CREATE TABLE benchmark_baseline (id int PRIMARY KEY, n int)")
        connection.execute("INSERT INTO benchmark_baseline VALUES (0, 0), (1, 0)")
    counts = fork.Array("i", 2)
    processes = [fork.Process(target=_update, args=(url, row, counts)) for row in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return sum(counts) / BASELINE_SECONDS


def _update(url: str, row: int, counts: Any) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True, prepare_threshold=1) as connection:
        until = time.perf_counter() + BASELINE_SECONDS
        while time.perf_counter() < until:
            connection.execute("UPDATE benchmark_baseline SET n = n + 1 WHERE id = %s", [row])
            counts[row] += 1


def _print(options: argparse.Namespace, name: str, value: float, unit: str, ratio: float) -> None:
    line = {"name": name, "value": round(value, 3), "unit": unit, "ratio": round(ratio, 3)}
    print(json.dumps(line) if options.json else _sentence(line), flush=True)


def _sentence(line: dict[str, Any]) -> str:
    return f"{line['name']:>16}  {line['value']:>12,.2f} {line['unit']:<14} × {line['ratio']}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--only", nargs="*", choices=list(FIGURES), help="these figures alone")
    return parser.parse_args()


if __name__ == "__main__":
    main()
