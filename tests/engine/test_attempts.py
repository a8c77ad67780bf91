"""Attempts that fail: retries and their waits, dead letters, continuing, timeouts, lost workers."""

from __future__ import annotations

import pytest

from spane_django.core.outcome import Delay, Permanent, Result, RetryAfter
from spane_django.engine.run import timed_out
from spane_django.engine.sweep import sweep
from spane_django.models import Attempt, DeadLetter
from tests.engine.helpers import Machine, after, execution, node_run, outputs, status, statuses

pytestmark = pytest.mark.django_db

QUICK = {"retryPolicy": {"maxAttempts": 2, "backoff": {"type": "fixed", "delay": 100}}}
LEASE = 31  # seconds; longer than the default


def explode(ctx):
    raise ValueError("boom")


def flaky(ctx):
    if ctx.attempt == 1:
        raise ConnectionError("gone")
    return ctx.attempt


def test_a_failed_attempt_is_retried_after_its_wait(machine: Machine, does):
    does["a"] = flaky
    key = machine.begin({"a": ["b"]})

    machine.step()
    assert (statuses(key), node_run(key, "a").available_at) == ({"a": "ready"}, after(1))
    assert machine.drain() == []
    machine.wait(1)
    assert machine.drain() == ["a", "b"]

    assert (outputs(key)["a"], status(key)) == (2, "completed")
    assert (node_run(key, "a").attempt, node_run(key, "a").error_message) == (2, "")
    assert DeadLetter.objects.count() == 0


def test_every_attempt_that_failed_is_kept(machine: Machine, does):
    does["a"] = explode
    key = machine.begin({"a": []})
    for _ in range(3):
        machine.step()
        machine.wait(2)

    attempts = Attempt.objects.filter(node_run__execution_id=key)
    assert [(one.number, one.result, one.error_type) for one in attempts] == [
        (1, "failed", "ValueError"),
        (2, "failed", "ValueError"),
        (3, "failed", "ValueError"),
    ]
    assert [one.started_at for one in attempts] == [after(0), after(2), after(4)]
    assert 'raise ValueError("boom")' in attempts[0].traceback


def test_a_node_that_failed_for_good_leaves_a_dead_letter(machine: Machine, does):
    does["b"] = explode
    key = machine.begin({"a": ["b"]}, nodes={"b": {"config": QUICK}})
    machine.drain()
    machine.wait(0.1)
    machine.drain()

    letter = DeadLetter.objects.get()
    assert (letter.execution_id, letter.node_id, letter.node_type) == (key, "b", "call")
    assert (letter.attempts, letter.error_type, letter.error_message) == (2, "ValueError", "boom")
    assert (letter.input, letter.created_at, letter.resolved_at) == (
        {"from": "a"}, machine.now, None,
    )  # fmt: skip
    assert (status(key), node_run(key, "b").error_message) == ("failed", "boom")


def test_a_returned_failure_is_final_at_once(machine: Machine, does):
    does["a"] = lambda ctx: Result.failure("bad input", type="BadInput")
    key = machine.begin({"a": ["b"]})

    machine.drain()

    assert statuses(key) == {"a": "failed", "b": "cancelled"}
    letter = DeadLetter.objects.get()
    assert (letter.attempts, letter.error_type) == (1, "BadInput")


def test_a_permanent_error_is_not_retried(machine: Machine, does):
    def refuse(ctx):
        raise Permanent("never")

    does["a"] = refuse
    key = machine.begin({"a": []})

    machine.drain()

    assert (status(key), node_run(key, "a").attempt) == ("failed", 1)


def test_a_node_may_ask_for_its_own_wait(machine: Machine, does):
    def busy(ctx):
        raise RetryAfter(90)

    does["a"] = busy
    key = machine.begin({"a": []})

    machine.drain()

    assert node_run(key, "a").available_at == after(90)


def test_a_wait_beyond_all_dates_is_settled_too(machine: Machine, does):
    def busy(ctx):
        raise RetryAfter(8e13)

    does["a"] = busy
    key = machine.begin({"a": []})

    machine.drain()

    assert statuses(key) == {"a": "ready"}


@pytest.mark.parametrize("option", ["onFail", "continueOnFail", "retryPolicy"])
def test_a_node_that_continues_hands_its_error_on(machine: Machine, does, option):
    says = {
        "onFail": {"onFail": "continue", "retries": 0},
        "continueOnFail": {"continueOnFail": True, "retries": 0},
        "retryPolicy": {"retryPolicy": {"maxAttempts": 1, "continueOnFail": True}},
    }
    does["a"] = explode
    does["b"] = lambda ctx: ctx.input
    key = machine.begin({"a": ["b"]}, nodes={"a": {"config": says[option]}})

    machine.drain()

    assert outputs(key)["b"] == {
        "error": "boom",
        "_metadata": {"continuedOnFail": True, "originalError": "boom"},
    }
    assert (status(key), execution(key).failed_nodes) == ("completed", 0)
    assert (DeadLetter.objects.count(), Attempt.objects.count()) == (0, 1)


def test_a_timeout_is_a_failure_and_is_retried(machine: Machine):
    key = machine.begin({"a": []}, nodes={"a": {"config": {"timeout": 200}}})
    (work,) = machine.works(machine.claim())
    machine.now = after(0.2)

    machine.settle([timed_out(work, started_at=after(0), now=machine.now)])

    attempt = Attempt.objects.get()
    assert (attempt.error_type, attempt.error_message) == (
        "NodeTimeout", "Node execution timed out after 200ms",
    )  # fmt: skip
    assert (attempt.started_at, attempt.finished_at) == (after(0), after(0.2))
    assert (statuses(key), node_run(key, "a").available_at) == ({"a": "ready"}, after(1.2))


def test_a_delay_holds_no_worker_and_uses_up_no_attempt(machine: Machine, does):
    def wait_twice(ctx):
        page = (ctx.checkpoint or 0) + 1
        return {"pages": page} if page == 3 else Delay(ctx.now.replace(second=page * 10), page)

    does["a"] = wait_twice
    key = machine.begin({"a": ["b"]})

    assert machine.drain() == ["a"]
    assert (statuses(key), execution(key).active_nodes) == ({"a": "waiting"}, 1)
    machine.wait(10)
    assert machine.drain() == ["a"]
    machine.wait(10)
    assert machine.drain() == ["a", "b"]
    assert (outputs(key)["a"], node_run(key, "a").attempt) == ({"pages": 3}, 1)


def test_a_retry_goes_on_from_the_checkpoint_of_the_last_delay(machine: Machine, does):
    seen = []

    def work(ctx):
        seen.append(ctx.checkpoint)
        if ctx.checkpoint is None:
            return Delay(ctx.now, {"at": "half"})
        if len(seen) == 2:
            raise ValueError("boom")
        return "done"

    does["a"] = work
    key = machine.begin({"a": []})
    machine.drain()
    machine.wait(1)
    machine.drain()

    assert seen == [None, {"at": "half"}, {"at": "half"}]
    assert (status(key), node_run(key, "a").checkpoint) == ("completed", None)


def test_a_lost_worker_costs_an_attempt_but_no_retry(machine: Machine, does):
    does["a"] = flaky
    key = machine.begin({"a": []}, nodes={"a": {"config": {"retries": 0}}})
    machine.claim_one()
    machine.now = after(LEASE)

    swept = sweep(now=machine.now)

    attempt = Attempt.objects.get()
    assert (swept.recovered, swept.queues) == (1, {"spane"})
    assert (attempt.number, attempt.result, attempt.error_type) == (1, "lost", "WorkerLost")
    assert Machine().drain() == []
    other = Machine()
    other.wait(LEASE)
    assert other.drain() == ["a"]
    assert (outputs(key)["a"], status(key)) == (2, "completed")


def test_a_node_that_takes_down_every_worker_is_given_up(machine: Machine, settings):
    settings.SPANE = {**settings.SPANE, "MAX_LOSSES": 2}
    key = machine.begin({"a": ["b"]})
    for number in (1, 2):
        victim = Machine()
        victim.wait(LEASE * 2 * (number - 1))
        assert len(victim.claim()) == 1
        sweep(now=after(LEASE * (2 * number - 1)))

    letter = DeadLetter.objects.get()
    assert (letter.error_type, letter.attempts) == ("WorkerLost", 2)
    assert "2 of 2" in letter.error_message
    assert (status(key), statuses(key)) == ("failed", {"a": "failed", "b": "cancelled"})
