"""The engine, inline: a worker, a scheduler and a clock that do what the test tells them.

::

    with InlineEngine() as spane:
        spane.stub("charge", {"receipt": 1})
        spane.fail("ship", ConnectionError("down"), times=2)
        execution = fulfilment.start({"order": 7})
        spane.run_until_done()
        spane.assert_completed(execution)

What the code under test starts is worked on when the test says ``run``.  That happens on the
test's thread and connection, so it works inside the transaction of a ``TestCase``, and outside of
it in a ``TransactionTestCase``.  There is one at a time in a process.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.test import override_settings

from ..clock import telling
from ..engine.db import connection
from ..engine.secrets import store_secret
from .assertions import Assertions
from .doubles import Doubles
from .network import NetworkGuard
from .script import Script
from .travel import Clock, next_timer
from .worker import NeverQuiet, Worker

MOST = 1_000


def wake_nobody(queues: Iterable[str]) -> None:
    """Stand in for what wakes workers: there is but one, and the test tells it when to work."""


class InlineEngine(Script, Assertions):
    """The engine in a test; see the module."""

    def __init__(self) -> None:
        self._clock = Clock()
        self._guard = NetworkGuard()
        doubles = Doubles()
        self._worker = Worker(doubles, self._guard)
        self._thread = 0
        self._is_working = False
        self._stack = ExitStack()
        Script.__init__(self, doubles)
        Assertions.__init__(self, self._clock.now, self._worker.ran)

    def __enter__(self) -> Self:
        if _active:
            raise RuntimeError(
                "an InlineEngine is at work already, perhaps that of a fixture or of a "
                "WorkflowTestCase: use that one"
            )
        self._thread = threading.get_ident()
        quiet = {**getattr(settings, "SPANE", {}), "DISPATCHER": f"{__name__}.wake_nobody"}
        self._stack.enter_context(override_settings(SPANE=quiet))
        self._stack.enter_context(telling(self._clock.now))
        self._stack.callback(_active.clear)
        _active.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def now(self) -> datetime:
        """The instant that it is in the test."""
        return self._clock.now()

    def run(self, *, most: int = MOST) -> list[str]:
        """Work until nothing is ready now; return the ids of the nodes in the order of work.

        Retries, delays and deadlines that lie ahead stay ahead: see :meth:`travel`.

        Args:
            most: So many nodes may run; a workflow that has no end fails the test.

        Raises:
            NeverQuiet: there was more to do.
            NetworkBlocked: a node tried to reach something outside.
            RuntimeError: called where no worker could work, such as in a transaction.
        """
        self._require_a_place_to_work()
        self._is_working = True
        try:
            with self._clock.stopped() as now:
                return self._worker.work(now, most=most)
        finally:
            self._is_working = False

    def run_until_done(self, *, most: int = MOST) -> list[str]:
        """Work and travel from timer to timer until time alone brings nothing more about.

        What waits for a signal or a person without a deadline goes on waiting.  The argument
        and the errors are those of :meth:`run`.
        """
        return self._run_to(None, most)

    def run_for(
        self,
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        most: int = MOST,
    ) -> list[str]:
        """Work while so much time goes by, so that each timer on the way fires at its instant.

        The errors are those of :meth:`run`.
        """
        length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        return self._run_to(self.now + length, most)

    def travel(
        self,
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        to: datetime | None = None,
    ) -> None:
        """Let time pass while nobody works; then say ``run``.

        Args:
            to: An aware instant to go on from, before the lengths are added.  It may lie behind
                as long as no execution has started.

        Raises:
            ValueError: it lies behind, or has no time zone.
        """
        length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        self._clock.travel((self.now if to is None else to) + length)

    def give_secrets(self, secrets: Mapping[str, str], *, tenant: str = "") -> None:
        """Store secrets for nodes to open; a name that is there gets the new value.

        Args:
            secrets: Values by name.
            tenant: Whose they are; "": everybody's.

        Raises:
            InvalidInput: a name or a value is refused.
        """
        for name, value in secrets.items():
            store_secret(name, value, tenant=tenant, now=self.now)

    def allow_network(self, *hosts: str) -> None:
        """Let nodes reach these hosts; without any: everything."""
        self._guard.allow(*hosts)

    def _run_to(self, end: datetime | None, most: int) -> list[str]:
        ran = self.run(most=most)
        for _ in range(most):
            timer = next_timer(self.now)
            if timer is None or (end is not None and timer > end):
                break
            self._clock.set(max(timer, self.now))
            ran += self.run(most=most - len(ran))
        else:
            raise NeverQuiet(f"after {most} timers there was one more: {timer:%F %T} UTC")
        if end is not None:
            self._clock.set(max(end, self.now))
            ran += self.run(most=most - len(ran))
        return ran

    def _require_a_place_to_work(self) -> None:
        if self not in _active:
            raise RuntimeError("this InlineEngine is not in use: with InlineEngine() as spane: …")
        if self._is_working:
            raise RuntimeError("a node cannot let the engine work: it runs in its hands")
        if threading.get_ident() != self._thread:
            raise RuntimeError("the InlineEngine works on the thread of its test alone")
        blocks = connection().atomic_blocks
        if blocks and not getattr(blocks[-1], "_from_testcase", False):
            raise RuntimeError(
                "the engine works on what has been committed: call run() after the transaction, "
                "not inside of atomic()"
            )


_active: list[InlineEngine] = []
