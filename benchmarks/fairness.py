"""How long a tenant with ten executions waits behind one with fifty thousand.

    python benchmarks/fairness.py [--ready N] [--without-keys]

Tenant A has N nodes ready (50,000) and one worker on PostgreSQL is at work on them; then tenant B
starts ten executions.  Printed are the seconds from B's start until B's last one has completed,
and how many of A's were done by then.  ``--without-keys`` is how it would be if nobody said whose
an execution is.
"""

from __future__ import annotations

import argparse
import time

from common import publish, silence, stage, until_completed, workers
from node_types import NOTHING
from output import parser, progress, say, say_machine

KEY = "benchmark-fairness"
BATCH = 1_000
FEW = 10


def main() -> None:
    options = _options()
    say_machine()
    with stage(), progress(2) as step:
        step("starting A's")
        from django.utils import timezone

        from spane_django.engine.start import start_many
        from spane_django.models import Execution

        keyed = {} if options.without_keys else {"key": "tenant"}
        node = {"id": "n", "type": NOTHING}
        publish({"id": KEY, "name": KEY, "entryNodeId": "n", "nodes": [node], **keyed})
        many: list[dict[str, str]] = [{"tenant": "A"}] * BATCH
        with silence():
            for _ in range(options.ready // BATCH):
                start_many(KEY, many, now=timezone.now())
        step("B among A's")
        with workers(1):
            _until_some_completed(Execution)
            began = time.perf_counter()
            few = start_many(KEY, [{"tenant": "B"}] * FEW, now=timezone.now())
            until_completed(few, timeout=600)
            seconds = time.perf_counter() - began
            done = Execution.objects.filter(status="completed").count() - FEW
    say("few_behind_many", seconds, "s", ready=options.ready, others_done=done)


def _until_some_completed(executions: type) -> None:
    while not executions.objects.filter(status="completed").exists():  # type: ignore[attr-defined]
        time.sleep(0.01)


def _options() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--ready", type=int, default=50_000, metavar="N", help="nodes of A; 50,000")
    made.add_argument("--without-keys", action="store_true", help="as if nobody said whose")
    return made.parse_args()


if __name__ == "__main__":
    main()
