"""The scheduler: what time alone brings about, done by one process for all.

Several may run; a lease in the database elects the one that leads, and the others stand by.
The rules:

* every second, delayed starts and deadlines fire and queues with due node runs that nobody
  drains are woken; every ``SWEEP_SECONDS`` the nodes of dead workers are taken back as well;
* every duty is idempotent, so two leaders for a moment, or none, cost at most time;
* a duty that asks for an instant is done then, between two turns: schedules are punctual;
* a database or a Redis that is away is waited for: the scheduler ends only when it is told to;
* the database is asked little: a turn that finds nothing is a few reads of partial indexes, and
  a turn that was expensive is followed by a longer rest.

Drains fire timers, too, while they work; the scheduler is for the time when nobody works.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable
from uuid import uuid4

from django.db import Error, connections

from ..clock import machine_time
from ..conf import settings
from ..engine.db import dedicate
from ..engine.sweep import due_queues, fire_timers, sweep
from ..engine.workers import lead, step_down
from . import rq
from .timekeeping import keep_time

logger = logging.getLogger("spane_django.dispatch")

ROLE = "scheduler"
# With workers that are to be missed sooner, a leader is, too: it must have a successor by then.
LEASE = timedelta(seconds=15)
TURN_SECONDS = 1.0
# The lease is renewed so often in its length: one lost renewal is harmless.
_RENEWALS = 3
# A database that is away is asked again at least so often.
_LONGEST_PAUSE_SECONDS = 5.0
# A turn takes at most this share of the time, however much there is to look through, but for what
# a rest that is longer than the time between two sweeps would cost the nodes of dead workers.
_SHARE = 0.1
_LONGEST_REST_SECONDS = 10.0

Duty = Callable[[datetime], bool]
"""Something that the leader does on every turn; True if there is more to do at once."""


@runtime_checkable
class PunctualDuty(Protocol):
    """A duty that the leader does between turns as well, at the instants that it asks for."""

    def __call__(self, now: datetime) -> bool:
        """Do it; say whether there is more to do at once."""

    def wait(self, now: datetime) -> float:
        """Return in how many seconds it wants to be done again, at the latest by then."""


class Scheduler:
    """One process that leads or stands by.

    Args:
        duties: What else the leader does on every turn, after the timers.
        wake: Wakes the workers of queues.
        on_change: Told True when this process begins to lead, False when it no longer does.
        lease: How long a leader is believed that says nothing; None: `LEASE`, or half of the
            workers' if that is shorter.
    """

    def __init__(
        self,
        *,
        duties: Iterable[Duty] = (),
        wake: Callable[[Iterable[str]], None] = rq.wake,
        on_change: Callable[[bool], None] = lambda leads: None,
        lease: timedelta | None = None,
    ) -> None:
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self.leads = False
        self._duties: tuple[Duty, ...] = (self._fire, *duties)
        self._punctual = [duty for duty in self._duties if isinstance(duty, PunctualDuty)]
        self._wake = wake
        self._on_change = on_change
        self._lease = min(LEASE, settings.lease / 2) if lease is None else lease
        self._renew_at = self._sweep_at = 0.0
        self._failures = 0

    def run(self) -> None:
        """Take turns until an exception, such as `KeyboardInterrupt`, ends it; then step down.

        An interruption at any moment is harmless: whatever had not committed is done by the
        next leader.
        """
        connections.close_all()
        dedicate(by_index=False)
        try:
            while True:
                self._rest(self.turn())
        finally:
            self.close()

    def turn(self) -> float:
        """Do what is due and return how many seconds to rest."""
        began = time.monotonic()
        try:
            has_more = self._is_leading() and self._do(self._duties)
        except Error as error:
            return self._rest_after(error)
        self._failures = 0
        if has_more:
            return 0.0
        took = time.monotonic() - began
        longest = min(_LONGEST_REST_SECONDS, settings.SWEEP_SECONDS)
        return max(TURN_SECONDS, min(took / _SHARE, longest))

    def close(self) -> None:
        """Let another process lead at once.  With the database away, the lease just runs out."""
        connections.close_all()
        if self.leads:
            try:
                step_down(ROLE, self.holder, now=machine_time())
            except Error as error:
                logger.warning("could not step down, the lease runs out by itself: %s", error)
        self._follow()

    def _rest(self, seconds: float) -> None:
        """Rest until the next turn, but be there for the duties that ask for an instant."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            waits = [duty.wait(machine_time()) for duty in self._punctual if self.leads]
            time.sleep(min([left, *waits]))
            if not waits or min(waits) >= left:
                return
            try:
                self._do(self._punctual)
            except Error as error:
                time.sleep(self._rest_after(error))
                return

    def _is_leading(self) -> bool:
        now = time.monotonic()
        if self.leads and now < self._renew_at:
            return True
        keep_time()
        leads = lead(ROLE, self.holder, now=machine_time(), duration=self._lease)
        self._renew_at = now + self._lease.total_seconds() / _RENEWALS
        if leads != self.leads:
            self.leads = leads
            self._on_change(leads)
        return leads

    def _do(self, duties: Iterable[Duty]) -> bool:
        has_more = False
        for duty in duties:
            try:
                has_more |= duty(machine_time())
            except Error:
                raise
            except Exception:
                # One duty that fails, for whatever reason, must not stop the others.
                logger.exception("a duty of the scheduler failed")
        return has_more

    def _fire(self, now: datetime) -> bool:
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + settings.SWEEP_SECONDS
            swept = sweep(now=now)
            fired, queues = max(swept.promoted, swept.expired), swept.queues
        else:
            fired, queues = max(fire_timers(now=now)), due_queues(now=now)
        self._wake(sorted(queues))
        return fired >= settings.BATCH

    def _rest_after(self, error: Error) -> float:
        """Note an error of the database, and rest longer with each that follows another."""
        self._failures += 1
        logger.warning("the database does not answer, trying again: %s", error)
        connections.close_all()
        return min(TURN_SECONDS * 2.0 ** (self._failures - 1), _LONGEST_PAUSE_SECONDS)

    def _follow(self) -> None:
        if self.leads:
            self.leads = False
            self._on_change(False)
