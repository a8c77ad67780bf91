"""Pause, resume and cancel, at any moment of an execution's life."""

from __future__ import annotations

from uuid import uuid4

import pytest

from spane_django.core.outcome import Delay, Result
from spane_django.core.statuses import IllegalTransition
from spane_django.engine.control import UnknownExecution, cancel, each, pause, resume
from spane_django.engine.promote import promote
from spane_django.models import DeadLetter, NodeRun
from tests.engine.helpers import Machine, after, execution, node_run, outputs, status, statuses

pytestmark = pytest.mark.django_db

CHAIN = {"a": ["b"], "b": ["c"]}


def test_what_is_in_flight_when_it_is_paused_finishes_and_nothing_new_starts(machine: Machine):
    key = machine.begin(CHAIN)
    claims = machine.claim()
    pause(key, now=machine.now, reason="lunch")

    settled = machine.settle(machine.run(claims), want=machine.want())

    assert (settled.claims, settled.left, machine.claim()) == ([], set(), [])
    assert statuses(key) == {"a": "completed", "b": "ready"}
    assert (status(key), execution(key).reason) == ("paused", "lunch")


def test_resuming_runs_each_node_once(machine: Machine):
    key = machine.begin(CHAIN)
    machine.step()
    pause(key, now=machine.now)
    resume(key, now=machine.now)

    assert machine.drain() == ["b", "c"]
    assert (status(key), execution(key).reason) == ("completed", "")


def test_an_execution_whose_last_node_ends_while_it_is_paused_has_ended(machine: Machine):
    key = machine.begin({"a": []})
    claims = machine.claim()
    pause(key, now=machine.now)

    machine.settle(machine.run(claims))

    assert status(key) == "completed"


def test_a_failure_while_it_is_paused_is_retried_only_after_the_resume(machine: Machine, does):
    def flaky(ctx):
        return Result("ok") if ctx.attempt == 2 else Result(1 / 0)

    does["a"] = flaky
    key = machine.begin({"a": []})
    claims = machine.claim()
    pause(key, now=machine.now)
    machine.settle(machine.run(claims))

    machine.wait(5)
    assert machine.drain() == []
    resume(key, now=machine.now)
    assert machine.drain() == ["a"]
    assert status(key) == "completed"


def test_a_timer_that_comes_due_while_it_is_paused_fires_at_the_resume(machine: Machine, does):
    does["a"] = lambda ctx: "woken" if ctx.checkpoint else Delay(after(10), True)
    key = machine.begin({"a": []})
    machine.step()
    pause(key, now=machine.now)
    machine.wait(20)
    assert machine.drain() == []

    resume(key, now=machine.now)

    assert machine.drain() == ["a"]
    assert outputs(key) == {"a": "woken"}


def test_resuming_wakes_the_queues_that_have_work(
    machine: Machine, wakes, django_capture_on_commit_callbacks
):
    nodes = {"b": {"queue": "special"}, "c": {"queue": "later"}}
    key = machine.begin({"a": ["b", "c"]}, nodes=nodes)
    machine.step()
    pause(key, now=machine.now)
    NodeRun.objects.filter(node_id="c").update(available_at=after(60))
    wakes.clear()

    with django_capture_on_commit_callbacks(execute=True):
        resume(key, now=machine.now)

    assert wakes == ["special"]


def test_cancelling_ends_it_at_once_and_refuses_late_results(machine: Machine):
    key = machine.begin({"r": ["a", "b"], "a": ["c"]})
    machine.step()
    a, b = machine.claim()
    machine.settle(machine.run([b]))
    finished = machine.run([a])

    cancel(key, now=machine.now, reason="changed my mind")

    assert (status(key), execution(key).finished_at) == ("cancelled", machine.now)
    assert (execution(key).reason, execution(key).active_nodes) == ("changed my mind", 0)
    assert len(machine.settle(finished, want=machine.want()).lost) == 1
    assert statuses(key) == {"r": "completed", "a": "cancelled", "b": "completed"}
    assert node_run(key, "a").reason == "changed my mind"
    assert DeadLetter.objects.count() == 0


@pytest.mark.parametrize("moment", ["ready", "running", "waiting", "join", "paused", "pending"])
def test_it_can_be_cancelled_at_every_moment(machine: Machine, does, moment):
    does["a"] = lambda ctx: Delay(after(60))
    machine.publish({"a": ["j"], "b": ["j"]})
    key = machine.start(start_at=after(60) if moment == "pending" else None)
    if moment == "running":
        machine.claim()
    if moment in ("waiting", "join"):
        machine.step()
    if moment == "paused":
        pause(key, now=machine.now)

    cancel(key, now=machine.now)

    assert status(key) == "cancelled"
    assert not set(statuses(key).values()) & {"pending", "ready", "running", "waiting"}
    machine.wait(120)
    assert (promote(now=machine.now), machine.drain()) == (0, [])


@pytest.mark.parametrize("verb", [pause, resume, cancel])
def test_nothing_can_be_said_to_an_execution_that_has_ended(machine: Machine, verb):
    key = machine.begin({"a": []})
    machine.drain()
    before = execution(key)

    with pytest.raises(IllegalTransition, match="it is completed"):
        verb(key, now=after(9))

    after_all = execution(key)
    assert (after_all.status, after_all.finished_at) == ("completed", before.finished_at)
    assert statuses(key) == {"a": "completed"}


def test_what_runs_cannot_be_resumed_and_what_is_paused_cannot_be_paused(machine: Machine):
    key = machine.begin({"a": []})
    with pytest.raises(IllegalTransition):
        resume(key, now=machine.now)
    pause(key, now=machine.now)

    with pytest.raises(IllegalTransition):
        pause(key, now=machine.now)


@pytest.mark.parametrize("verb", [pause, resume, cancel])
def test_an_execution_that_does_not_exist_is_named(verb, db):
    ghost = uuid4()

    with pytest.raises(UnknownExecution, match=str(ghost)):
        verb(ghost, now=after(0))


def test_of_many_each_is_told_why_it_was_not_changed(machine: Machine):
    done = machine.begin({"a": []})
    machine.drain()
    running, ghost = machine.start(), uuid4()

    refused = each(cancel, [done, ghost, running], now=machine.now, reason="bulk")

    assert refused == {
        done: "cannot be cancelled: it is completed",
        ghost: f"there is no execution {ghost}",
    }
    assert (status(running), execution(running).reason) == ("cancelled", "bulk")
