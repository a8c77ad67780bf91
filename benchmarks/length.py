"""What a node of a lone chain costs, from short chains to the longest: one commit per node.

    python benchmarks/length.py [--lengths N …]

One chain at a time with nothing else to do, on a worker that lingers: milliseconds per node,
beside the time that a one-row ``UPDATE … COMMIT`` takes, which is the floor of recording a result
before its successor runs.  ``flatness`` is the longest chain's figure by the shortest's: 1.0 if
a node costs the same however long its chain is.
"""

from __future__ import annotations

import statistics

from baselines import floor
from common import stage
from output import parser, progress, say, say_machine
from shapes import chain, latencies

LENGTHS = (10, 100, 500, 1_000, 5_000)
NODES = 500


def main() -> None:
    made = parser(__doc__, repetitions=5)
    made.add_argument("--lengths", type=int, nargs="+", default=LENGTHS, metavar="N")
    options = made.parse_args()
    say_machine()
    figures = []
    with stage(), progress(len(options.lengths)) as step:
        for length in options.lengths:
            step(f"a chain of {length}")
            base = floor()
            samples = max(options.repetitions, NODES // length)
            took = latencies(f"lone{length}", chain(length), samples)
            figures.append(statistics.median(took) / length)
            say(f"lone_{length}", figures[-1], "ms/node", baseline=base, count=samples)
    say("flatness", figures[-1] / figures[0], "ratio")


if __name__ == "__main__":
    main()
