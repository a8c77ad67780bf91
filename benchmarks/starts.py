"""How many executions are started per second, in batches and one by one.

    python benchmarks/starts.py

Chains of 10 are started while no worker runs: ``batched_N`` by one process in transactions of N,
``single_N`` by N processes, each start in a transaction of its own, as web servers do.  Beside
them stands what as many connections commit that each do one-row ``UPDATE … COMMIT``.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from baselines import commits
from common import fork, silence, stage
from output import parser, progress, say, say_machine
from shapes import chain, publish_shape

BATCHES = (10, 100, 1_000)
PROCESSES = (1, 2, 4, 8)
EXECUTIONS = 4_000
SECONDS = 2.0


def main() -> None:
    options = parser(__doc__, repetitions=5).parse_args()
    say_machine()
    with stage(), silence(), progress(len(BATCHES) + len(PROCESSES)) as step:
        one = commits(1)
        for size in BATCHES:
            step(f"batches of {size}")
            samples = [batched(size, EXECUTIONS) for _ in range(options.repetitions)]
            rate = statistics.median(samples)
            say(f"batched_{size}", rate, "executions/s", baseline=one, samples=samples)
        for count in PROCESSES:
            step(f"one by one, {count} at once")
            samples = [one_by_one(count) for _ in range(options.repetitions)]
            rate, base = statistics.median(samples), commits(count)
            say(f"single_{count}", rate, "executions/s", baseline=base, samples=samples)


def batched(size: int, executions: int) -> float:
    """Return executions started per second by one process, in transactions of so many."""
    from django.utils import timezone

    from spane_django.engine.start import start_many

    publish_shape("starts", chain(10))
    with silence():
        began = time.perf_counter()
        for _ in range(executions // size):
            start_many("starts", [{"n": 1}] * size, now=timezone.now())
        return executions / (time.perf_counter() - began)


def one_by_one(count: int) -> float:
    """Return executions started per second by so many processes, each in its own transaction."""
    from django.db import connections

    publish_shape("starts", chain(10))
    connections.close_all()
    ready, counts = fork.Barrier(count), fork.Array("i", count)
    processes = [
        fork.Process(target=_start_on, args=(ready, counts, number)) for number in range(count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return sum(counts) / SECONDS


def _start_on(ready: Any, counts: Any, number: int) -> None:
    from django.utils import timezone

    from spane_django.engine.start import start

    start("starts", {"n": 1}, now=timezone.now())
    ready.wait(30)
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        start("starts", {"n": 1}, now=timezone.now())
        counts[number] += 1


if __name__ == "__main__":
    main()
