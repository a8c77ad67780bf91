"""The pool: an interruption meets the attempt that it is meant for, and no attempt stays open."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from spane_django.core.outcome import Failure, Result
from spane_django.dispatch.pool import Ended, Pool, Task
from spane_django.engine.run import Work
from spane_django.nodes.base import Context, node
from tests.engine.helpers import Machine

LONGEST = 10.0


@node("exits-asynchronously")
async def exits(ctx: Context) -> None:
    sys.exit(3)


@node("cancels-itself")
async def cancels(ctx: Context) -> None:
    raise asyncio.CancelledError


@node("answers-asynchronously")
async def answers(ctx: Context) -> str:
    await asyncio.sleep(0)
    return "well"


@pytest.fixture
def done() -> SimpleQueue[Any]:
    return SimpleQueue()


@pytest.fixture
def pool(done: SimpleQueue[Any]) -> Iterator[Pool]:
    made = Pool(1, done)
    yield made
    made.close()


def works(machine: Machine, *types: str) -> list[Work]:
    """Return claimed works of independent nodes ``n0``, ``n1``, … in their order."""
    ids = [f"n{number}" for number in range(len(types))]
    nodes = {key: {"type": name} for key, name in zip(ids, types, strict=True)}
    machine.begin({key: [] for key in ids}, nodes=nodes)
    return sorted(machine.works(machine.claim()), key=lambda work: work.claim.node_id)


def ended(done: SimpleQueue[Any]) -> Ended:
    return done.get(timeout=LONGEST)


def test_what_has_answered_in_time_is_not_given_up_however_late_anybody_looks(
    machine: Machine, pool: Pool, done: SimpleQueue[Any]
):
    machine.begin({"n": []}, nodes={"n": {"timeout": 60_000}})
    (work,) = machine.works(machine.claim())
    pool.submit(work)
    (task,) = pool.tasks_with_timeout()

    finished = ended(done)

    # As when the database was away while it ran, and more has ended than is taken at once.
    late = (task.deadline or 0.0) + 1.0
    assert not task.is_overdue(late)
    assert pool.collect(finished) is not None


def test_what_has_not_answered_is_given_up_at_its_deadline(machine: Machine):
    machine.begin({"n": []}, nodes={"n": {"timeout": 60_000}})
    (work,) = machine.works(machine.claim())

    assert not Task(work).is_overdue(1e9)
    running = Task(work, started=100.0)
    assert (running.is_overdue(159.0), running.is_overdue(161.0)) == (False, True)


def test_giving_up_an_attempt_that_has_just_ended_does_not_touch_the_next_one(
    machine: Machine, does, pool: Pool, done: SimpleQueue[Any]
):
    begun, go_on = threading.Event(), threading.Event()

    def wait(ctx: Context) -> str:
        begun.set()
        while not go_on.wait(0.01):
            pass
        return "undisturbed"

    does["n1"] = wait
    first, second = works(machine, "call", "call")
    pool.submit(first)
    task, _ = ended(done)
    pool.submit(second)
    assert begun.wait(LONGEST)

    pool.abandon(task)
    go_on.set()

    _, finished = ended(done)
    assert (finished.claim.node_id, finished.outcome) == ("n1", Result("undisturbed"))
    assert pool.collect((task, finished)) is None


def test_a_work_that_is_given_up_before_it_begins_never_runs(
    machine: Machine, does, pool: Pool, done: SimpleQueue[Any]
):
    go_on, ran = threading.Event(), []
    does["n0"] = lambda ctx: go_on.wait(LONGEST)
    does["n1"] = lambda ctx: ran.append(ctx.node_id)
    for work in works(machine, "call", "call", "call"):
        pool.submit(work)
    waiting = next(task for task in pool.tasks() if task.work.claim.node_id == "n1")

    pool.abandon(waiting)
    go_on.set()

    assert {ended(done)[1].claim.node_id for _ in range(2)} == {"n0", "n2"}
    assert ran == []


@pytest.mark.parametrize("hostile", ["exits-asynchronously", "cancels-itself"])
def test_an_async_node_can_neither_end_the_loop_nor_leave_its_attempt_open(
    machine: Machine, pool: Pool, done: SimpleQueue[Any], hostile: str
):
    bad, good = works(machine, hostile, "answers-asynchronously")

    pool.submit(bad)
    _, failed = ended(done)
    pool.submit(good)
    _, finished = ended(done)

    assert isinstance(failed.outcome, Failure)
    assert finished.outcome == Result("well")
