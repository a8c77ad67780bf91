"""Counting: what this process has seen, handed on to a hash in Redis every few seconds.

Workers are processes that come and go (a forked work horse lives a minute), and web servers are
several: no process can be asked for what all of them have counted, and a file per process would
leave thousands behind.  So each adds what it has counted to one hash, which whoever is scraped
reads.  The rules:

* Counting is arithmetic in memory.  A thread of its own hands on what there is, so that a Redis
  that hangs delays nobody; what could not be handed on is kept and tried again.
* A counter is a hint: a flushed Redis sets it to zero, which Prometheus expects of counters, and
  a killed process takes the last few seconds with it.
* The hash has at most `MAX_FIELDS` fields.  What would be one more is counted under `OTHER`.
* Beside the hash, what a queue has settled is counted by the minute: its recent throughput.
"""

from __future__ import annotations

import atexit
import json
import logging
import math
import os
import threading
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import django_rq
from django.core.signals import setting_changed
from django.dispatch import receiver
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from ..conf import settings
from .catalogue import NAMES, labels_of

logger = logging.getLogger("spane_django.observability")

KEY = "spane:metrics"
OTHER = "(other)"
FLUSH_SECONDS = 5.0
# Far more than a site has: 500 workflows and 200 node types take about 5,000.
MAX_FIELDS = 20_000

Field = tuple[str, ...]
"""The name of a counter, the values of its labels and, of a histogram, which of its numbers."""

_PATIENCE_SECONDS = 1.0
_COMPLAIN_SECONDS = 60.0
_MINUTES_KEPT = 300

_ADD = """
local room = ARGV[1] - redis.call('HLEN', KEYS[1])
for i = 2, #ARGV, 3 do
  local field = ARGV[i]
  if redis.call('HEXISTS', KEYS[1], field) == 0 then
    if room < 1 then field = ARGV[i + 1] end
    room = room - 1
  end
  redis.call('HINCRBYFLOAT', KEYS[1], field, ARGV[i + 2])
end
"""


class Counts:
    """What this process has counted and not handed on yet.  Safe for threads and forks."""

    def __init__(self) -> None:
        self._complained = -math.inf
        self._lock = threading.Lock()
        self._amounts: dict[Field, float] = {}
        self._settled: dict[str, int] = {}
        self._timer: threading.Timer | None = None

    def add(self, amounts: Mapping[Field, float], settled: Mapping[str, int] | None = None) -> None:
        """Count.

        Args:
            amounts: By how much each counter grows.
            settled: How many attempts each queue has settled just now.
        """
        with self._lock:
            for field, amount in amounts.items():
                self._amounts[field] = self._amounts.get(field, 0.0) + amount
            for queue, count in (settled or {}).items():
                self._settled[queue] = self._settled.get(queue, 0) + count
            if self._timer is None:
                self._timer = threading.Timer(FLUSH_SECONDS, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> bool:
        """Hand on what there is; say whether nothing is left."""
        with self._lock:
            amounts, settled = self._amounts, self._settled
            self._amounts, self._settled = {}, {}
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        if not amounts and not settled:
            return True
        try:
            _hand_on(amounts, settled)
        except (RedisError, OSError, KeyError) as error:
            self._complain(error)
            # Not what was settled: handed on later, it would be taken for the pace of then.
            self.add(amounts)
            return False
        return True

    def forget(self) -> None:
        """Drop what has not been handed on."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
        self.begin_anew()

    def begin_anew(self) -> None:
        """Begin as in a process that has counted nothing, whoever held the lock of its parent."""
        self._lock = threading.Lock()
        self._amounts, self._settled, self._timer = {}, {}, None

    def _complain(self, error: Exception) -> None:
        now = time.monotonic()
        if now >= self._complained + _COMPLAIN_SECONDS:
            self._complained = now
            logger.warning("metrics are kept until Redis answers: %s", error)


counts = Counts()
"""Those of this process."""

# What was counted before a fork is the parent's to hand on; its timer lives in the parent alone.
os.register_at_fork(after_in_child=counts.begin_anew)
atexit.register(counts.flush)


def totals() -> dict[Field, float]:
    """Return what all processes have counted.

    Raises:
        RedisError, OSError: Redis does not answer.
        KeyError: the default queue is not in ``RQ_QUEUES``.
    """
    found: Any = _redis().hgetall(KEY)
    return {tuple(json.loads(field)): float(amount) for field, amount in found.items()}


def settled_per_second(queues: list[str], *, timestamp: float) -> dict[str, float]:
    """Return how many attempts queues have settled per second in the last one to two minutes.

    Args:
        timestamp: Of now, in seconds.

    Raises:
        As `totals`.
    """
    if not queues:
        return {}
    minute = int(timestamp // 60)
    keys = [_minute_key(queue, each) for queue in queues for each in (minute - 1, minute)]
    found: Any = _redis().mget(keys)
    seconds = 60 + timestamp % 60
    pairs = zip(found[::2], found[1::2], strict=True)
    sums = [sum(int(count or 0) for count in pair) for pair in pairs]
    return {queue: total / seconds for queue, total in zip(queues, sums, strict=True)}


def _hand_on(amounts: Mapping[Field, float], settled: Mapping[str, int]) -> None:
    redis = _redis()
    arguments: list[str | float] = [MAX_FIELDS]
    for field, amount in amounts.items():
        arguments += [json.dumps(field), json.dumps(_other(field)), repr(float(amount))]
    pipe = redis.pipeline(transaction=True)
    if amounts:
        pipe.eval(_ADD, 1, KEY, *arguments)
    minute = int(time.time() // 60)
    for queue, count in settled.items():
        pipe.incrby(_minute_key(queue, minute), count)
        pipe.expire(_minute_key(queue, minute), _MINUTES_KEPT)
    pipe.execute()


def _other(field: Field) -> Field:
    """Return what a field is counted under when there are too many."""
    labels = labels_of(field[0])
    return (
        field[0],
        *(
            OTHER if place < len(labels) and labels[place] in NAMES else value
            for place, value in enumerate(field[1:])
        ),
    )


def _minute_key(queue: str, minute: int) -> str:
    return f"{KEY}:{queue}:{minute}"


def _redis() -> Redis:
    return _connection(settings.QUEUE)


@lru_cache(maxsize=4)
def _connection(queue: str) -> Redis:
    connection: Redis = django_rq.get_connection(queue)
    # The client is ours alone and has not connected yet.
    connection.connection_pool.connection_kwargs.update(
        socket_timeout=_PATIENCE_SECONDS,
        socket_connect_timeout=_PATIENCE_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    return connection


@receiver(setting_changed, dispatch_uid="spane_django.observability.counts")
def _forget(*, setting: str, **_: object) -> None:
    if setting == "RQ_QUEUES":
        _connection.cache_clear()
