"""How long an execution of one node takes from its start to its end, with nothing else to do.

    python benchmarks/latency.py [--samples N]

    lingering   the worker has just been busy and waits for more, as under any steady load
    slow_node   the same with a node that takes 10 ms, minus these: what the engine adds
    cold        the worker was idle for so long that it starts with a fresh RQ job: a plain
                ``manage.py rqworker``, which forks for it

Each as p50, p95 and p99, beside the time that a one-row ``UPDATE … COMMIT`` takes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from baselines import floor
from common import rqworker, silence, stage, until_completed
from node_types import SLOW, SLOW_SECONDS
from output import parser, progress, say, say_machine
from shapes import chain, latencies, publish_shape

COLD_SAMPLES = 10
COLD_LINGER_SECONDS = 0.05


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--samples", type=int, default=500, metavar="N", help="executions; 500")
    options = made.parse_args()
    say_machine()
    with stage(), progress(4) as step:
        step("floor")
        base = floor()
        say("floor", base, "ms/commit")
        step("lingering")
        _say("lingering", latencies("single", chain(1), options.samples), base)
        step("slow node")
        slow = latencies("slow", chain(1), options.samples // 5, node_type=SLOW)
        _say("slow_node", [took - SLOW_SECONDS * 1_000 for took in slow], base)
        step("cold")
        _say("cold", _cold(COLD_SAMPLES), base)


def _say(name: str, took: Sequence[float], base: float) -> None:
    for percent in (50, 95, 99):
        value = statistics.quantiles(took, n=100, method="inclusive")[percent - 1]
        say(f"{name}_p{percent}", value, "ms", baseline=base, count=len(took))


def _cold(samples: int) -> list[float]:
    """Return the milliseconds of executions that find a worker between two of its jobs."""
    from django.utils import timezone

    from spane_django.engine.start import start
    from spane_django.models import Execution, Worker

    publish_shape("cold", chain(1))
    took = []
    with silence():
        pass
    with rqworker("spane", LINGER_SECONDS=COLD_LINGER_SECONDS):
        for _ in range(samples):
            execution = start("cold", {"n": 1}, now=timezone.now())
            until_completed([execution.pk])
            ended = Execution.objects.values_list("finished_at", flat=True).get(pk=execution.pk)
            took.append((ended - execution.created_at).total_seconds() * 1_000)
            while Worker.objects.filter(stopped_at=None).exists():
                time.sleep(0.02)
    return took[1:]


if __name__ == "__main__":
    main()
