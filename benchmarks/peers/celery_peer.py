"""Celery: chains and chords on a Redis that is broker and result backend.

Two worker processes (``--pool solo`` each, which spares the way to a child process), messages
fetched well ahead, acknowledged early, no gossip, events or heartbeats; results are kept only
where a chord needs them.  The last task of each execution counts up in Redis, on which the
client waits.  See `protocol` for how it is asked.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

from celery import Celery, chain, chord
from protocol import Asked, answer, asked, ended_after, measure, until_done
from redis import Redis

WORKERS = 2
PREFETCH = 64
SETTINGS = (
    f"{WORKERS} workers (solo pool), prefetch {PREFETCH}, acknowledged early, "
    "results ignored but in chords, JSON, Redis without persistence"
)

URL = os.environ["REDIS_URL"].replace("unix://", "redis+socket://")
app = Celery("celery_peer", broker=URL, backend=URL)
app.conf.update(
    worker_prefetch_multiplier=PREFETCH,
    task_acks_late=False,
    task_ignore_result=False,
    worker_send_task_events=False,
    task_send_sent_event=False,
    result_expires=600,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)
redis = Redis.from_url(os.environ["REDIS_URL"])


@app.task(ignore_result=True)
def nothing() -> None:
    return None


@app.task
def header() -> int:
    return 1


@app.task(ignore_result=True)
def last(results: object, done: str) -> None:
    redis.rpush(done, 1)


def main() -> None:
    with ended_after([_worker(number) for number in range(WORKERS)]):
        _await_workers()
        answer(measure(asked(), _run), SETTINGS)


def _run(wanted: Asked) -> float:
    done = f"done:{uuid4()}"
    began = time.perf_counter()
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(wanted.executions):
            _signature(wanted, done).apply_async(producer=producer)
    until_done(redis, done, wanted.executions)
    return time.perf_counter() - began


def _signature(wanted: Asked, done: str) -> object:
    if wanted.shape == "fan":
        return chain(nothing.si(), chord([header.si() for _ in range(wanted.size)], last.s(done)))
    if wanted.size == 1:
        return last.si(None, done)
    return chain(*[nothing.si() for _ in range(wanted.size - 1)], last.si(None, done))


def _worker(number: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "celery", "-A", "celery_peer", "worker", "--pool", "solo"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
            *("--loglevel", "error", "--hostname", f"worker{number}@%h"),
        ],
        cwd=Path(__file__).parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _await_workers() -> None:
    give_up = time.monotonic() + 60
    while len(app.control.ping(timeout=0.5)) < WORKERS:
        if time.monotonic() > give_up:
            raise TimeoutError("Celery's workers do not answer")


if __name__ == "__main__":
    main()
