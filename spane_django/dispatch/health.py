"""Is everything well?  The engine's own checks, and what only Redis knows.

Redis carries hints, so its loss is a failure only where no drain is at work without it; RQ
workers that listen are known to Redis alone, drains at work to the database alone, and either
is a live worker.  A queue needs one if it is the default queue or something waits in it.
Redis is asked over connections with short timeouts, so that a Redis that hangs does not hang
whoever asks.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import django_rq
from django.core.signals import setting_changed
from django.dispatch import receiver
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue, Worker

from ..conf import settings
from ..engine.health import (
    Check,
    Level,
    check_database,
    check_lag,
    check_scheduler,
    live_drains,
)
from ..engine.stats import lags

logger = logging.getLogger("spane_django.dispatch")

_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Health:
    """All checks by name."""

    checks: dict[str, Check]

    @property
    def is_well(self) -> bool:
        """Whether no check failed."""
        return self.worst is not Level.FAIL

    @property
    def worst(self) -> Level:
        levels = {check.level for check in self.checks.values()}
        return next(
            (level for level in (Level.FAIL, Level.WARN) if level in levels),
            Level.OK,
        )


def check_health(*, now: datetime) -> Health:
    """Look at everything.  Without the database nothing else can be told."""
    database = check_database()
    if database.level is Level.FAIL:
        return Health({"database": database})
    waiting = lags(now=now)
    drains = dict(live_drains(now=now))
    queues = sorted({settings.QUEUE, *waiting})
    listening = {queue: listeners(queue) for queue in queues}
    return Health(
        {
            "database": database,
            "redis": _check_redis(listening, is_needed=not drains),
            "workers": _check_workers(queues, listening, drains),
            "scheduler": check_scheduler(now=now),
            "queues": check_lag(waiting),
        }
    )


def listeners(queue: str) -> int | None:
    """Return how many RQ workers listen on a queue; None if its Redis does not answer.

    A queue that is not in ``RQ_QUEUES`` has none.
    """
    try:
        connection = _connection(queue)
        keys = Worker.all_keys(queue=Queue(queue, connection=connection))
        # A worker that was killed stays in the set; its own key expires.
        return int(connection.exists(*keys)) if keys else 0
    except KeyError:
        return 0
    except (RedisError, OSError) as error:
        logger.error("health: the Redis of queue %s does not answer: %s", queue, error)
        return None


def _check_redis(listening: dict[str, int | None], *, is_needed: bool) -> Check:
    silent = [queue for queue, number in listening.items() if number is None]
    if not silent:
        return Check()
    message = f"Redis does not answer for {_named(silent)}; work goes on where drains poll"
    return Check(level=Level.FAIL if is_needed else Level.WARN, message=message)


def _check_workers(
    queues: Iterable[str], listening: dict[str, int | None], drains: dict[str, int]
) -> Check:
    alive = {queue: max(listening[queue] or 0, drains.get(queue, 0)) for queue in queues}
    idle = [queue for queue, number in alive.items() if not number]
    facts = {"alive": alive}
    if not idle:
        return Check(facts=facts)
    message = f"no worker is alive for {_named(idle)}: start `manage.py rqworker {idle[0]}`"
    return Check(level=Level.FAIL, message=message, facts=facts)


def _named(queues: Iterable[str]) -> str:
    return ", ".join(f"'{queue}'" for queue in queues)


@lru_cache(maxsize=64)
def _connection(queue: str) -> Redis:
    connection: Redis = django_rq.get_connection(queue)
    # The client is ours alone and has not connected yet.
    connection.connection_pool.connection_kwargs.update(
        socket_timeout=_PATIENCE_SECONDS,
        socket_connect_timeout=_PATIENCE_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    return connection


@receiver(setting_changed, dispatch_uid="spane_django.dispatch.health")
def _forget(*, setting: str, **_: object) -> None:
    if setting == "RQ_QUEUES":
        _connection.cache_clear()
