"""Error edges: what a failure for good leads to, and what a success then leaves out."""

from __future__ import annotations

import pytest

from spane_django.core.outcome import Lost, Permanent, Result, RetryAfter
from spane_django.engine.inputs import receive
from spane_django.engine.sweep import fire_timers
from spane_django.models import Attempt, DeadLetter, NodeRun
from spane_django.models.story import logs
from tests.engine.helpers import (
    Machine,
    execution,
    node_run,
    outputs,
    status,
    statuses,
)

pytestmark = pytest.mark.django_db

# charge leads to ship, or to refund if it fails; both lead to report.
SHOP = {"charge": ["ship", "refund"], "ship": ["report"], "refund": ["report"]}
ONCE = {"retryPolicy": {"maxAttempts": 1}}
BRANCH = {"charge": {"errorOutputs": ["refund"], "config": ONCE}}


class CardDeclined(Exception):
    """The bank says no."""


def declined(ctx):
    raise CardDeclined("no funds")


def received(ctx):
    return ctx.input


def test_a_failure_takes_the_error_edges_and_no_others(machine: Machine, does):
    does["charge"], does["refund"], does["report"] = declined, received, received
    key = machine.begin(SHOP, nodes=BRANCH)

    machine.drain()

    assert statuses(key) == {
        "charge": "completed", "ship": "skipped", "refund": "completed", "report": "completed",
    }  # fmt: skip
    error = {
        "error": "no funds",
        "errorType": "CardDeclined",
        "attempts": 1,
        "_metadata": {"continuedOnFail": True, "originalError": "no funds"},
    }
    assert outputs(key)["refund"] == error
    assert outputs(key)["report"] == {"refund": error}
    assert (status(key), execution(key).failed_nodes) == ("completed", 0)


def test_a_success_takes_every_edge_but_the_error_edges(machine: Machine, does):
    does["charge"], does["report"] = (lambda ctx: {"paid": 7}), received
    key = machine.begin(SHOP, nodes=BRANCH)

    machine.drain()

    assert statuses(key) == {
        "charge": "completed", "ship": "completed", "refund": "skipped", "report": "completed",
    }  # fmt: skip
    assert node_run(key, "charge").next_nodes == ["ship"]
    assert outputs(key)["report"] == {"ship": outputs(key)["ship"]}


def test_a_node_that_chooses_keeps_its_choice(machine: Machine, does):
    does["charge"] = lambda ctx: Result({"suspicious": True}, next_nodes=["refund"])
    key = machine.begin(SHOP, nodes=BRANCH)

    machine.drain()

    assert statuses(key)["refund"] == "completed"
    assert statuses(key)["ship"] == "skipped"


def test_a_success_without_usual_edges_goes_nowhere(machine: Machine, does):
    key = machine.begin({"charge": ["refund"]}, nodes=BRANCH)

    machine.drain()

    assert statuses(key) == {"charge": "completed", "refund": "skipped"}
    assert status(key) == "completed"


def test_a_handled_failure_is_no_dead_letter_but_an_attempt_that_failed(machine: Machine, does):
    does["charge"] = declined
    machine.begin(SHOP, nodes=BRANCH)

    machine.drain()

    attempt = Attempt.objects.get()
    assert (attempt.result, attempt.error_type) == ("failed", "CardDeclined")
    assert "CardDeclined" in attempt.traceback
    assert not DeadLetter.objects.exists()


def test_an_operator_sees_what_failed_and_was_handled(machine: Machine, does):
    does["charge"] = declined
    key = machine.begin(SHOP, nodes=BRANCH)

    machine.drain()

    told = [(entry.level, entry.message) for entry in logs(execution(key))]
    assert ("error", "Node execution failed: no funds") in told
    assert (
        "warning", "Node failed for good; the workflow goes on with the error as its data",
    ) in told  # fmt: skip


def test_every_attempt_is_used_up_before_the_error_edges_are_taken(machine: Machine, does):
    does["charge"], does["refund"] = declined, received
    policy = {"retryPolicy": {"maxAttempts": 3, "backoff": {"type": "fixed", "delay": 1_000}}}
    key = machine.begin(SHOP, nodes={"charge": {"errorOutputs": ["refund"], **policy}})

    for _ in range(3):
        assert "refund" not in statuses(key)
        machine.drain()
        machine.wait(1)

    assert outputs(key)["refund"]["attempts"] == 3
    assert Attempt.objects.count() == 3


def test_a_returned_failure_takes_the_error_edges_at_once(machine: Machine, does):
    does["charge"] = lambda ctx: Result.failure("not today", type="Closed")
    does["refund"] = received
    key = machine.begin(SHOP, nodes={"charge": {"onFail": "branch", "errorOutputs": ["refund"]}})

    machine.drain()

    assert outputs(key)["refund"]["errorType"] == "Closed"
    assert outputs(key)["refund"]["attempts"] == 1


def test_a_node_that_took_down_its_workers_takes_the_error_edges(machine: Machine, does, settings):
    settings.SPANE = {**settings.SPANE, "MAX_LOSSES": 1}
    does["refund"] = received
    key = machine.begin(SHOP, nodes=BRANCH)

    machine.settle([machine.finish(machine.claim_one(), Lost())])
    machine.drain()

    assert outputs(key)["refund"]["errorType"] == "WorkerLost"
    assert status(key) == "completed"


@pytest.mark.parametrize("does_fail", [True, False])
def test_what_the_worker_hands_on_at_once_is_what_was_recorded(
    machine: Machine, does, *, does_fail: bool
):
    if does_fail:
        does["charge"] = declined
    nodes = {"charge": {**BRANCH["charge"]}, "all": {"join": "all_done"}}
    key = machine.begin({"charge": ["ship", "refund"], "ship": ["all"], "refund": ["all"]},
                        nodes=nodes)  # fmt: skip

    settlement = machine.settle(machine.run(machine.claim()), want=machine.want())

    (claim,) = settlement.claims
    assert claim.node_id == ("refund" if does_fail else "ship")
    assert settlement.known[key, "charge"].next_nodes is not None
    (at_once,) = receive([claim], settlement.known)
    (as_read,) = receive([claim])
    assert at_once.decode(claim) == as_read.decode(claim)
    assert at_once.parents["charge"].next_nodes == as_read.parents["charge"].next_nodes


def test_an_answer_that_was_refused_is_not_handed_on(machine: Machine):
    machine.begin(SHOP, nodes=BRANCH)
    finished = machine.run(machine.claim())
    machine.settle(finished)

    late = machine.settle(finished, want=machine.want())

    assert (len(late.lost), late.known) == (1, {})


@pytest.mark.parametrize(
    ("option", "raised", "attempts"),
    [
        ({"retryPolicy": {"giveUpOn": ["CardDeclined"]}}, CardDeclined, 1),
        ({"retryPolicy": {"giveUpOn": ["Exception"]}}, CardDeclined, 1),
        ({"retryPolicy": {"giveUpOn": ["KeyError"], "maxAttempts": 2}}, CardDeclined, 2),
        ({"retryPolicy": {"retryOn": ["KeyError"]}}, CardDeclined, 1),
        ({"retryPolicy": {"retryOn": ["LookupError"], "maxAttempts": 2}}, KeyError, 2),
        ({"retries": 5}, Permanent, 1),
    ],
)
def test_errors_that_do_not_go_away_are_not_retried(
    machine: Machine, does, option, raised, attempts
):
    def fails(ctx):
        raise raised("no")

    does["a"] = fails
    key = machine.begin({"a": []}, nodes={"a": option})

    for _ in range(8):
        machine.drain()
        machine.wait(60)

    assert status(key) == "failed"
    assert DeadLetter.objects.get().attempts == attempts


def test_an_error_that_names_its_wait_is_tried_again_then_and_not_before(machine: Machine, does):
    def busy(ctx):
        if ctx.attempt == 1:
            raise RetryAfter(90)
        return "served"

    does["a"] = busy
    key = machine.begin({"a": []})

    machine.drain()
    machine.wait(89)
    assert machine.drain() == []
    machine.wait(1)
    fire_timers(now=machine.now)

    assert machine.drain() == ["a"]
    assert outputs(key) == {"a": "served"}


def test_a_wait_that_is_named_costs_an_attempt(machine: Machine, does):
    def busy(ctx):
        raise RetryAfter(1)

    does["a"] = busy
    key = machine.begin({"a": []}, nodes={"a": {"retries": 1}})

    for _ in range(3):
        machine.drain()
        machine.wait(1)

    assert NodeRun.objects.get(execution_id=key).failures == 2
    assert status(key) == "failed"
