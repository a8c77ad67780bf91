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

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.db import DatabaseError, InterfaceError, close_old_connections
from django.db.models import Case, Q, When

from spane_django.core.errors import SpaneError
from spane_django.core.json import Json
from spane_django.core.outcome import Returned
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
from spane_django.models import Execution, NodeRun
from tests.faults.injector import Died, Injector

Answer = TypeVar("Answer")
Rest = tuple[list[Any], list[Any]]

LEASE_SECONDS = 31  # longer than the default
_MOST_CALLS = 3
_MOST_SWEEPS = 8


class Stage:
    """One run of a story.

    Attributes:
        now: The instant of everything that happens.
        roots: The executions that people have started.
        rests: How everything stood whenever the workers had nothing left to do.
    """

    def __init__(self, injector: Injector, now: datetime, known: Sequence[Rest] = ()) -> None:
        """Begin.

        Args:
            known: The rests of a run without a fault: who comes to the same needs no sweep.
        """
        self.injector = injector
        self.now = now
        self.name = f"run{now:%Y%m%d}"
        self.roots: list[UUID] = []
        self.rests: list[Rest] = []
        self._known = known
        self._began = now
        self._is_unheard = False
        self.woken: set[str] = set()
        self._workers: dict[str, UUID] = {}
        self._has_filled = False

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
        work: Callable[[], Answer],
        *,
        is_done: Callable[[], bool] = lambda: False,
    ) -> Answer:
        """Call a verb until it answers.

        Args:
            is_done: Asked before a second call, of verbs that would do twice what is called twice.
        """
        for calls in range(_MOST_CALLS):
            try:
                with self._telling(verb):
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

    @contextmanager
    def _telling(self, verb: str) -> Iterator[None]:
        """Note whether the fault strikes in the block, whoever hears of it."""
        was_struck = self.injector.has_struck
        try:
            with self.injector.during(verb):
                yield
        finally:
            self._is_unheard |= self.injector.has_struck and not was_struck
            if not self.injector.is_dead:
                # What follows a commit may have failed unheard; a request ends like this, too.
                close_old_connections()

    def work(self) -> None:
        """Let workers work wherever somebody has woken them, until nothing is left to do."""
        if self._is_unheard:
            # Children follow what was said to their parent when the sweep comes, if not before.
            self._is_unheard = False
            self.woken |= sweep(now=self.now).queues
        self._drain_all()
        self.rests.append(self._rest())
        if self.injector.has_struck and self.rests != list(self._known[: len(self.rests)]):
            self.recover(len(self.rests) - 1)

    def wait(self, seconds: float) -> None:
        """Let time pass, with the timers of a worker that lives."""
        self.pass_time(seconds)
        self.ask("timers", lambda: fire_timers(now=self.now))
        self.woken.add("spane")
        self.work()

    def work_at(self, *node_ids: str) -> None:
        """Let these nodes run, one after the other, and nothing behind them."""
        for node_id in node_ids:
            finished = self.run_ready()
            for one in finished:
                if one.claim.node_id != node_id:
                    one.outcome = Returned()
            self.woken |= commit(finished, clock=self.clock).left

    def lose_workers(self) -> None:
        """Let the workers die: nobody hears of them again."""
        self._workers.clear()

    def sweep(self) -> None:
        """Let the scheduler sweep, and sweep again next time if it fails."""
        swept = self.ask("sweep", lambda: sweep(now=self.now))
        self.woken |= swept.queues
        self.work()

    def run_ready(self, *, queue: str = "spane", most: int = 100) -> list[Finished]:
        """Claim and run what is ready, and hold the answers back."""
        want = Want(worker_id=self._worker(queue), queue=queue, room=most)
        with self.injector.paused():
            return self._run(commit([], want, clock=self.clock).claims, {})

    def pass_time(self, seconds: float) -> None:
        """Let time pass, with the heartbeats of the workers that live."""
        self.now += timedelta(seconds=seconds)
        for worker_id in self._workers.values():
            beat(worker_id, now=self.now)

    def clock(self) -> datetime:
        return self.now

    def recover(self, place: int = -1) -> None:
        """Let the lease run out, and sweep until all stands as it should or nothing is found.

        Args:
            place: Which of the rests this is.
        """
        for _ in range(_MOST_SWEEPS):
            self.pass_time(LEASE_SECONDS)
            swept = sweep(now=self.now)
            self.woken |= swept.queues
            self._drain_all()
            self.rests[place] = self._rest()
            is_quiet = not (swept.queues or swept.recovered or swept.promoted)
            if is_quiet or (place >= 0 and self.rests[: place + 1] == self._known[: place + 1]):
                return
        raise AssertionError(f"the sweep finds something for ever: {swept}")

    def _rest(self) -> Rest:
        """Return how everything of this run stands, without what tells runs apart."""
        mine = {"execution__created_at__gte": self._began}
        is_due = Q(available_at__lte=self.now, status__in=["ready", "waiting"])
        runs = NodeRun.objects.filter(**mine).annotate(is_due=Case(When(is_due, then=1), default=0))
        nodes = sorted(runs.values_list("node_id", "status", "is_held", "failures", "is_due"))
        executions = Execution.objects.filter(created_at__gte=self._began)
        return nodes, sorted(executions.values_list("relation", "status", "active_nodes"))

    def _drain_all(self) -> None:
        while self.woken:
            self._drain(self.woken.pop())

    def _drain(self, queue: str) -> None:
        """Do what a drain does: settle and claim, run, settle and claim."""
        try:
            finished: list[Finished] | None = []
            while finished is not None:
                finished = self._turn(queue, finished)
            close_old_connections()
        except Died as error:
            self._workers.pop(queue, None)
            self._hear(error)
        except (DatabaseError, InterfaceError) as error:
            self._hear(error)
            dismiss(self._workers.pop(queue), now=self.now)
            self.woken.add(queue)

    def _turn(self, queue: str, finished: list[Finished]) -> list[Finished] | None:
        # Like a drain's: what goes on by itself is looked after without a look at the rest.
        fill = not (finished and self._has_filled)
        self._has_filled = fill
        want = Want(worker_id=self._worker(queue), queue=queue, room=100, fill=fill)
        with self.injector.during("settle" if finished else "claim"):
            settlement = commit(finished, want, clock=self.clock)
        self.woken |= settlement.left - {queue}
        if not settlement.claims:
            return None if fill and queue not in settlement.left else []
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
