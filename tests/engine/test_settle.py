"""Settling: the claim is the fence, a batch is one transaction, and the worker goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.db import transaction

from spane_django.core.outcome import Failure, Result
from spane_django.engine.settle import settle
from spane_django.engine.sweep import sweep
from spane_django.models import Attempt, Execution, LogLine, NodeRun
from tests.engine.helpers import Machine, execution, node_run, outputs, status, statuses

pytestmark = pytest.mark.django_db

LEASE = 31  # seconds; longer than the default


def test_a_worker_that_lost_its_lease_cannot_settle(machine: Machine):
    key = machine.begin({"a": ["b"]})
    slow, quick = machine, Machine()
    late = slow.claim_one()
    quick.wait(LEASE)
    sweep(now=quick.now)
    early = quick.claim_one()

    refused = slow.settle(slow.run([late]))

    assert [one.token for one in refused.lost] == [late.token]
    assert (early.attempt, statuses(key)) == (2, {"a": "running"})
    accepted = quick.settle(quick.run([early]))
    assert (accepted.lost, statuses(key)) == ([], {"a": "completed", "b": "ready"})


def test_a_refused_answer_leaves_no_trace(machine: Machine, does):
    does["a"] = lambda ctx: ctx.log.info("hello")
    key = machine.begin({"a": ["b"]})
    one = machine.claim_one()
    NodeRun.objects.update(claim_token="11111111-1111-4111-8111-111111111111")

    machine.settle(machine.run([one]))
    machine.settle([machine.finish(one, Failure(message="late"))])

    assert statuses(key) == {"a": "running"}
    assert (LogLine.objects.count(), Attempt.objects.count()) == (0, 0)
    assert execution(key).active_nodes == 1


def test_an_answer_that_arrives_twice_is_recorded_once(machine: Machine, does):
    does["a"] = lambda ctx: ctx.log.info("once")
    key = machine.begin({"a": ["j"], "b": ["j"]})
    finished = machine.run([one for one in machine.claim() if one.node_id == "a"])

    machine.settle(finished)
    again = machine.settle(finished)

    assert len(again.lost) == 1
    assert statuses(key) == {"a": "completed", "b": "running", "j": "pending"}
    assert (LogLine.objects.count(), execution(key).active_nodes) == (1, 1)


def test_an_answer_doubled_within_a_batch_is_recorded_once(machine: Machine):
    key = machine.begin({"a": ["j"], "b": ["j"]})
    (finished,) = machine.run([one for one in machine.claim() if one.node_id == "a"])

    settled = machine.settle([finished, replace(finished), replace(finished)])

    assert len(settled.lost) == 2
    assert statuses(key)["j"] == "pending"
    assert execution(key).active_nodes == 1


@pytest.mark.parametrize("failed_first", [False, True])
def test_of_two_different_answers_in_a_batch_the_first_counts(machine: Machine, *, failed_first):
    key = machine.begin({"a": ["b"]})
    one = machine.claim_one()
    answers = [
        machine.finish(one, Result("done"), '"done"'),
        machine.finish(one, Failure(message="boom", is_retryable=False)),
    ]

    settled = machine.settle(answers[::-1] if failed_first else answers)

    assert len(settled.lost) == 1
    assert statuses(key)["a"] == ("failed" if failed_first else "completed")
    assert status(key) == ("failed" if failed_first else "running")


def test_a_batch_may_belong_to_many_executions(machine: Machine, does):
    does["a"] = lambda ctx: ctx.input
    machine.publish({"a": ["c"], "b": ["c"]})
    keys = [machine.start(number) for number in range(10)]
    claims = machine.claim()
    assert len(claims) == 20

    machine.settle(machine.run(claims[::3] + claims[1::3] + claims[2::3]))

    assert all(outputs(key) == {"a": n, "b": {"from": "b"}} for n, key in enumerate(keys))
    assert all(statuses(key)["c"] == "ready" for key in keys)


def test_one_lost_claim_in_a_batch_holds_up_no_other(machine: Machine):
    machine.publish({"a": []})
    lost, kept = machine.start(), machine.start()
    finished = machine.run(machine.claim())
    NodeRun.objects.filter(execution_id=lost).update(status="cancelled", claim_token=None)

    settled = machine.settle(finished)

    assert [one.execution_id for one in settled.lost] == [lost]
    assert status(kept) == "completed"


def test_a_result_for_an_execution_that_is_gone_is_dropped(machine: Machine):
    key = machine.begin({"a": []})
    finished = machine.run(machine.claim())
    NodeRun.objects.all().delete()
    Execution.objects.filter(pk=key).delete()

    assert len(machine.settle(finished).lost) == 1


def test_a_worker_goes_on_with_what_it_released(machine: Machine):
    key = machine.begin({"a": ["b"], "b": ["c"]})
    first = machine.run(machine.claim())

    settled = machine.settle(first, want=machine.want(fill=False))

    assert [one.node_id for one in settled.claims] == ["b"]
    assert node_run(key, "b").worker_id == machine.id
    assert Machine().claim() == []
    assert machine.settle(machine.run(settled.claims)).lost == []
    assert statuses(key)["c"] == "ready"


def test_a_worker_takes_on_no_more_than_it_has_room_for(machine: Machine):
    machine.begin({"r": ["a", "b", "c"]})

    settled = machine.settle(machine.run(machine.claim()), want=machine.want(room=2))

    assert len(settled.claims) == 2
    assert (settled.filled, settled.left) == (0, {"spane"})
    assert len(Machine().claim()) == 1


def test_room_that_is_left_is_filled_with_other_work(machine: Machine):
    machine.begin({"a": ["b"]})
    finished = machine.run(machine.claim())
    other = machine.start()

    settled = machine.settle(finished, want=machine.want(room=5))

    assert [one.node_id for one in settled.claims] == ["b", "a"]
    assert (settled.claims[1].execution_id, settled.filled) == (other, 1)


def test_what_belongs_to_another_queue_is_left_to_its_workers(machine: Machine):
    machine.begin({"r": ["a", "b"]}, nodes={"b": {"queue": "special"}})

    settled = machine.settle(machine.run(machine.claim()), want=machine.want())

    assert [one.node_id for one in settled.claims] == ["a"]
    assert settled.left == {"special"}
    assert [one.node_id for one in Machine("special").claim()] == ["b"]


def test_a_join_is_released_by_its_last_parent_only(machine: Machine):
    key = machine.begin({"a": ["j"], "b": ["j"], "c": ["j"]})
    claims = machine.claim()

    released = []
    for one in claims:
        machine.settle(machine.run([one]))
        released.append(statuses(key)["j"])

    assert released == ["pending", "pending", "ready"]


def test_what_a_node_logged_is_kept_with_its_attempt(machine: Machine, does):
    def work(ctx):
        ctx.log.info("sending", to="ada@example.com")
        ctx.log.warning("slow")
        if ctx.attempt == 1:
            raise ValueError("boom")

    does["a"] = work
    key = machine.begin({"a": []})
    machine.step()
    machine.wait(1)
    machine.step()

    lines = LogLine.objects.values_list("execution_id", "node_id", "attempt", "level", "message")
    assert list(lines) == [
        (key, "a", 1, "info", "sending"),
        (key, "a", 1, "warning", "slow"),
        (key, "a", 2, "info", "sending"),
        (key, "a", 2, "warning", "slow"),
    ]
    assert LogLine.objects.first().data == {"to": "ada@example.com"}


def test_settling_nothing_only_claims(machine: Machine):
    machine.begin({"a": []})

    assert machine.settle([]).claims == []
    assert [one.node_id for one in machine.settle([], want=machine.want()).claims] == ["a"]


@pytest.mark.django_db(transaction=True)
def test_settling_refuses_to_run_inside_another_transaction(machine: Machine):
    machine.begin({"a": []})
    finished = machine.run(machine.claim())

    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        settle(finished, now=machine.now)
