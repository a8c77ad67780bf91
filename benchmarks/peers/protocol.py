"""How a peer is asked and how it answers; the standard library alone, as every peer runs it.

    python PEER.py SHAPE --executions N --size N --repetitions N

Shapes: ``chain`` (executions of ``size`` nodes in a row, all at once), ``fan`` (executions of
1 → size → 1, all at once), ``lone`` (one chain of ``size``, nothing else to do) and ``single``
(executions of one node, one after another).  Nodes do nothing.  ``DATABASE_URL`` names an empty
database of the peer's own, ``REDIS_URL`` a Redis that is empty.

The answer is one JSON object on the last line of standard output: ``seconds``, how long each
repetition took from before its first start until its last end was known (for ``single`` each
execution), after one round that is not counted, and ``settings``, how the peer was run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

SHAPES = ("chain", "fan", "lone", "single")


@dataclass(frozen=True)
class Asked:
    """What is to be measured."""

    shape: str
    executions: int
    size: int
    repetitions: int

    @property
    def nodes(self) -> int:
        """How many nodes a repetition runs."""
        return self.executions * (self.size + 2 if self.shape == "fan" else self.size)


def asked() -> Asked:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("--executions", type=int, default=1)
    parser.add_argument("--size", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=3)
    return Asked(**vars(parser.parse_args()))


def measure(wanted: Asked, run: Callable[[Asked], float]) -> list[float]:
    """Return what each repetition took, of ``single`` each execution, after one not counted."""
    part, count = wanted, wanted.repetitions
    if wanted.shape == "single":
        part, count = Asked("chain", 1, 1, 1), wanted.repetitions * wanted.executions
    run(part)
    return [run(part) for _ in range(count)]


@contextmanager
def ended_after(workers: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Terminate these processes when the block is over, and wait for their ends."""
    try:
        yield
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait(20)


def until_done(redis: Any, key: str, count: int, *, seconds: float = 300.0) -> None:
    """Wait until so many executions have each pushed something on a list, and delete it.

    Raises:
        TimeoutError: they have not, after so many seconds.
    """
    give_up = time.monotonic() + seconds
    while count:
        # Shorter than the time for which redis-py waits for any answer.
        if redis.blpop([key], timeout=2):
            count -= 1
        elif time.monotonic() > give_up:
            raise TimeoutError(f"{count} executions did not end")
    redis.delete(key)


def answer(seconds: Sequence[float], settings: str) -> None:
    """Print what was measured."""
    print(json.dumps({"seconds": list(seconds), "settings": settings}), flush=True)
