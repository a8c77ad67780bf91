"""How fast durable nodes run: figures beside a baseline measured in the same run.

    python benchmarks/throughput.py [--only NAME …]

PostgreSQL (fsync on) and Redis are started when DATABASE_URL and REDIS_URL are not set.  Nodes
do nothing; workers are two drains in processes of their own, woken through Redis as in
production.

    chain10         1,000 chains of 10, all at once
    fan100          20 times 1 → 100 → 1, all at once
    fan1000         one 1 → 1,000 → 1, each sample the median of five
    single_p50_ms   start to completed of an execution of one node, on a worker that lingers
    single_p95_ms   the same, the 95th percentile
    chain_lone_N    one chain of N with nothing else to do, per node
    starts          executions started per second, in batches of 100, by one process

Rates are put beside what two connections commit that each do one-row ``UPDATE … COMMIT`` as fast
as they can, which is the ceiling of a design that commits once per node; times beside one such
commit with nothing else to do.  `latency.py`, `length.py`, `fanout.py` and `starts.py` look at
each of these more closely.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial

import shapes
from baselines import commits, floor
from common import stage
from output import parser, progress, say, say_machine
from starts import batched

Measure = Callable[[], float]


def main() -> None:
    options = _options()
    names = options.only or list(FIGURES)
    say_machine()
    with stage(), progress(len(names) + 1) as step:
        step("baseline")
        rate, ms = commits(), floor()
        say("baseline", rate, "commits/s")
        say("floor", ms, "ms/commit")
        for name in names:
            step(name)
            measure, unit = FIGURES[name]
            samples = [measure() for _ in range(options.repetitions)]
            baseline = rate if unit.endswith("/s") else ms
            say(name, statistics.median(samples), unit, baseline=baseline, samples=samples)


def _single(percentile: int) -> float:
    took = shapes.latencies("single", shapes.chain(1), 100)
    return statistics.quantiles(took, n=100)[percentile - 1]


def _lone(length: int) -> float:
    took = shapes.latencies(f"lone{length}", shapes.chain(length), max(1, 100 // length))
    return statistics.median(took) / length


FIGURES: dict[str, tuple[Measure, str]] = {
    "chain10": (
        partial(shapes.throughput, "chain10", shapes.chain(10), 1_000),
        "nodes/s",
    ),
    "fan100": (partial(shapes.throughput, "fan100", shapes.fan(100), 20), "nodes/s"),
    "fan1000": (partial(shapes.throughput, "fan1000", shapes.fan(1_000), 1, rounds=5), "nodes/s"),
    "single_p50_ms": (partial(_single, 50), "ms"),
    "single_p95_ms": (partial(_single, 95), "ms"),
    "chain_lone_10": (partial(_lone, 10), "ms/node"),
    "chain_lone_100": (partial(_lone, 100), "ms/node"),
    "chain_lone_500": (partial(_lone, 500), "ms/node"),
    "starts": (partial(batched, 100, 2_000), "executions/s"),
}


def _options() -> argparse.Namespace:
    made = parser(__doc__, repetitions=5)
    made.add_argument("--only", nargs="*", choices=list(FIGURES), help="these figures alone")
    return made.parse_args()


if __name__ == "__main__":
    main()
