"""Why is this execution not moving?  A sentence, and the facts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User

from spane_django.core.outcome import AskApproval, Delay, Failure, WaitFor
from spane_django.engine.control import cancel, pause
from spane_django.engine.explain import Explanation, explain
from spane_django.models import Execution
from tests.engine.helpers import Machine, after, execution

pytestmark = pytest.mark.django_db


def told(machine: Machine, key: UUID) -> Explanation:
    return explain(execution(key), now=machine.now)


def waiting(machine: Machine, outcome: Any) -> list[str]:
    """Begin a node that answers with a wait, and return the facts."""
    key = machine.begin({"a": []})
    machine.settle([machine.finish(machine.claim_one(), outcome)])
    return told(machine, key).facts


def test_a_ready_node_needs_a_worker_of_its_queue(machine):
    key = machine.begin({"a": []}, queue="mail")
    machine.wait(3)

    said = told(machine, key)

    assert said.facts == [
        "'a' (attempt 1) has been ready for 3.0 s: it needs a worker of queue 'mail'."
    ]
    assert said.queues == ["mail"]


def test_a_running_node_is_told_with_its_worker(machine):
    key = machine.begin({"a": []})
    machine.claim()
    machine.wait(2)

    assert told(machine, key).facts == [
        "'a' (attempt 1) has been running for 2.0 s on worker test."
    ]


def test_a_silent_worker_is_told(machine):
    key = machine.begin({"a": []})
    machine.claim()
    machine.now += timedelta(seconds=40)

    (fact,) = told(machine, key).facts

    assert "silent for 40.0 s: taken for dead" in fact


def test_a_retry_is_told_with_its_time_and_the_error(machine):
    (fact,) = waiting(machine, Failure(message="no route", type="ConnectionError"))

    assert fact == (
        "'a' (attempt 2) is tried again after 1.0 s, until 2030-01-01 12:00:01 UTC; "
        "last error: ConnectionError: no route."
    )


def test_a_wait_is_told_with_what_would_end_it(machine):
    (delay,) = waiting(machine, Delay(after(90)))
    (signal,) = waiting(machine, WaitFor(signal="paid", key="7", until=after(60)))
    (approval,) = waiting(machine, AskApproval(title="Ship?", users=["ann"], groups=["leads"]))

    assert delay.endswith("waits another 0:01:30, until 2030-01-01 12:01:30 UTC.")
    assert "waits for the signal 'paid' with key '7', 0:01:00" in signal
    assert "waits for the approval 'Ship?' of ann, the group leads (0 of 1 given)." in approval


def test_a_node_that_waits_for_children_names_them(machine):
    machine.publish({"c": []}, id="child")
    config = {"workflowId": "child"}
    key = machine.begin({"s": []}, types={"s": "sub-workflow"}, nodes={"s": {"config": config}})
    machine.step()

    (fact,) = told(machine, key).facts

    child = Execution.objects.get(parent_id=key)
    assert f"waits for 1 of 1 child executions, such as {child.pk} (running)." in fact


def test_a_join_names_the_parents_it_waits_for_and_its_rule(machine):
    key = machine.begin({"a": ["j"], "b": ["j"]}, nodes={"j": {"join": "all_done"}})
    first, _ = machine.claim()
    machine.settle([machine.finish(first)])

    assert told(machine, key).facts[-1] == (
        "'j' waits for 'b' (running): its join rule is 'all_done'."
    )


def test_a_node_without_a_place_names_who_holds_them(machine):
    key = machine.begin({"s": ["x", "y"]}, maxConcurrency=1)
    machine.step()
    machine.claim()

    assert told(machine, key).facts[-1] == (
        "'y' (attempt 1) waits for one of 1 places (maxConcurrency), held by 'x'."
    )


@pytest.mark.parametrize(
    ("verb", "sentence"),
    [
        (pause, "It is paused by ann: look; nothing new starts until it is resumed."),
        (cancel, "It was cancelled by ann: look."),
    ],
)
def test_who_paused_or_cancelled_it_is_told(machine, verb, sentence):
    ann = User.objects.create_user("ann")
    key = machine.begin({"a": []})

    verb(key, now=machine.now, by=ann, reason="look")

    assert told(machine, key).sentence == sentence
