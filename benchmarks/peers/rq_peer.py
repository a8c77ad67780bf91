"""RQ alone: jobs that wait for each other by ``depends_on``.

Two workers that run jobs in their own process (``SimpleWorker``, which spares a fork per job),
results kept for a minute.  Each worker has a queue of its own: two that end jobs of one queue at
the same moment leave some of what becomes ready to RQ's maintenance, which is why that runs
every second here.  The last job of each execution counts up in Redis, on which the client waits.
See `protocol` for how it is asked.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

from protocol import Asked, answer, asked, ended_after, measure, until_done
from redis import Redis
from rq import Queue

WORKERS = 2
SETTINGS = (
    f"{WORKERS} workers (SimpleWorker) with a queue each, maintenance every second, "
    "results kept for 60 s, Redis without persistence"
)
KEPT = {"result_ttl": 60, "failure_ttl": 60}

redis = Redis.from_url(os.environ["REDIS_URL"])
queues = [Queue(f"peer{number}", connection=redis) for number in range(WORKERS)]


def nothing() -> int:
    return 1


def last(done: str) -> None:
    redis.rpush(done, 1)


def main() -> None:
    with ended_after([_worker(number) for number in range(WORKERS)]):
        answer(measure(asked(), _run), SETTINGS)


def _run(wanted: Asked) -> float:
    done = f"done:{uuid4()}"
    began = time.perf_counter()
    for number in range(wanted.executions):
        if wanted.shape == "fan":
            _fan(wanted.size, done)
        else:
            _chain(queues[number % WORKERS], wanted.size, done)
    until_done(redis, done, wanted.executions)
    return time.perf_counter() - began


def _chain(queue: Queue, length: int, done: str) -> None:
    before = None
    for _ in range(length - 1):
        before = queue.enqueue("rq_peer.nothing", depends_on=before, **KEPT)
    queue.enqueue("rq_peer.last", done, depends_on=before, **KEPT)


def _fan(width: int, done: str) -> None:
    first = queues[0].enqueue("rq_peer.nothing", **KEPT)
    middle = [
        queues[number % WORKERS].enqueue("rq_peer.nothing", depends_on=first, **KEPT)
        for number in range(width)
    ]
    queues[0].enqueue("rq_peer.last", done, depends_on=middle, **KEPT)


def _worker(number: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "rq.cli", "worker", f"peer{number}"),
            *("--url", os.environ["REDIS_URL"]),
            *("--worker-class", "rq.worker.SimpleWorker", "--name", f"peer-{os.getpid()}-{number}"),
            *("--maintenance-interval", "1", "--quiet"),
        ],
        cwd=Path(__file__).parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    main()
