"""The drain: a worker's loop of settle and claim, run, settle and claim, until nothing is ready.

The drain's thread alone talks to the engine's tables.  It waits for one thing only, its queue
of events: attempts that have ended, and rings of the bell.  It ends when it has lingered
without work, when its slice of time is over or when it is told to stop, and then hands back
what it has not begun.  Dying at any point loses nothing: its heartbeat stops, and the sweep
gives its nodes to others.

Times are of the monotonic clock, but for what goes into rows.
"""

from __future__ import annotations

import gc
import os
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from queue import Empty, SimpleQueue
from typing import cast
from uuid import uuid4

from ..conf import settings
from ..core.outcome import Returned
from ..engine.claim import Want
from ..engine.db import dedicate
from ..engine.finished import Finished
from ..engine.inputs import receive
from ..engine.lanes import next_opening
from ..engine.run import Work, timed_out, utc_now
from ..engine.settle import Settlement
from ..engine.sweep import fire_timers, next_due, recover
from ..engine.versions import prepared
from ..engine.workers import beat, dismiss, enlist, held_by
from ..signals import drain_ended
from .bell import RUNG, Bell
from .commit import commit
from .pool import Ended, Pool, Task
from .timekeeping import keep_time
from .window import Window

# While nodes are in flight: how often to look for other work, timers and tasks that wait.
_TICK_SECONDS = 1.0
# A worker that goes from node to node looks for other ready ones this often.
_FILL_SECONDS = 0.05

MakeBell = Callable[[Callable[[], None]], Bell]
Wake = Callable[[Iterable[str]], None]


@dataclass(slots=True, kw_only=True)
class Report:
    """What a drain did.

    Attributes:
        nodes: Attempts that it ran and settled.
        lost: Answers that were refused because their claim no longer held.
        has_stuck_threads: Whether code that outran its timeout still runs in this process.
    """

    nodes: int = 0
    lost: int = 0
    has_stuck_threads: bool = False


@dataclass(slots=True)
class _Times:
    """When what is next due."""

    slice_over: float
    tick: float
    filled: float = 0.0
    yielded: float = 0.0
    opens: float | None = None
    beaten: float = 0.0
    idle_since: float | None = None
    timer: float | None = None
    stop_by: float | None = None


class Drain:
    """One worker at work on one queue.

    Args:
        make_bell: Makes the bell, given the function that it rings.
        wake: Wakes the workers of queues.
        should_stop: Whether the worker is to stop; asked all the time, so it must be cheap.
        on_turn: Called on every turn of the loop, at least every ``HEARTBEAT_SECONDS``.
        linger: Seconds to wait for work before ending; None: the setting.
    """

    def __init__(
        self,
        queue: str,
        *,
        make_bell: MakeBell,
        wake: Wake,
        should_stop: Callable[[], bool] = lambda: False,
        on_turn: Callable[[], None] = lambda: None,
        linger: float | None = None,
    ) -> None:
        self._queue = queue
        self._wake = wake
        self._should_stop = should_stop
        self._on_turn = on_turn
        self._linger = settings.LINGER_SECONDS if linger is None else linger
        self._events: SimpleQueue[object] = SimpleQueue()
        self._bell = make_bell(lambda: self._events.put(RUNG))
        self._pool = Pool(settings.CONCURRENCY, self._events)
        self._window = Window(settings.CONCURRENCY, settings.BATCH)
        self._is_hungry = True
        self._is_dead = False
        now = time.monotonic()
        self._times = _Times(slice_over=now + settings.SLICE_SECONDS, tick=now + _TICK_SECONDS)
        self._worker_id = uuid4()
        self.report = Report()

    def run(self) -> Report:
        """Work until there is nothing to do, the slice is over or the worker is to stop."""
        dedicate()
        _freeze()
        self._begin()
        try:
            while self._goes_on():
                self._turn()
        finally:
            self._close()
        return self.report

    def _begin(self) -> None:
        name = f"{socket.gethostname()}:{os.getpid()}"
        try:
            keep_time()
            self._worker_id = enlist(name, self._queue, pid=os.getpid(), now=utc_now())
            self._times.beaten = time.monotonic()
            recover(now=utc_now())
            fire_timers(now=utc_now())
        except BaseException:
            # Nobody will run what the threads wait for, and this process may try again.
            self._bell.close()
            self._pool.close()
            raise

    def _goes_on(self) -> bool:
        times, now = self._times, time.monotonic()
        if self._is_dead:
            return False
        if self._in_flight():
            return times.stop_by is None or now < times.stop_by
        if self._is_leaving() or self.report.has_stuck_threads:
            return False
        return times.idle_since is None or now < times.idle_since + self._linger

    def _turn(self) -> None:
        finished = self._wait() + self._overdue()
        if self._times.opens is not None and time.monotonic() >= self._times.opens:
            self._is_hungry, self._times.opens = True, None
        self._on_turn()
        self._keep_alive()
        if self._is_dead:
            return
        if self._in_flight() and time.monotonic() >= self._times.tick:
            finished += self._tick()
        if self._is_leaving():
            finished += self._hand_back()
        if finished or (self._is_hungry and self._room() > 0):
            self._settle(finished)
        self._rest()

    def _wait(self) -> list[Finished]:
        """Wait for events, then take all there are."""
        events: list[object] = []
        patience = self._patience()
        try:
            if patience > 0:
                events.append(self._events.get(timeout=patience))
            while len(events) < settings.BATCH:
                events.append(self._events.get_nowait())
        except Empty:
            pass
        return [item for item in map(self._take, events) if item is not None]

    def _take(self, event: object) -> Finished | None:
        if event is RUNG:
            self._is_hungry = True
            return None
        task, finished = cast(Ended, event)
        if not task.work.is_async:
            self._window.observe(task.seconds)
        return self._pool.collect((task, finished))

    def _patience(self) -> float:
        now, times = time.monotonic(), self._times
        if self._is_hungry and self._room() > 0:
            return 0.0
        until = [now + settings.HEARTBEAT_SECONDS]
        if self._in_flight():
            until.append(times.tick)
            until += [times.opens] if times.opens is not None and self._room() > 0 else []
            until += [task.deadline for task in self._pool.tasks_with_timeout() if task.deadline]
        elif times.idle_since is not None:
            until.append(times.idle_since + self._linger)
            until += [times.timer] if times.timer is not None else []
        return max(0.0, min(until) - now)

    def _room(self) -> int:
        if self._is_leaving() or self.report.has_stuck_threads:
            return 0
        spare = settings.ASYNC_CONCURRENCY - len(self._pool.asynchronous)
        return max(0, min(self._window.room(len(self._pool.plain)), spare))

    def _in_flight(self) -> bool:
        return bool(self._pool.plain or self._pool.asynchronous)

    def _is_leaving(self) -> bool:
        """Say whether to claim no more: told to stop, or the slice is over."""
        now, times = time.monotonic(), self._times
        if self._should_stop():
            times.stop_by = times.stop_by or now + settings.SHUTDOWN_SECONDS
            return True
        if now > times.slice_over + settings.SLICE_SECONDS:
            # A long node keeps this process anyway, so it may as well go on working.
            times.slice_over = now + settings.SLICE_SECONDS
        return now > times.slice_over

    def _overdue(self) -> list[Finished]:
        """Give up the attempts that have outrun their timeout."""
        now = time.monotonic()
        late = [task for task in self._pool.tasks_with_timeout() if task.is_overdue(now)]
        for task in late:
            self._pool.abandon(task)
        return [_timed_out(task, now) for task in late]

    def _tick(self) -> list[Finished]:
        """Once a second while nodes are in flight: timers, other work, tasks that wait long."""
        now = time.monotonic()
        self._times.tick = now + _TICK_SECONDS
        self._is_hungry = True
        self.report.has_stuck_threads = self._pool.has_stuck_threads()
        fire_timers(now=utc_now())
        waiting = [task for task in self._pool.plain.values() if task.started is None]
        if any(task.submitted < now - _TICK_SECONDS for task in waiting):
            self._window.shrink()
            return self._hand_back()
        return []

    def _hand_back(self) -> list[Finished]:
        now = utc_now()
        return [
            Finished(claim=work.claim, outcome=Returned(), started_at=None, finished_at=now)
            for work in self._pool.take_back()
        ]

    def _keep_alive(self) -> None:
        """Renew the lease; notice what was taken away, and having been taken for dead."""
        now = time.monotonic()
        is_due = now >= self._times.beaten + settings.HEARTBEAT_SECONDS
        if not is_due or not (self._in_flight() or self._is_hungry):
            return
        self._times.beaten = now
        keep_time()
        if not beat(self._worker_id, now=utc_now()):
            self._is_dead = True
        held = set() if self._is_dead else held_by(self._worker_id)
        for task in self._pool.tasks():
            if task.work.claim.id not in held:
                task.work.cancelled.set()

    def _settle(self, finished: Sequence[Finished]) -> None:
        now, room = time.monotonic(), self._room()
        fill = self._is_hungry or now >= self._times.filled + _FILL_SECONDS
        yields = fill and now >= self._times.yielded + _FILL_SECONDS
        want = Want(
            worker_id=self._worker_id, queue=self._queue, room=room, fill=fill, yields=yields
        )
        settlement = commit(finished, want)
        self.report.nodes += len(finished) - len(settlement.lost)
        self.report.lost += len(settlement.lost)
        if fill and room > 0:
            self._times.filled = now
            self._times.yielded = now if yields else self._times.yielded
            self._is_hungry = len(settlement.claims) >= room
        self._times.opens = _monotonic(next_opening(self._worker_id, now=utc_now()))
        self._submit(settlement)
        self._call_others(settlement, room)

    def _submit(self, settlement: Settlement) -> None:
        claims = settlement.claims
        for claim, received in zip(claims, receive(claims, settlement.known), strict=True):
            node = prepared(claim.version_id).nodes[claim.node_id]
            work = Work(claim=claim, received=received, node=node)
            self._window.claimed(is_plain=not work.is_async)
            self._pool.submit(work)

    def _call_others(self, settlement: Settlement, room: int) -> None:
        """Wake workers for what became ready and was not claimed here."""
        self._is_hungry |= self._queue in settlement.left
        queues = set(settlement.left)
        if settlement.filled and len(settlement.claims) >= room:
            queues.add(self._queue)
        if queues:
            self._wake(queues)

    def _rest(self) -> None:
        """Tell the bell whether there is room, and note since when there has been nothing to do."""
        times = self._times
        self._bell.listen(self._room() > 0)
        if self._in_flight() or (self._is_hungry and self._room() > 0):
            times.idle_since = times.timer = None
        elif times.idle_since is None:
            times.idle_since = time.monotonic()
            self.report.has_stuck_threads = self._pool.has_stuck_threads()
            times.timer = _monotonic(next_due(self._queue, now=utc_now()))
        elif times.timer is not None and time.monotonic() >= times.timer:
            fire_timers(now=utc_now())
            times.idle_since = times.timer = None
            self._is_hungry = True

    def _close(self) -> None:
        self._bell.close()
        unfinished = [task.work for task in self._pool.tasks()]
        for task in list(self._pool.tasks()):
            self._pool.abandon(task)
        self.report.has_stuck_threads = self._pool.has_stuck_threads()
        self._pool.close()
        if not self._is_dead:
            now = utc_now()
            commit(
                [
                    Finished(claim=work.claim, outcome=Returned(), started_at=None, finished_at=now)
                    for work in unfinished
                ]
            )
            dismiss(self._worker_id, now=now)
        drain_ended.send_robust(sender=None)
        self._wait_no_more()
        if unfinished or self._is_hungry or self._times.idle_since is None:
            self._wake([self._queue])

    def _wait_no_more(self) -> None:
        """Look for a ring that came too late for this drain: somebody else must hear it."""
        while not self._events.empty():
            self._is_hungry |= self._events.get() is RUNG


@cache
def _freeze() -> None:
    """Take what was loaded until now out of the garbage collector's sight, once per process.

    Django and the project's own code stay for as long as the process lives.  Looking through them
    again and again, as nodes come and go, took a sixth of a busy drain's time.
    """
    gc.freeze()


def _timed_out(task: Task, now: float) -> Finished:
    at = utc_now()
    started_at = at - timedelta(seconds=now - (task.started or now))
    return timed_out(task.work, started_at=started_at, now=at)


def _monotonic(instant: datetime | None) -> float | None:
    if instant is None:
        return None
    return time.monotonic() + (instant - utc_now()).total_seconds()
