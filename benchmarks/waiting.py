"""How close one worker comes to the ideal with nodes that only wait: ``async def``, 100 ms each.

    python benchmarks/waiting.py [--nodes N] [--in-flight N]

10,000 nodes are ready before the worker begins, 500 may be in flight at once
(``ASYNC_CONCURRENCY``).  The ideal is nodes × 100 ms / in flight; the ratio is the time it took to
that.  ``single_nodes``: executions of one node each; ``chains``: as many nodes in chains of 10.
"""

from __future__ import annotations

import json
import os
import statistics

from common import silence, stage, until_completed, workers
from node_types import WAITING, WAITING_SECONDS
from output import parser, progress, say, say_machine
from shapes import chain, publish_shape

BATCH = 1_000


def main() -> None:
    made = parser(__doc__, repetitions=3)
    made.add_argument("--nodes", type=int, default=10_000, help="10,000")
    made.add_argument("--in-flight", type=int, default=500, help="500")
    options = made.parse_args()
    os.environ["SPANE"] = json.dumps({"ASYNC_CONCURRENCY": options.in_flight})
    ideal = options.nodes * WAITING_SECONDS / options.in_flight
    say_machine()
    with stage(), progress(2) as step:
        for name, length in (("single_nodes", 1), ("chains", 10)):
            step(name)
            samples = [_seconds(length, options.nodes) for _ in range(options.repetitions)]
            say(name, statistics.median(samples), "s", baseline=ideal, samples=samples)


def _seconds(length: int, nodes: int) -> float:
    from django.db.models import Max
    from django.utils import timezone

    from spane_django.engine.start import start_many
    from spane_django.models import Execution

    publish_shape(f"waiting{length}", chain(length), node_type=WAITING)
    ids = []
    with silence():
        for first in range(0, nodes // length, BATCH):
            inputs = [{"n": 1}] * min(BATCH, nodes // length - first)
            ids += start_many(f"waiting{length}", inputs, now=timezone.now())
    with workers(1):
        began = timezone.now()
        until_completed(ids, pause=0.1)
        ended = Execution.objects.filter(pk__in=ids).aggregate(at=Max("finished_at"))["at"]
        return float((ended - began).total_seconds())


if __name__ == "__main__":
    main()
