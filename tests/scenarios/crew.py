"""The workers of a case: real drains on threads, woken by a bell, and a timekeeper that sweeps and
fires schedules.

The bell hears the engine's wakes as a worker hears Redis.  The timekeeper is the scheduler: what
nobody woke, it finds.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable

from django.db import connections

from spane_django.dispatch.bell import Bell
from spane_django.dispatch.drain import Drain
from spane_django.engine.run import utc_now
from spane_django.engine.sweep import sweep
from spane_django.triggers.clockwork import Clockwork
from tests import wakes

SWEEP_SECONDS = 0.2
PATIENCE = 15.0  # seconds; workers that stop finish what they have begun


class Crew:
    """One worker per queue.

    Args:
        is_deaf: Asked for every wake whether it gets lost.
    """

    def __init__(self, queues: Iterable[str], is_deaf: Callable[[], bool]) -> None:
        self._queues = sorted(queues)
        self._is_deaf = is_deaf
        self._rings: dict[str, set[Callable[[], None]]] = defaultdict(set)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.errors: list[BaseException] = []
        wakes.listeners.append(self._hear)

    def on(self) -> None:
        """Begin to work."""
        if self._threads:
            return
        self._stop.clear()
        works = [self._keep_time, *(self._drains_of(queue) for queue in self._queues)]
        self._threads = [
            threading.Thread(target=self._closing, args=(work,), daemon=True) for work in works
        ]
        for thread in self._threads:
            thread.start()

    def off(self) -> None:
        """Finish what is in flight and stop."""
        self._stop.set()
        self._ring(self._queues)
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a worker does not stop"
        self._threads = []

    def leave(self) -> None:
        """Stop for good, and leave no thread with a connection of its own behind."""
        self.off()
        wakes.listeners.remove(self._hear)
        for thread in threading.enumerate():
            if thread.name == "spane-node":
                thread.join(PATIENCE)

    def _hear(self, queues: list[str]) -> None:
        if not self._is_deaf():
            self._ring(queues)

    def _ring(self, queues: Iterable[str]) -> None:
        for queue in queues:
            for ring in self._rings[queue].copy():
                ring()

    def _keep_time(self) -> None:
        clockwork = Clockwork()
        while not self._stop.wait(SWEEP_SECONDS):
            clockwork(utc_now())
            self._ring(sweep(now=utc_now()).queues)

    def _drains_of(self, queue: str) -> Callable[[], None]:
        def make_bell(ring: Callable[[], None]) -> Bell:
            return _Bell(self._rings[queue], ring)

        def work() -> None:
            # A drain that holds a stuck thread ends; a supervisor would replace its process.
            while not self._stop.is_set():
                Drain(
                    queue, make_bell=make_bell, wake=wakes.wake, should_stop=self._stop.is_set
                ).run()

        return work

    def _closing(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self.errors.append(error)
        finally:
            connections.close_all()


class _Bell:
    """Rings for a drain as long as it listens to its queue."""

    def __init__(self, rings: set[Callable[[], None]], ring: Callable[[], None]) -> None:
        self._rings, self._ring_drain = rings, ring
        rings.add(ring)

    def listen(self, wanted: bool) -> None:
        """Ring on; one ring too many costs a look."""

    def close(self) -> None:
        self._rings.discard(self._ring_drain)
