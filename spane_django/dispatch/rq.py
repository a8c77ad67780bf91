"""RQ as the carrier: waking workers, and the job in which a worker drains a queue.

An RQ job names a queue and nothing else.  At most one lies waiting per queue; losing it,
doubling it or running it late changes nothing but latency.  A plain `rqworker` is a complete
worker: the drain is an ordinary job to it.
"""

from __future__ import annotations

import faulthandler
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, cast
from uuid import uuid4

import django_rq
from django.core.signals import setting_changed
from django.db import close_old_connections
from django.dispatch import receiver
from redis import Redis
from redis.exceptions import RedisError
from rq import get_current_job

from ..conf import settings
from .bell import BEGIN, RING, Bell, RedisBell, keys
from .drain import Drain

logger = logging.getLogger("spane_django.dispatch")

_COMPLAIN_SECONDS = 60.0
_complained: dict[str, float] = {}


def wake(queues: Iterable[str]) -> None:
    """Hint to the workers of ``queues`` that there is something to claim.

    Never raises for want of Redis: the rows are there, and the sweep finds them.
    """
    for queue in queues:
        try:
            _ring_or_enqueue(queue)
        except (RedisError, OSError) as error:
            _complain(queue, f"could not wake queue {queue}, the sweep will: {error}")
        except KeyError:
            _complain(queue, f"queue {queue} is not in RQ_QUEUES: add it, and a worker for it")


def drain(queue: str) -> int:
    """Drain a queue: what the RQ job does.  Returns how many node runs were settled."""
    close_old_connections()
    redis = redis_of(queue)
    job = get_current_job()
    if job is not None:
        _begin_script(queue)(keys=[keys(queue)[2]], args=[job.id])
    stop = _StopFlag(redis)
    name = f"{os.uname().nodename}:{os.getpid()}"

    def make_bell(ring: Callable[[], None]) -> Bell:
        return RedisBell(
            redis,
            queue,
            name,
            ring=ring,
            should_stop=stop.look,
            pass_on=lambda: wake([queue]),
        )

    # A node that holds the interpreter in C code stops this process from doing anything, its
    # heartbeat included.  The watchdog needs no interpreter; RQ's parent process lives on.
    watchdog = 2 * settings.LEASE_SECONDS
    try:
        report = Drain(
            queue,
            make_bell=make_bell,
            wake=wake,
            should_stop=stop.is_set,
            on_turn=lambda: faulthandler.dump_traceback_later(watchdog, exit=True),
        ).run()
    finally:
        faulthandler.cancel_dump_traceback_later()
        close_old_connections()
    return report.nodes


def redis_of(queue: str) -> Redis:
    """Return the Redis connection of a queue.

    Raises:
        KeyError: the queue is not in ``RQ_QUEUES``.
    """
    return cast(Redis, queue_of(queue).connection)


# A connection per call would cost milliseconds; see the notes on django_rq.get_queue.
@lru_cache(maxsize=64)
def queue_of(name: str) -> Any:
    """Return a queue of RQ.

    Raises:
        KeyError: it is not in ``RQ_QUEUES``.
    """
    return django_rq.get_queue(name, commit_mode="auto")


def _ring_or_enqueue(queue: str) -> None:
    target, job_id = queue_of(queue), str(uuid4())
    if _ring_script(queue)(keys=[*keys(queue), target.key], args=[job_id]):
        # No timeout of RQ's: a drain ends its slice by itself and waits for nodes in flight.
        target.enqueue_call(
            drain, args=(queue,), job_id=job_id, timeout=-1, result_ttl=0, failure_ttl=3_600,
            description=f"drain of workflow nodes in '{queue}'",
        )  # fmt: skip


def _complain(queue: str, message: str) -> None:
    """Log what is wrong with a queue; not for each of the thousand wakes that it concerns."""
    now = time.monotonic()
    if now >= _complained.get(queue, -math.inf) + _COMPLAIN_SECONDS:
        _complained[queue] = now
        logger.warning(message)


@lru_cache(maxsize=64)
def _ring_script(queue: str) -> Any:
    return redis_of(queue).register_script(RING)


@lru_cache(maxsize=64)
def _begin_script(queue: str) -> Any:
    return redis_of(queue).register_script(BEGIN)


class _StopFlag:
    """Whether the worker of this job is to stop, or is gone.

    A forked work horse hears nothing of the signal that its parent got, but the parent says so
    in Redis; see `rq.worker.BaseWorker.set_shutdown_requested_date`.  A parent that was killed
    says nothing and leaves its horse behind, which then belongs to another process.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._event = threading.Event()
        self._parent = os.getppid()
        job = get_current_job()
        self._key = f"rq:worker:{job.worker_name}" if job and job.worker_name else None

    def is_set(self) -> bool:
        return self._event.is_set() or os.getppid() != self._parent

    def look(self) -> bool:
        """Ask Redis."""
        if self._key and self._redis.hexists(self._key, "shutdown_requested_date"):
            self._event.set()
        return self.is_set()


@receiver(setting_changed, dispatch_uid="spane_django.dispatch.rq")
def _forget(*, setting: str, **_: object) -> None:
    if setting == "RQ_QUEUES":
        queue_of.cache_clear()
        _ring_script.cache_clear()
        _begin_script.cache_clear()
