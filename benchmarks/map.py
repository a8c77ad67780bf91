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
import json
import statistics
import time
from typing import Any

from common import NOTHING, REPETITIONS, publish, stage, until_completed, workers

KEY = "benchmark-map"
SMALL, LARGE = 1_000, 10_000


def main() -> None:
    options = _options()
    with stage():
        config: dict[str, Any] = {"node": {"type": NOTHING}}
        if options.parallelism:
            config["parallelism"] = options.parallelism
        node = {"id": "map", "type": "map", "config": config}
        publish({"id": KEY, "name": KEY, "entryNodeId": "map", "nodes": [node]})
        print(json.dumps(_measured()))


def _measured() -> dict[str, Any]:
    samples: dict[int, list[float]] = {SMALL: [], LARGE: []}
    with workers(2):
        _ms_per_item(SMALL)
        for _ in range(REPETITIONS):
            for items, measured in samples.items():
                measured.append(_ms_per_item(items))
    small, large = (statistics.median(measured) for measured in samples.values())
    return {
        "ms_per_item": {str(SMALL): round(small, 3), str(LARGE): round(large, 3)},
        "ratio": round(large / small, 3),
        "samples": {str(items): [round(ms, 3) for ms in samples[items]] for items in samples},
    }


def _ms_per_item(items: int) -> float:
    from django.utils import timezone

    from spane_django.engine.start import start

    began = time.perf_counter()
    execution = start(KEY, list(range(items)), now=timezone.now())
    until_completed([execution.pk])
    return (time.perf_counter() - began) * 1_000 / items


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--parallelism", type=int, metavar="N", help="items at once; all")
    return parser.parse_args()


if __name__ == "__main__":
    main()
