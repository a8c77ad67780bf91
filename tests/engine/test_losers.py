"""Joins that go on early and cancel what comes too late for them, in rows."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given

from spane_django.core.statuses import NodeStatus
from spane_django.engine.control import pause, resume
from spane_django.engine.retry import rerun, retry_failed
from spane_django.models import DeadLetter, NodeRun
from tests.core.plots import Plot, fates, orders, races
from tests.engine.helpers import Machine, execution, node_run, outputs, status, statuses
from tests.engine.test_oracle import Site, few

pytestmark = pytest.mark.django_db

# Two ways to j: the short one over a, the long one over b and c.
RACE = {"r": ["a", "b"], "a": ["j"], "b": ["c"], "c": ["j"], "j": ["k"]}
RELEASED = ("ready", "running", "waiting", "completed", "failed")
FIRST = {"j": {"join": "any", "losers": "cancel"}}


@pytest.fixture(autouse=True)
def _patient(settings) -> None:
    """Let any number of workers die without giving a node up for it."""
    settings.SPANE = {**settings.SPANE, "MAX_LOSSES": 1_000}


def fails(ctx):
    raise ValueError("no")


def race(machine: Machine, **nodes: Any):
    """Start the race and let ``r`` end; return the execution and the claims of a and b."""
    key = machine.begin(RACE, nodes={**FIRST, **nodes})
    machine.step()
    return key, {claim.node_id: claim for claim in machine.claim()}


def test_a_running_loser_is_taken_from_its_worker(machine: Machine):
    key, claims = race(machine)

    machine.settle([machine.finish(claims["a"])])

    late = node_run(key, "b")
    assert (late.status, late.reason) == ("cancelled", "'j' went on without it")
    assert (late.claim_token, late.finished_at) == (None, machine.now)
    refused = machine.settle([machine.finish(claims["b"])])
    assert refused.lost == [claims["b"]]


def test_an_execution_ends_without_its_losers(machine: Machine):
    key, claims = race(machine)

    machine.settle([machine.finish(claims["a"])])
    assert execution(key).active_nodes == 1
    machine.drain()

    assert statuses(key) == {
        "r": "completed", "a": "completed", "b": "cancelled", "c": "cancelled",
        "j": "completed", "k": "completed",
    }  # fmt: skip
    row = execution(key)
    assert (row.status, row.active_nodes, row.failed_nodes) == ("completed", 0, 0)


def test_losers_are_left_alone_by_default(machine: Machine):
    key = machine.begin(RACE, nodes={"j": {"join": "any"}})
    machine.step()
    claims = {claim.node_id: claim for claim in machine.claim()}

    machine.settle([machine.finish(claims["a"])])
    machine.settle([machine.finish(claims["b"])])
    machine.drain()

    assert set(statuses(key).values()) == {"completed"}


def test_a_ready_loser_is_never_claimed(machine: Machine):
    key = machine.begin(RACE, nodes=FIRST)
    machine.step()
    (claim,) = machine.claim(1)

    machine.settle([machine.finish(claim)])

    assert claim.node_id == "a"
    assert machine.drain() == ["j", "k"]
    assert statuses(key)["b"] == "cancelled"


def test_a_loser_that_waits_for_its_time_is_cancelled(machine: Machine, does):
    does["b"] = fails
    key, claims = race(machine)
    machine.settle(machine.run([claims["b"]]))

    machine.settle([machine.finish(claims["a"])])
    machine.wait(3_600)

    assert machine.drain() == ["j", "k"]
    assert (statuses(key)["b"], status(key)) == ("cancelled", "completed")


def test_the_successor_of_a_loser_that_ends_in_the_same_batch_does_not_start(machine: Machine):
    key, claims = race(machine)

    settlement = machine.settle(
        [machine.finish(claims["b"]), machine.finish(claims["a"])], want=machine.want()
    )

    assert [claim.node_id for claim in settlement.claims] == ["j"]
    assert (statuses(key)["b"], statuses(key)["c"]) == ("completed", "cancelled")
    assert execution(key).active_nodes == 1


def test_what_leads_elsewhere_too_goes_on(machine: Machine):
    edges = {"r": ["a", "b"], "a": ["j"], "b": ["j", "x"]}
    key = machine.begin(edges, nodes=FIRST)
    machine.step()
    (claim,) = machine.claim(1)

    machine.settle([machine.finish(claim)])
    machine.drain()

    assert statuses(key) == dict.fromkeys("rabjx", "completed")


def test_a_parent_that_ends_later_does_not_start_a_loser(machine: Machine):
    edges = {"r": ["a", "b"], "a": ["j"], "b": ["c", "x"], "c": ["j"], "j": [], "x": []}
    key = machine.begin(edges, nodes=FIRST)
    machine.step()
    claims = {claim.node_id: claim for claim in machine.claim()}
    machine.settle([machine.finish(claims["a"])])

    machine.settle([machine.finish(claims["b"])])
    worked = machine.drain()

    assert sorted(worked) == ["j", "x"]
    assert (statuses(key)["c"], status(key)) == ("cancelled", "completed")


def test_the_first_two_of_three_are_enough(machine: Machine):
    edges = {"r": ["a", "b", "c"], "a": ["j"], "b": ["j"], "c": ["j"]}
    says = {"j": {"join": {"rule": "n_of_m", "n": 2}, "losers": "cancel"}}
    key = machine.begin(edges, nodes=says)
    machine.step()
    a, b, _ = machine.claim()

    machine.settle([machine.finish(a)])
    assert statuses(key)["c"] == "running"
    machine.settle([machine.finish(b)])

    assert statuses(key)["c"] == "cancelled"
    assert machine.drain() == ["j"]
    assert list(outputs(key)) == ["r", "a", "b", "j"]


def test_a_failed_winner_of_the_race_does_not_wake_the_losers(machine: Machine, does):
    does["k"] = lambda ctx: fails(ctx) if ctx.attempt == 1 else "mended"
    key, claims = race(machine, k={"retries": 0})
    machine.settle([machine.finish(claims["a"])])
    machine.drain()
    assert (status(key), DeadLetter.objects.count()) == ("failed", 1)

    retry_failed(key, now=machine.now)

    assert machine.drain() == ["k"]
    assert status(key) == "completed"
    assert (statuses(key)["b"], statuses(key)["c"]) == ("cancelled", "cancelled")


def test_a_loser_may_be_run_again_by_hand(machine: Machine):
    key, claims = race(machine)
    machine.settle([machine.finish(claims["a"])])
    machine.drain()

    rerun(key, "b", now=machine.now)

    assert machine.drain() == ["b"]
    assert (status(key), execution(key).active_nodes) == ("completed", 0)
    assert statuses(key)["c"] == "cancelled"


def test_a_race_may_be_paused_and_goes_on_without_its_losers(machine: Machine):
    key, claims = race(machine)
    pause(key, now=machine.now)

    machine.settle([machine.finish(claims["a"])])
    assert machine.drain() == []
    resume(key, now=machine.now)

    assert machine.drain() == ["j", "k"]


@few
@given(races(size=6), orders)
def test_nobody_but_the_losers_notices_a_race(plot: Plot, random: Random):
    site = Site(plot, random).go()

    told, ended = fates(plot), statuses(site.key)
    won = {join for join in plot.losers if ended[join] in ("completed", "failed", "cancelled")}
    lost = set().union(*(plot.losers[join] for join in won))
    assert ended.keys() == told.keys()
    for node, fate in ended.items():
        assert fate == told[node] or (node in lost and fate == NodeStatus.CANCELLED)
    failed = sum(fate == NodeStatus.FAILED for fate in ended.values())
    row = execution(site.key)
    assert (row.active_nodes, row.failed_nodes) == (0, failed)
    assert row.status == ("failed" if failed else "completed")
    assert not NodeRun.objects.filter(execution_id=site.key, claim_token__isnull=False).exists()


@few
@given(races(size=6), orders)
def test_no_loser_is_active_once_its_join_was_released(plot: Plot, random: Random):
    site = Site(plot, random)

    while status(site.key) not in ("completed", "failed"):
        site.move()
        ended = statuses(site.key)
        for join, losers in plot.losers.items():
            if ended.get(join) in RELEASED:
                assert all(NodeStatus(ended[node]).is_final for node in losers)
