"""`maxConcurrency`: how many nodes of one execution are at work at once."""

from __future__ import annotations

import pytest

from spane_django.core.outcome import Delay, Failure
from spane_django.engine.control import pause, resume
from spane_django.engine.retry import retry_failed
from tests.engine.helpers import Machine, after, execution, status

pytestmark = pytest.mark.django_db

FAN = {"s": ["x1", "x2", "x3", "x4", "x5"]}


@pytest.fixture
def machine() -> Machine:
    return Machine()


def started(machine: Machine, most: int = 2):
    key = machine.begin(FAN, maxConcurrency=most)
    assert machine.step() == ["s"]
    return key


def test_no_more_than_so_many_nodes_of_an_execution_are_claimed_at_once(machine):
    started(machine)

    claims = machine.claim()

    assert [one.node_id for one in claims] == ["x1", "x2"]
    assert machine.claim() == []


def test_a_node_that_ends_lets_the_next_one_in(machine):
    started(machine)
    first, second = machine.claim()

    machine.settle([machine.finish(first)])

    assert [one.node_id for one in machine.claim()] == ["x3"]
    machine.settle([machine.finish(second)])
    assert [one.node_id for one in machine.claim()] == ["x4"]


def test_everything_runs_in_the_end(machine):
    key = started(machine)

    machine.drain()

    assert status(key) == "completed"


def test_a_node_that_is_to_be_retried_keeps_its_place(machine):
    started(machine, most=1)
    first = machine.claim_one()

    machine.settle([machine.finish(first, Failure(message="later"))])

    assert machine.claim() == []


def test_a_node_that_waits_takes_no_place(machine):
    started(machine, most=1)
    first = machine.claim_one()

    machine.settle([machine.finish(first, Delay(after(60)))])

    assert machine.claim_one().node_id == "x2"


def test_a_worker_does_not_go_on_with_more_than_the_places(machine):
    machine.begin(FAN, maxConcurrency=2)
    root = machine.claim_one()

    settlement = machine.settle([machine.finish(root)], want=machine.want())

    assert len(settlement.claims) == 2


def test_resuming_lets_in_no_more_than_the_places(machine):
    key = started(machine)
    pause(key, now=machine.now)
    assert machine.claim() == []

    resume(key, now=machine.now)

    assert len(machine.claim()) == 2


def test_retrying_waits_for_a_place(machine):
    key = started(machine, most=1)
    first = machine.claim_one()
    machine.settle([machine.finish(first, Failure(message="no", is_retryable=False))])
    busy = machine.claim_one()

    retry_failed(key, now=machine.now)

    assert machine.claim() == []
    machine.settle([machine.finish(busy)])
    assert machine.claim_one().node_id == "x1"
    assert execution(key).active_nodes == 4
