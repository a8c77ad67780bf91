"""The bell: how a drain learns that there is something to claim.

A bell puts `RUNG` into the drain's queue of events.  The Redis bell waits in Redis, so that an
idle worker asks the database nothing; without Redis, the polling bell rings by the clock.

Keys of a queue: ``listening``, the drains with room (a sorted set by the time until when each is
to be believed); ``bells``, one token per ring that a listening drain is to take; ``queued``, the RQ
job that was enqueued for one more drain, and when.  Times are those of Redis: machines' clocks may
be wrong.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from redis import Redis
from redis.exceptions import RedisError

logger = logging.getLogger("spane_django.dispatch")

RUNG = object()

# How long a listener is believed, and how long it waits in Redis before it says so again.
_BELIEVED_SECONDS = 3
_WAIT_SECONDS = 1
# How long a job may take from here into RQ's list, and from an idle worker's hands to its drain.
# One that is neither there nor so young has been lost: its worker was killed as it began, or the
# list was emptied.
_YOUNG_SECONDS = 2

# Rings a listening drain if there is one whose ring is not already waiting for it.
# Returns 1 if there is none and the caller must enqueue a drain job, by the id given.
RING = f"""
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) > redis.call('LLEN', KEYS[2]) then
  redis.call('LPUSH', KEYS[2], '1')
  redis.call('EXPIRE', KEYS[2], 60)
  return 0
end
local queued = redis.call('HMGET', KEYS[3], 'job', 'at')
if queued[1] then
  if now < queued[2] + {_YOUNG_SECONDS} then return 0 end
  if redis.call('LPOS', KEYS[4], queued[1]) then return 0 end
end
redis.call('HSET', KEYS[3], 'job', ARGV[1], 'at', now)
redis.call('EXPIRE', KEYS[3], 3600)
return 1
"""

# Says that the job of a drain has begun, so that the next ring may enqueue another one.
BEGIN = """
if redis.call('HGET', KEYS[1], 'job') == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""

# Says that a drain listens.  Returns 1 if a ring has found nobody who did: its job may have to
# wait until this very drain ends, so that this one must look itself.
LISTEN = f"""
redis.call('ZADD', KEYS[1], redis.call('TIME')[1] + {_BELIEVED_SECONDS}, ARGV[1])
return redis.call('EXISTS', KEYS[2])
"""


def keys(queue: str) -> tuple[str, str, str]:
    """Return the keys of a queue: listening, bells, queued."""
    return (f"spane:{queue}:listening", f"spane:{queue}:bells", f"spane:{queue}:queued")


class Bell(Protocol):
    """Rings while a drain listens."""

    def listen(self, wanted: bool) -> None:
        """Say whether the drain has room for more: at the end of each of its turns."""

    def close(self) -> None:
        """Ring no more."""


class RedisBell:
    """Waits in Redis on a thread of its own.

    A drain that hangs in a turn, because the database does not answer it, hears no ring, and others
    may be idle meanwhile.  So a ring after which it has not come round within a second or two is
    passed on, and it listens no more until it has.

    Args:
        name: The drain's name.
        ring: Called with no arguments for each ring, from the bell's thread.
        should_stop: Asked about once a second whether the worker is to stop; then the bell
            rings once, so that the drain looks.
        pass_on: Called for a ring that this drain does not hear, or hears too late.
    """

    def __init__(
        self,
        redis: Redis,
        queue: str,
        name: str,
        *,
        ring: Callable[[], None],
        should_stop: Callable[[], bool],
        pass_on: Callable[[], None],
    ) -> None:
        self._redis = redis
        self._listening, self._bells, self._queued = keys(queue)
        self._say = redis.register_script(LISTEN)
        self._name = name
        self._ring = ring
        self._should_stop = should_stop
        self._pass_on = pass_on
        self._wanted = threading.Event()
        self._has_come_round = threading.Event()
        self._has_come_round.set()
        self._rung_at = 0.0
        self._is_aside = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spane-bell", daemon=True)
        self._thread.start()

    def listen(self, wanted: bool) -> None:
        if not self._has_come_round.is_set():
            self._has_come_round.set()
        if wanted == self._wanted.is_set():
            return
        if wanted:
            # Said here and not by the thread: it may still wait in Redis since the last time.
            self._enter()
            self._wanted.set()
        else:
            self._wanted.clear()
            self._leave()

    def close(self) -> None:
        self._closed.set()
        self._wanted.set()
        self._has_come_round.set()
        self._leave()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._wait()
                if self._should_stop():
                    self._ring()
            except (RedisError, OSError) as error:
                logger.warning("Redis does not answer, going on without: %s", error)
                self._closed.wait(_WAIT_SECONDS)

    def _wait(self) -> None:
        if self._is_overdue():
            self._step_aside()
            self._has_come_round.wait(_WAIT_SECONDS)
            return
        if not self._wanted.wait(_WAIT_SECONDS) or self._closed.is_set():
            return
        if self._is_aside:
            self._is_aside = False
            self._enter()
        else:
            self._announce()
        if not self._redis.brpop([self._bells], timeout=_WAIT_SECONDS):
            return
        if self._closed.is_set():
            self._pass_on()
            return
        if self._has_come_round.is_set():
            self._has_come_round.clear()
            self._rung_at = time.monotonic()
        self._ring()

    def _is_overdue(self) -> bool:
        waits = not self._has_come_round.is_set()
        return waits and time.monotonic() > self._rung_at + _WAIT_SECONDS

    def _step_aside(self) -> None:
        if not self._is_aside:
            self._is_aside = True
            self._leave()
            self._pass_on()

    def _enter(self) -> None:
        try:
            if self._announce():
                self._ring()
        except (RedisError, OSError) as error:
            logger.debug("Redis does not answer: %s", error)

    def _announce(self) -> bool:
        return bool(self._say(keys=[self._listening, self._queued], args=[self._name]))

    def _leave(self) -> None:
        try:
            self._redis.zrem(self._listening, self._name)
        except (RedisError, OSError) as error:
            logger.debug("Redis does not answer: %s", error)


class PollingBell:
    """Rings by the clock: for a machine without Redis, where the rows alone are the queue."""

    def __init__(self, *, ring: Callable[[], None], seconds: float = 0.5) -> None:
        self._ring = ring
        self._seconds = seconds
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="spane-bell", daemon=True).start()

    def listen(self, wanted: bool) -> None:
        """Ring on; the clock does not care."""

    def close(self) -> None:
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(self._seconds):
            self._ring()
