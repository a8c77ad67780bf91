"""What limits, breakers, keys and priorities cost where they hold nothing back.

    python benchmarks/limits.py

Chains of 10 nodes that do nothing, by two workers on PostgreSQL: without anything, with every node
behind one generous gate, each behind a gate of its own, behind a breaker, with the executions of
twenty keys, and with these at ten priorities.  Printed are nodes per second; the baseline is the
plain chains.  All take turns, so that a machine that is busy with something else is busy for all;
figures are medians.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from common import publish, stage, until_completed, workers
from node_types import NOTHING
from output import parser, progress, say, say_machine

EXECUTIONS, LENGTH, KEYS = 500, 10, 20
ROUNDS = 7
GENEROUS = 10_000

Node = Callable[[int], dict[str, Any]]

NODES: dict[str, Node] = {
    "plain": lambda index: {},
    "one_gate": lambda index: {"limit": {"name": "shared", "max": GENEROUS}},
    "own_gates": lambda index: {"limit": {"max": GENEROUS}},
    "breaker": lambda index: {"limit": {"name": "guarded"}, "circuitBreaker": {}},
    "keys": lambda index: {},
    "keys_and_priorities": lambda index: {},
}


def main() -> None:
    parser(__doc__).parse_args()
    say_machine()
    with stage(), progress(ROUNDS + 1) as step:
        for name, node in NODES.items():
            _publish(name, node)
        samples: dict[str, list[float]] = {name: [] for name in NODES}
        for number in range(ROUNDS + 1):
            step(f"round {number}" if number else "warm-up")
            # A round is shorter than the slice of time after which a worker ends.
            with workers(2):
                for name, measured in samples.items():
                    rate = _nodes_per_second(name)
                    measured += [rate] if number else []
    plain = statistics.median(samples["plain"])
    for name, measured in samples.items():
        say(name, statistics.median(measured), "nodes/s", baseline=plain, samples=measured)


def _publish(name: str, node: Node) -> None:
    nodes = [
        {
            "id": f"n{index}",
            "type": NOTHING,
            "inputs": [f"n{index - 1}"] if index else [],
            "outputs": [f"n{index + 1}"] if index + 1 < LENGTH else [],
            **node(index),
        }
        for index in range(LENGTH)
    ]
    keyed = {"key": "key"} if name.startswith("keys") else {}
    publish({"id": name, "name": name, "entryNodeId": "n0", "nodes": nodes, **keyed})


def _nodes_per_second(name: str) -> float:
    from django.utils import timezone

    from spane_django.engine.start import StartOptions, start_many

    priorities = range(1, 11) if name == "keys_and_priorities" else [5]
    each = EXECUTIONS // len(priorities)
    inputs = [{"key": f"tenant-{number % KEYS}"} for number in range(each)]
    began = time.perf_counter()
    ids = []
    for priority in priorities:
        options = StartOptions(priority=priority)
        ids += start_many(name, inputs, now=timezone.now(), options=options)
    until_completed(ids)
    return EXECUTIONS * LENGTH / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
