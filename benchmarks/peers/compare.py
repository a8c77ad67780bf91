"""The engine beside what users would pick instead, in one run on the same servers.

    python benchmarks/peers/install.py DIRECTORY
    python benchmarks/peers/compare.py DIRECTORY [--peers NAME …] [--only SHAPE …] [--scale F]

Shapes: 1,000 chains of 10 (``chain10``), 20 times 1 → 100 → 1 (``fan100``), 1 → 1,000 → 1
(``fan1000``), a lone chain of 100 (``lone100``) and executions of one node, one after another
(``single``).  Nodes do nothing.  Each shape is measured with the engine first, then with one peer
after the other, at settings that were chosen for speed, which its line tells, with what it
guarantees.  Slow peers run fewer executions, or a narrower fan: ``scale`` on their line.  Ratios
are of the engine's figure to the peer's: how many times faster the engine is.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common import stage
from install import PEERS, installed, python_of
from output import parser, progress, say, say_machine
from shapes import chain, fan, latencies, throughput

OURS = (
    "durable in PostgreSQL; state exactly once, side effects at least once; runs on by itself "
    "after a crash"
)
GUARANTEES = {
    "dbos": (
        "durable in PostgreSQL; state exactly once, side effects at least once; runs on when "
        "its executor restarts"
    ),
    "celery": "not durable: in Redis; at most once, a task is lost with its worker",
    "rq": "not durable: in Redis; a job is failed, not run again, when its worker is lost",
    "prefect": "states recorded at a server; a flow run does not go on after its process is lost",
}


@dataclass(frozen=True)
class Shape:
    """One of the figures: what the engine and the peers run for it."""

    kind: str
    executions: int
    size: int

    def scaled(self, by: float) -> Shape:
        """Return it with fewer executions, or smaller if it has but one."""
        if self.executions > 1:
            return Shape(self.kind, max(2, round(self.executions * by)), self.size)
        return Shape(self.kind, 1, max(2, round(self.size * by)))

    @property
    def nodes(self) -> int:
        return self.executions * (self.size + 2 if self.kind == "fan" else self.size)


SHAPES = {
    "chain10": Shape("chain", 1_000, 10),
    "fan100": Shape("fan", 20, 100),
    "fan1000": Shape("fan", 1, 1_000),
    "lone100": Shape("lone", 1, 100),
    "single": Shape("single", 100, 1),
}
# So that a shape takes a peer seconds and not minutes.
SCALES = {
    "dbos": {"chain10": 0.5},
    "celery": {"chain10": 0.5},
    "rq": {"chain10": 0.1, "fan100": 0.25, "fan1000": 0.25},
    "prefect": {"chain10": 0.02, "fan100": 0.1, "fan1000": 0.1, "lone100": 0.5, "single": 0.2},
}
SECONDS = 240


def main() -> None:
    options = _options()
    peers = [peer for peer in options.peers if peer in installed(options.directory)]
    missing = set(options.peers) - set(peers)
    if missing:
        print(f"not installed, left out: {', '.join(sorted(missing))}", file=sys.stderr)
    say_machine()
    with stage(), progress(len(options.only) * (1 + len(peers))) as step:
        for name in options.only:
            shape = SHAPES[name].scaled(options.scale) if options.scale != 1 else SHAPES[name]
            step(f"{name}: spane_django")
            ours = _ours(name, shape, options.repetitions)
            _say(name, "spane_django", ours, guarantee=OURS)
            for peer in peers:
                step(f"{name}: {peer}")
                scale = SCALES[peer].get(name, 1.0)
                part = shape.scaled(scale) if scale != 1 else shape
                python = python_of(peer, options.directory)
                _say_peer(name, peer, part, python, options.peer_repetitions, ours, scale)


def _ours(name: str, shape: Shape, repetitions: int) -> list[float]:
    """Return nodes per second of each repetition, or the milliseconds of each execution."""
    edges = fan(shape.size) if shape.kind == "fan" else chain(shape.size)
    if shape.kind in {"lone", "single"}:
        samples = shape.executions * repetitions
        return [took / shape.size for took in latencies(name, edges, samples)]
    rounds = 5 if shape.executions == 1 else 1
    return [throughput(name, edges, shape.executions, rounds=rounds) for _ in range(repetitions)]


def _say_peer(
    name: str,
    peer: str,
    shape: Shape,
    python: Path,
    repetitions: int,
    ours: list[float],
    scale: float,
) -> None:
    try:
        answer = _asked(peer, shape, python, repetitions)
    except (subprocess.SubprocessError, ValueError) as error:
        say(name, 0.0, "failed", engine=peer, error=str(error)[-300:])
        return
    seconds = answer["seconds"]
    if shape.kind in {"lone", "single"}:
        figures = [took * 1_000 / shape.size for took in seconds]
    else:
        figures = [shape.nodes / took for took in seconds]
    _say(
        name, peer, figures, ours=ours, guarantee=GUARANTEES[peer],
        settings=answer["settings"], version=PEERS[peer][0], scale=scale,
    )  # fmt: skip


def _say(
    name: str, engine: str, figures: list[float], *, ours: list[float] | None = None, **more: Any
) -> None:
    value = statistics.median(figures)
    unit = {"single": "ms", "lone": "ms/node"}.get(SHAPES[name].kind, "nodes/s")
    if ours:
        best = statistics.median(ours)
        more["times_faster"] = best / value if unit == "nodes/s" else value / best
    say(name, value, unit, engine=engine, **more)


def _asked(peer: str, shape: Shape, python: Path, repetitions: int) -> dict[str, Any]:
    """Run a peer in its own environment, on a database and a Redis of its own."""
    _fresh_redis()
    command = [
        str(python), f"{peer}_peer.py", shape.kind, "--executions", str(shape.executions),
        "--size", str(shape.size), "--repetitions", str(repetitions),
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=Path(__file__).parent, check=True, text=True, timeout=SECONDS,
        env=os.environ | {"DATABASE_URL": _fresh_database(peer)}, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _fresh_database(peer: str) -> str:
    import psycopg

    base = os.environ["DATABASE_URL"].rpartition("/")[0]
    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS peer_{peer} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE peer_{peer}")
    return f"{base}/peer_{peer}"


def _fresh_redis() -> None:
    from spane_django.dispatch.rq import redis_of

    redis_of("spane").flushdb()


def _options() -> argparse.Namespace:
    made = parser(__doc__, repetitions=5)
    made.add_argument("directory", type=Path, help="where install.py has put the peers")
    made.add_argument(
        "--peer-repetitions", type=int, default=3, metavar="N",
        help="of each peer, which take longer; 3",
    )  # fmt: skip
    made.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    made.add_argument("--only", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    made.add_argument("--scale", type=float, default=1.0, help="of all shapes, for a trial; 1")
    return made.parse_args()


if __name__ == "__main__":
    main()
