"""The worker of a test: it claims, runs and settles on the thread and the connection of the test.

It is a worker and a scheduler in one, and works until nothing is ready at its instant, on all
queues, one node at a time.  What a commit brings along in production (wakes, follow-ups) is
done between nodes: in a ``TestCase`` nothing ever commits, so it also calls what this package
has asked to be called after the commit.

Its limits: a timeout is noticed when the node has ended, and nodes never run side by side.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync

from ..core.ids import uuid7
from ..dispatch.commit import commit
from ..engine.claim import Claim, Want, claim
from ..engine.db import connection
from ..engine.finished import Finished
from ..engine.inputs import receive
from ..engine.run import Work, run, run_async, timed_out
from ..engine.settle import Settlement
from ..engine.sweep import due_queues, sweep
from ..engine.versions import prepared
from ..engine.workers import dismiss, enlist
from .doubles import Doubles, Kind, Trouble
from .network import NetworkBlocked, NetworkGuard
from .reader import shared_reader

_NAME = "inline"


class NeverQuiet(AssertionError):
    """The engine had worked as much as it was allowed to, and there was more to do."""


class Worker:
    """A worker of a test.

    Attributes:
        ran: The nodes that it has run, in the order of work.
    """

    def __init__(self, doubles: Doubles, guard: NetworkGuard) -> None:
        self.ran: list[tuple[UUID, str]] = []
        self._doubles = doubles
        self._guard = guard
        self._called: dict[int, Any] = {}
        self._id = uuid7()
        self._left = 0

    def work(self, now: datetime, *, most: int) -> list[str]:
        """Work until nothing is ready ``now``; return the nodes in the order of work.

        Raises:
            NeverQuiet: more than ``most`` nodes would have run.
            NetworkBlocked: a node tried to reach something outside.
        """
        before = len(self.ran)
        self._left = most
        self._id = _enlisted(now)
        try:
            while self._round(now):
                pass
        finally:
            dismiss(self._id, now=now)
        return [node_id for _, node_id in self.ran[before:]]

    def _round(self, now: datetime) -> bool:
        """Do what nobody was woken for, then drain every queue; say whether that was anything."""
        before = len(self.ran)
        sweep(now=now)
        for queue in sorted(due_queues(now=now)):
            self._drain(queue, now)
        return self._call_back() or len(self.ran) > before

    def _call_back(self) -> bool:
        """Call what this package wanted to be called after commits that a test never makes.

        The callbacks are left where they are: whoever captures them counts them.
        """
        called = len(self._called)
        for entry in list(connection().run_on_commit):
            function = entry[1]
            is_ours = str(function.__module__).startswith(__name__.partition(".")[0])
            if is_ours and id(entry) not in self._called:
                self._called[id(entry)] = entry
                function()
        return len(self._called) > called

    def _drain(self, queue: str, now: datetime) -> None:
        want = Want(worker_id=self._id, queue=queue, room=1)
        settlement = Settlement(claims=claim(want, now=now))
        while settlement.claims:
            (one,) = settlement.claims
            finished = self._perform(one, settlement, now)
            if finished is None:
                return
            settlement = commit([finished], want, clock=lambda: now)

    def _perform(self, one: Claim, settlement: Settlement, now: datetime) -> Finished | None:
        """Run a node and return how its attempt ended; None: its worker died."""
        self._count()
        (received,) = receive([one], settlement.known)
        node = prepared(one.version_id).nodes[one.node_id]
        work = Work(claim=one, received=received, node=node)
        trouble = self._doubles.next_trouble(work)
        self.ran.append((one.execution_id, one.node_id))
        finished = self._run(work, trouble, now)
        if trouble is not None and trouble.kind is Kind.LOSES_ITS_WORKER:
            dismiss(self._id, now=now)
            self._id = _enlisted(now)
            return None
        return finished

    def _run(self, work: Work, trouble: Trouble | None, now: datetime) -> Finished:
        began = time.monotonic()
        with self._doubles.in_place(work, trouble), self._guard.up():
            finished = _run(work, now)
        if self._guard.attempts:
            commit([finished], clock=lambda: now)
            raise NetworkBlocked(_reached(work, self._guard.attempts))
        timeout = work.node.timeout
        is_late = timeout is not None and time.monotonic() - began > timeout.total_seconds()
        if trouble is not None and trouble.kind is Kind.TIMES_OUT:
            _require_timeout(work)
            is_late = True
        # A transactional node has committed what it did, late or not.
        if is_late and finished.settled is None:
            return timed_out(work, started_at=now, now=now)
        return finished

    def _count(self) -> None:
        if self._left == 0:
            often = Counter(node_id for _, node_id in self.ran).most_common(3)
            told = ", ".join(f"'{node_id}' {times} times" for node_id, times in often)
            raise NeverQuiet(
                f"there is always more to do; most often ran {told}. If that is what the "
                "workflow is to do, allow more: run(most=…)"
            )
        self._left -= 1


def _require_timeout(work: Work) -> None:
    if work.node.timeout is None:
        raise ValueError(
            f"node '{work.claim.node_id}' cannot time out: neither it nor its type "
            f"'{work.node.type}' has a timeout"
        )


def _run(work: Work, now: datetime) -> Finished:
    if not work.is_async:
        return run(work, clock=lambda: now, runs_ahead=False)
    with shared_reader():
        return async_to_sync(run_async)(work, clock=lambda: now)


def _enlisted(now: datetime) -> UUID:
    return enlist(_NAME, "all queues", pid=os.getpid(), now=now)


def _reached(work: Work, attempts: Sequence[str]) -> str:
    claim, node = work.claim, work.node
    return (
        f"node '{claim.node_id}' (type '{node.type}') of workflow "
        f"'{prepared(claim.version_id).workflow_key}' tried to reach {_listed(attempts)}. "
        f'Let a stub stand in for it, stub("{claim.node_id}", …), or allow the host: '
        "allow_network(…)"
    )


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))
