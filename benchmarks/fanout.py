"""How fast executions fan out and come together again: 1 → N → 1.

    python benchmarks/fanout.py [--widths N …]

So many executions at once that some 2,000 nodes run, on two workers: nodes per second, beside
what two connections commit that each do one-row ``UPDATE … COMMIT``.
"""

from __future__ import annotations

import statistics

from baselines import commits
from common import stage
from output import parser, progress, say, say_machine
from shapes import fan, throughput

WIDTHS = (10, 100, 1_000, 4_000)
NODES = 2_000


def main() -> None:
    made = parser(__doc__, repetitions=5)
    made.add_argument("--widths", type=int, nargs="+", default=WIDTHS, metavar="N")
    options = made.parse_args()
    say_machine()
    with stage(), progress(len(options.widths) + 1) as step:
        step("baseline")
        base = commits()
        say("baseline", base, "commits/s")
        for width in options.widths:
            step(f"1 → {width} → 1")
            count = max(1, NODES // width)
            key, edges = f"fan{width}", fan(width)
            samples = [throughput(key, edges, count) for _ in range(options.repetitions)]
            rate = statistics.median(samples)
            say(key, rate, "nodes/s", baseline=base, samples=samples, executions=count)


if __name__ == "__main__":
    main()
