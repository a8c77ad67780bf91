"""Whether anything grows under a long, mixed load: memory, latency, connections, keys, rows.

    python benchmarks/long_run.py [--minutes N] [--rate N]

Two plain ``manage.py rqworker`` (the one that forks for each drain, and ``SimpleWorker``, whose
one process runs all of them) and a scheduler; ``--rate`` executions per second of chains, fans,
maps, waits, retries, children and async nodes.  Every minute what has ended is pruned, but for
the last minute's, and one line is printed: per process memory, threads and files, the latency of
single nodes, connections, Redis keys, rows.

The last lines are the verdict, the last third of the run beside the first after a warm-up of a
fifth: resident memory of each worker (1.05 at most), latency (1.25 at most, as other things
happen on a machine), and the rest not above what it was.  Exits 1 if one of them does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from common import ROOT, publish, rqworker, stage, until_completed
from node_types import ECHO, FLAKY, NOTHING, WAITING
from output import parser, progress, say, say_machine
from processes import held
from shapes import chain, fan, publish_shape

TICK = 0.25  # seconds
KEPT = timedelta(minutes=1)
MIX = {"chain": 6, "fan": 1, "map": 1, "nap": 4, "retry": 2, "parent": 1, "async": 5, "probe": 4}
MOST_GROWTH = 1.05
MOST_SLOWER = 1.25
TABLES = ("execution", "noderun", "attempt", "deadletter", "logline", "signal", "worker")
# A worker's row stays for a day after it has stopped.
COUNTED = {"worker": "WHERE stopped_at IS NULL"}
Minute = dict[str, float]


def main() -> None:
    options = _options()
    say_machine()
    minutes: list[Minute] = []
    with stage(), _processes() as processes, progress(options.minutes) as step:
        _publish()
        _begin()
        for number in range(options.minutes):
            step(f"minute {number + 1}")
            _load(options.rate, options.seconds)
            minutes.append(_minute(processes))
            for name, value in minutes[-1].items():
                say(name, value, _unit(name), minute=number + 1)
    sys.exit(_verdict(minutes))


def _publish() -> None:
    """Publish what the load consists of."""
    publish_shape("chain", chain(5))
    publish_shape("fan", fan(20))
    publish_shape("async", chain(3), node_type=WAITING)
    publish_shape("retry", chain(2), node_type=FLAKY)
    publish_shape("probe", chain(1), node_type=NOTHING)
    _one("nap", "delay", {"duration": 500})
    _one("map", "map", {"node": {"type": ECHO}})
    _one("parent", "sub-workflow", {"workflowId": "chain"})


def _begin() -> None:
    """Wait until the workers work."""
    from django.utils import timezone

    from spane_django.engine.start import start_many

    until_completed(start_many("probe", [{"n": 1}] * 10, now=timezone.now()))


def _one(key: str, kind: str, config: dict[str, Any]) -> None:
    node = {"id": "n", "type": kind, "config": config}
    publish({"id": key, "name": key, "entryNodeId": "n", "nodes": [node]})


def _load(rate: int, seconds: float) -> None:
    """Start executions at a steady rate, of each kind its share."""
    from django.utils import timezone

    from spane_django.engine.start import start_many

    began, shares = time.monotonic(), sum(MIX.values())
    owed = dict.fromkeys(MIX, 0.0)
    for tick in range(1, int(seconds / TICK) + 1):
        for key, share in MIX.items():
            owed[key] += rate * TICK * share / shares
            count, owed[key] = int(owed[key]), owed[key] % 1
            data = list(range(10)) if key == "map" else {"n": 1}
            if count:
                start_many(key, [data] * count, now=timezone.now())
        time.sleep(max(0.0, began + tick * TICK - time.monotonic()))


def _minute(processes: dict[str, subprocess.Popen[bytes]]) -> Minute:
    """Prune, then return what there is."""
    from django.utils import timezone

    from spane_django.engine.prune import FINAL, prunable, prune

    now = timezone.now()
    found = _latency(now - timedelta(minutes=1))
    pruned = sum(prune(prunable(before=now - KEPT, statuses=FINAL)))
    found |= {"pruned": pruned, **_rows(), **_redis()}
    for name, process in processes.items():
        one = held(process.pid)
        found |= {f"{name}_rss": one.rss_mb, f"{name}_tree": one.tree_mb}
        found |= {f"{name}_threads": one.threads, f"{name}_files": one.files}
    return found


def _latency(since: Any) -> Minute:
    from spane_django.models import Execution

    probes = Execution.objects.filter(workflow__key="probe", created_at__gte=since)
    ended = probes.exclude(finished_at=None).values_list("created_at", "finished_at")
    took = sorted((end - start).total_seconds() * 1_000 for start, end in ended)
    return {"latency_p50": took[len(took) // 2], "latency_p95": took[int(len(took) * 0.95)]}


def _rows() -> Minute:
    from django.db import connection

    from spane_django.models import Execution

    found: Minute = {"unfinished": Execution.objects.unfinished().count()}
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SELECT count(*) FROM spane_django_{table} {COUNTED.get(table, '')}")
            found[f"rows_{table}"] = cursor.fetchone()[0]
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend'"
        )
        found["connections"] = cursor.fetchone()[0]
    return found


def _redis() -> Minute:
    from spane_django.dispatch.rq import redis_of

    return {"redis_keys": redis_of("spane").dbsize()}


def _verdict(minutes: Sequence[Minute]) -> int:
    """Print what the end is to the beginning; return 1 if something has grown."""
    warm = minutes[len(minutes) // 5 :]
    third = max(1, len(warm) // 3)
    is_bad = False
    for name in warm[0]:
        if name == "pruned":
            continue
        early = statistics.median(minute[name] for minute in warm[:third])
        late = statistics.median(minute[name] for minute in warm[-third:])
        holds = late <= early * _most(name) + _slack(name)
        is_bad |= not holds
        say(f"verdict_{name}", late, _unit(name), baseline=early, holds=holds)
    return int(is_bad)


def _most(name: str) -> float:
    if name.endswith(("_rss", "_tree")):
        return MOST_GROWTH
    return MOST_SLOWER if name.startswith("latency") else 1.1


def _slack(name: str) -> float:
    """What comes and goes: a drain between two jobs has threads, files and keys or has none."""
    if name.endswith(("_rss", "_tree")):
        return 0.0
    return {"unfinished": 100.0, "redis_keys": 5.0, "connections": 3.0}.get(name, 10.0)


def _unit(name: str) -> str:
    if name.endswith(("_rss", "_tree")):
        return "MB"
    return "ms" if name.startswith("latency") else "count"


@contextlib.contextmanager
def _processes() -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    simple = ("--worker-class", "rq.worker.SimpleWorker")
    with (
        rqworker("spane") as forking,
        rqworker("spane", *simple) as one_process,
        _scheduler() as scheduler,
    ):
        yield {"worker": forking, "simple_worker": one_process, "scheduler": scheduler}


@contextlib.contextmanager
def _scheduler() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "manage.py", "spane_scheduler"],
        cwd=ROOT,
        env=dict(os.environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def _options() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--minutes", type=int, default=30, help="30")
    made.add_argument("--rate", type=int, default=60, help="executions per second; 60")
    made.add_argument(
        "--seconds", type=float, default=60.0, help="what a minute is, for a trial; 60"
    )
    return made.parse_args()


if __name__ == "__main__":
    main()
