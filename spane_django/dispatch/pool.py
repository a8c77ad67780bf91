"""Where node code runs: plain nodes on threads, ``async`` nodes on one event loop.

The drain's thread submits works and collects the attempts that have ended from `done`; nothing
here touches the engine's tables.  An attempt may be *abandoned* when it outruns its timeout:
its thread gets an exception raised in it and is replaced, and whatever it still answers is
dropped.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from django.db import connections

from ..engine.finished import Finished
from ..engine.run import Interrupted, Work, run, run_async

# Code that still runs so long after it was interrupted is taken to be stuck.
STUCK_SECONDS = 2.0


@dataclass(eq=False, slots=True)
class Task:
    """A work in the pool.

    Attributes:
        submitted: When it was handed in; of the monotonic clock, as all times here.
        started: When its node began to run; None before.
        ended: When its node answered; None before.
        thread: The thread that runs it; None for ``async`` nodes and before the start.
        is_abandoned: Whether nobody waits for its answer any more.
    """

    work: Work
    submitted: float = field(default_factory=time.monotonic)
    started: float | None = None
    ended: float | None = None
    thread: threading.Thread | None = None
    coroutine: asyncio.Task[None] | None = None
    is_abandoned: bool = False
    # Held to begin, to end and to abandon a task, so that an interruption meets the node that it
    # is meant for and never the next one of the same thread.
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def seconds(self) -> float:
        """How long the node ran; 0 while it has not answered."""
        return 0.0 if self.started is None or self.ended is None else self.ended - self.started

    @property
    def deadline(self) -> float | None:
        """When the attempt is given up; None while it has not started or if it has no timeout."""
        timeout = self.work.node.timeout
        if self.started is None or timeout is None:
            return None
        return self.started + timeout.total_seconds()

    def is_overdue(self, now: float) -> bool:
        """Say whether the attempt is to be given up: what has answered is only to be collected."""
        return self.ended is None and self.deadline is not None and self.deadline < now


Ended = tuple[Task, Finished]


class Pool:
    """Runs works at once: ``threads`` plain ones, and any number of ``async`` ones.

    Args:
        done: Where (task, finished) pairs arrive; other things may arrive there, too.
    """

    def __init__(self, threads: int, done: SimpleQueue[object]) -> None:
        self._done = done
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._interrupted: list[tuple[threading.Thread, float]] = []
        self._hired = 0
        self._to_begin: deque[Task] = deque()
        self._is_loop_called = False
        self.plain: dict[int, Task] = {}
        self.asynchronous: dict[int, Task] = {}
        self._timed: dict[int, Task] = {}
        for _ in range(threads):
            self._hire()

    def submit(self, work: Work) -> None:
        """Run a work as soon as a thread is free, or at once if its node is ``async``."""
        task = Task(work)
        if work.node.timeout is not None:
            self._timed[work.claim.id] = task
        if work.is_async:
            self.asynchronous[work.claim.id] = task
            self._to_begin.append(task)
            self._call_loop()
        else:
            self.plain[work.claim.id] = task
            self._tasks.put(task)

    def collect(self, ended: Ended) -> Finished | None:
        """Take note that a task has ended; None if nobody waits for its answer."""
        task, finished = ended
        if task.is_abandoned:
            return None
        self._forget(task)
        return finished

    def tasks(self) -> Iterator[Task]:
        """Iterate over everything that has been submitted and has not ended."""
        yield from list(self.plain.values())
        yield from list(self.asynchronous.values())

    def tasks_with_timeout(self) -> list[Task]:
        """Return the tasks whose node has a timeout: few, as a rule."""
        return list(self._timed.values())

    def abandon(self, task: Task) -> None:
        """Give an attempt up: interrupt its code and wait for it no longer."""
        with task.lock:
            task.is_abandoned = True
            is_running = task.started is not None and task.ended is None
            if is_running and task.thread is not None:
                self._interrupt(task.thread)
        task.work.cancelled.set()
        self._forget(task)
        if task.coroutine is not None:
            self._event_loop().call_soon_threadsafe(task.coroutine.cancel)

    def take_back(self) -> list[Work]:
        """Return the works that no thread has begun, which then never run here."""
        unstarted: list[Work] = []
        while True:
            try:
                task = self._tasks.get_nowait()
            except Empty:
                return unstarted
            if task is not None:
                self._forget(task)
                unstarted.append(task.work)

    def has_stuck_threads(self) -> bool:
        """Say whether interrupted code still runs, which only the end of the process can stop."""
        alive = [(thread, since) for thread, since in self._interrupted if thread.is_alive()]
        self._interrupted = alive
        return any(since < time.monotonic() - STUCK_SECONDS for _, since in alive)

    def close(self) -> None:
        """Let the threads and the event loop end once they are idle.  Waits for nothing."""
        for _ in range(self._hired):
            self._tasks.put(None)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _hire(self) -> None:
        self._hired += 1
        # Daemons, so that a stuck one cannot keep the process from ending.
        threading.Thread(target=self._work, name="spane-node", daemon=True).start()

    def _interrupt(self, thread: threading.Thread) -> None:
        self._interrupted.append((thread, time.monotonic()))
        if thread.ident is not None:
            _raise_in(thread.ident, Interrupted)
        self._hire()

    def _work(self) -> None:
        try:
            # The interruption may also arrive when the node has just returned.
            with suppress(Interrupted):
                self._run_tasks()
        finally:
            # What nodes opened on this thread, nobody else could close.
            connections.close_all()

    def _run_tasks(self) -> None:
        while (task := self._tasks.get()) is not None:
            with task.lock:
                if task.is_abandoned:
                    continue
                task.thread, task.started = threading.current_thread(), time.monotonic()
            finished = run(task.work)
            with task.lock:
                task.ended = time.monotonic()
                if task.is_abandoned:
                    return
            self._done.put((task, finished))

    def _event_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(
                target=_run_loop, args=(self._loop,), name="spane-async-nodes", daemon=True
            ).start()
        return self._loop

    def _call_loop(self) -> None:
        """Wake the event loop, once for all tasks that are submitted before it looks."""
        if not self._is_loop_called:
            self._is_loop_called = True
            self._event_loop().call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        # First of all: what is submitted from now on calls again.
        self._is_loop_called = False
        while self._to_begin:
            task = self._to_begin.popleft()
            if not task.is_abandoned:
                task.started = time.monotonic()
                task.coroutine = self._event_loop().create_task(self._run_async(task))

    async def _run_async(self, task: Task) -> None:
        finished = await run_async(task.work)
        task.ended = time.monotonic()
        self._done.put((task, finished))

    def _forget(self, task: Task) -> None:
        self.plain.pop(task.work.claim.id, None)
        self.asynchronous.pop(task.work.claim.id, None)
        self._timed.pop(task.work.claim.id, None)


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


def _raise_in(thread_id: int, exception: type[BaseException]) -> None:
    """Raise an exception in another thread, at its next Python instruction."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread_id), ctypes.py_object(exception)
    )
