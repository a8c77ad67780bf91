"""Who may take what: order, holds, timers, and that nobody takes what another has."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from spane_django.core.outcome import Delay
from spane_django.engine.claim import claim
from spane_django.engine.control import pause
from tests.engine.helpers import Machine, after, node_run, statuses

pytestmark = pytest.mark.django_db


def test_a_claim_is_the_proof_of_a_running_node(machine: Machine):
    key = machine.begin({"a": ["b"]})

    one = machine.claim_one()

    run = node_run(key, "a")
    assert (run.status, run.worker_id, run.claim_token) == ("running", machine.id, one.token)
    assert (one.execution_id, one.node_id, one.attempt) == (key, "a", 1)
    assert run.started_at == machine.now


def test_what_is_most_urgent_is_claimed_first_then_what_is_oldest(machine: Machine):
    machine.publish({"a": []})
    machine.now = after(1)
    young = machine.start(priority=5)
    machine.now = after(0)
    old = machine.start(priority=5)
    urgent = machine.start(priority=10)
    machine.now = after(2)

    taken = [machine.claim(room=1)[0].execution_id for _ in range(3)]

    assert taken == [urgent, old, young]


def test_no_room_claims_nothing(machine: Machine):
    machine.begin({"a": []})

    assert machine.claim(room=0) == machine.claim(room=-1) == []
    assert len(machine.claim(room=1)) == 1


def test_a_claimed_node_is_not_claimed_again(machine: Machine):
    machine.begin({"a": []})

    assert len(machine.claim()) == 1
    assert Machine().claim() == []


def test_what_belongs_to_a_paused_execution_is_not_claimed(machine: Machine):
    held = machine.begin({"a": []})
    free = machine.start()
    pause(held, now=machine.now)

    assert [one.execution_id for one in machine.claim()] == [free]


def test_what_is_not_due_is_not_claimed_before_its_time(machine: Machine, does):
    does["a"] = lambda ctx: Delay(after(10))
    machine.begin({"a": []})
    machine.step()

    machine.now = after(9.999)
    assert machine.claim() == []
    machine.now = after(10)
    assert len(machine.claim()) == 1


def test_a_queue_is_claimed_by_its_own_workers_only(machine: Machine):
    machine.begin({"a": []}, queue="special")

    assert machine.claim() == []
    assert len(Machine("special").claim()) == 1


def test_a_claim_of_a_waiting_node_carries_its_checkpoint(machine: Machine, does):
    does["a"] = lambda ctx: Delay(after(1), {"page": 2})
    key = machine.begin({"a": []})
    machine.step()
    assert statuses(key) == {"a": "waiting"}
    machine.now = after(1)

    one = machine.claim_one()

    assert (one.checkpoint, one.attempt, one.failures) == ({"page": 2}, 1, 0)


@pytest.mark.django_db(transaction=True)
def test_workers_that_claim_at_once_never_take_the_same_node(machine: Machine):
    machine.publish({"a": []})
    for _ in range(60):
        machine.start()
    wants = [Machine().want(room=4) for _ in range(8)]

    def work(want):
        try:
            taken = []
            while claims := claim(want, now=machine.now):
                taken += claims
            return taken
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(wants)) as pool:
        taken = [one.id for claims in pool.map(work, wants) for one in claims]

    assert len(taken) == len(set(taken)) == 60
