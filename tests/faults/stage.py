"""A system in one process: people, workers and the sweep, on a clock that the story moves.

Everybody does what the contract says of them when a fault has struck:

* people call again until they have been answered, and take a refusal of the second call for the
  answer to the first one;
* a worker whose connection breaks goes on as a drain does; one that dies is silent, and its lease
  runs out;
* workers work where they have been woken, and nowhere else.  Only after a fault the sweep comes,
  as often as it finds something.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.db import DatabaseError, InterfaceError, close_old_connections

from spane_django.core.errors import SpaneError
from spane_django.core.json import Json
from spane_django.dispatch.commit import commit
from spane_django.engine.claim import Claim, Want
from spane_django.engine.finished import Finished
from spane_django.engine.inputs import receive
from spane_django.engine.rows import Key, ParentRow
from spane_django.engine.run import Work, run
from spane_django.engine.start import StartOptions, start
from spane_django.engine.sweep import fire_timers, sweep
from spane_django.engine.versions import prepared
from spane_django.engine.workers import beat, dismiss, enlist
from tests.faults.injector import Died, Injector

Returned = TypeVar("Returned")

LEASE_SECONDS = 31  # longer than the default
_MOST_CALLS = 3
_MOST_SWEEPS = 8


class Stage:
    """One run of a story.

    Attributes:
        now: The instant of everything that happens.
        roots: The executions that people have started.
    """

    def __init__(self, injector: Injector, now: datetime) -> None:
        self.injector = injector
        self.now = now
        self.name = f"{now:%Y%m%d%H}"
        self.roots: list[UUID] = []
        self.woken: set[str] = set()
        self._workers: dict[str, UUID] = {}
        self._has_recovered = False

    def start(self, workflow: str, data: Json = None, **options: Any) -> UUID:
        """Start an execution as somebody who calls again must: with an idempotency key."""
        key = f"{self.name}-{len(self.roots)}"
        chosen = StartOptions(idempotency_key=key, **options)
        started = self.ask("start", lambda: start(workflow, data, now=self.now, options=chosen))
        self.roots.append(started.pk)
        return started.pk

    def ask(
        self,
        verb: str,
        work: Callable[[], Returned],
        *,
        is_done: Callable[[], bool] = lambda: False,
    ) -> Returned:
        """Call a verb until it answers.

        Args:
            is_done: Asked before a second call, of verbs that would do twice what is called twice.
        """
        for calls in range(_MOST_CALLS):
            try:
                with self.injector.during(verb):
                    return work()
            except SpaneError as error:
                if not calls:
                    raise
                return error  # type: ignore[return-value]
            except (DatabaseError, InterfaceError, Died) as error:
                self._hear(error)
                if is_done():
                    return None  # type: ignore[return-value]
        raise AssertionError(f"{verb} was never answered")

    def work(self) -> None:
        """Let workers work wherever somebody has woken them, until nothing is left to do."""
        self._drain_all()
        if self.injector.has_struck and not self._has_recovered:
            self._has_recovered = True
            self._recover()

    def wait(self, seconds: float) -> None:
        """Let time pass, with the timers of a worker that lives."""
        self._pass(seconds)
        self.ask("timers", lambda: fire_timers(now=self.now))
        self.woken.add("spane")
        self.work()

    def sweep(self) -> None:
        """Let the scheduler sweep, and sweep again next time if it fails."""
        swept = self.ask("sweep", lambda: sweep(now=self.now))
        self.woken |= swept.queues
        self.work()

    def run_ready(self, *, queue: str = "spane", most: int = 100) -> list[Finished]:
        """Claim and run what is ready, and hold the answers back."""
        want = Want(worker_id=self._worker(queue), queue=queue, room=most)
        return self._run(commit([], want, clock=self.clock).claims, {})

    def clock(self) -> datetime:
        return self.now

    def _pass(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        for worker_id in self._workers.values():
            beat(worker_id, now=self.now)

    def _recover(self) -> None:
        """Let the lease run out, and sweep until nothing is found."""
        for _ in range(_MOST_SWEEPS):
            self._pass(LEASE_SECONDS)
            swept = sweep(now=self.now)
            if not (swept.queues or swept.recovered or swept.promoted):
                return
            self.woken |= swept.queues
            self._drain_all()
        raise AssertionError(f"the sweep finds something for ever: {swept}")

    def _drain_all(self) -> None:
        while self.woken:
            self._drain(self.woken.pop())

    def _drain(self, queue: str) -> None:
        """Do what a drain does: settle and claim, run, settle and claim."""
        try:
            finished: list[Finished] | None = []
            while finished is not None:
                finished = self._turn(queue, finished)
        except Died as error:
            self._workers.pop(queue, None)
            self._hear(error)
        except (DatabaseError, InterfaceError) as error:
            self._hear(error)
            dismiss(self._workers.pop(queue), now=self.now)
            self.woken.add(queue)

    def _turn(self, queue: str, finished: list[Finished]) -> list[Finished] | None:
        want = Want(worker_id=self._worker(queue), queue=queue, room=100)
        with self.injector.during("settle" if finished else "claim"):
            settlement = commit(finished, want, clock=self.clock)
        self.woken |= settlement.left - {queue}
        if not settlement.claims:
            return None
        return self._run(settlement.claims, settlement.known)

    def _run(self, claims: list[Claim], known: dict[Key, ParentRow]) -> list[Finished]:
        with self.injector.during("receive"):
            received = receive(claims, known)
        finished = []
        for one, each in zip(claims, received, strict=True):
            node = prepared(one.version_id).nodes[one.node_id]
            with self.injector.during("run"):
                finished.append(run(Work(claim=one, received=each, node=node), clock=self.clock))
        return finished

    def _worker(self, queue: str) -> UUID:
        if queue not in self._workers:
            self._workers[queue] = enlist("faults", queue, pid=1, now=self.now)
        return self._workers[queue]

    def _hear(self, error: BaseException) -> None:
        """Go on after a fault, as the same process or as another one."""
        if isinstance(error, Died):
            self.injector.revive()
        close_old_connections()
