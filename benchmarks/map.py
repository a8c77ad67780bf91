"""What an item of a map costs, in a small map and in a large one.

    python benchmarks/map.py [--parallelism N]

Maps over 1,000 and over 10,000 items whose bodies do nothing, by two workers on PostgreSQL, one
map at a time.  Each item is an execution of its own: it is inserted, runs, ends, and the map
reads what it came to.  Prints one JSON object: the milliseconds per item of both sizes, each the
median of three maps, from the start of the execution to its end, and their ratio: 1.0 if an item
costs the same however many there are.  Sizes take turns, so that a machine that is busy with
something else is busy for both.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from common import publish, stage, until_completed, workers
from node_types import NOTHING
from output import parser, progress, say, say_machine

KEY = "benchmark-map"
SIZES = 1_000, 10_000
ROUNDS = 3


def main() -> None:
    options = _options()
    say_machine()
    with stage(), progress(1 + ROUNDS * len(SIZES)) as step:
        config: dict[str, Any] = {"node": {"type": NOTHING}}
        if options.parallelism:
            config["parallelism"] = options.parallelism
        node = {"id": "map", "type": "map", "config": config}
        publish({"id": KEY, "name": KEY, "entryNodeId": "map", "nodes": [node]})
        step("warm-up")
        samples: dict[int, list[float]] = {size: [] for size in SIZES}
        with workers(2):
            _ms_per_item(SIZES[0])
            for _ in range(ROUNDS):
                for size, measured in samples.items():
                    step(f"{size} items")
                    measured.append(_ms_per_item(size))
    small = statistics.median(samples[SIZES[0]])
    for size, measured in samples.items():
        value = statistics.median(measured)
        say(f"items_{size}", value, "ms/item", baseline=small, samples=measured)


def _ms_per_item(items: int) -> float:
    from django.utils import timezone

    from spane_django.engine.start import start

    began = time.perf_counter()
    execution = start(KEY, list(range(items)), now=timezone.now())
    until_completed([execution.pk])
    return (time.perf_counter() - began) * 1_000 / items


def _options() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--parallelism", type=int, metavar="N", help="items at once; all")
    return made.parse_args()


if __name__ == "__main__":
    main()
