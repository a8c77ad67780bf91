"""The engine against the oracle of the core: random workflows, workers that die, doubled answers.

Each example goes through the real verbs and rows: publish, start, claim, run, settle and sweep,
in random batches and orders.  It must end where the four-line specification says.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings

from spane_django.core.outcome import Delay, Result
from spane_django.core.plan import JoinRule
from spane_django.core.statuses import NodeStatus
from spane_django.engine.claim import Claim
from spane_django.engine.control import pause, resume
from spane_django.engine.promote import promote
from spane_django.engine.retry import retry_failed
from spane_django.engine.sweep import sweep
from spane_django.models import DeadLetter, NodeRun
from tests.core.plots import Plot, fates, orders, plots
from tests.doubles import Body, bodies
from tests.engine.helpers import Machine, execution, status, statuses

pytestmark = pytest.mark.django_db

LEASE = 31  # seconds; longer than the default


@pytest.fixture(autouse=True)
def _patient(settings) -> None:
    """Let any number of workers die without giving a node up for it."""
    settings.SPANE = {**settings.SPANE, "MAX_LOSSES": 1_000}


def options_of(plot: Plot) -> dict[str, Any]:
    joins: dict[str, dict[str, Any]] = {
        node: {"join": {"rule": join.rule.value, "n": max(1, join.needed)}}
        for node, join in plot.joins.items()
    }
    for node in plot.losers:
        joins[node]["losers"] = "cancel"
    policy = {"retryPolicy": {"maxAttempts": 5, "backoff": {"type": "fixed", "delay": 1_000}}}
    return {node: {**policy, **joins.get(node, {})} for node in plot.children}


def body(plot: Plot, node: str, mood: int, done: Counter[str]) -> Body:
    """Return what a node does: it ends as the plot says, after a detour that its mood chooses."""
    detours = mood % 3

    def work(ctx: Any) -> Any:
        done[f"{node} began"] += 1
        if done[f"{node} began"] <= detours:
            if mood % 2:
                raise ConnectionError("try again")
            return Delay(ctx.now.replace(microsecond=0), {"left": detours})
        end = plot.ends[node]
        if end.status is NodeStatus.FAILED:
            return Result.failure("for good")
        return Result({"from": node}, None if end.chosen is None else sorted(end.chosen))

    return work


class Site:
    """A few workers on one execution, and all that may go wrong around them."""

    def __init__(self, plot: Plot, random: Random) -> None:
        self.random = random
        self.machine = Machine()
        self.claims: list[Claim] = []
        self.done: Counter[str] = Counter()
        for node in plot.children:
            bodies[node] = body(plot, node, random.randrange(6), self.done)
        name = f"w{uuid4().hex}"
        self.machine.publish(plot.children, id=name, nodes=options_of(plot))
        self.key = self.machine.start({"n": 1}, workflow=name)

    def go(self) -> Site:
        for _ in range(2_000):
            if status(self.key) in ("completed", "failed"):
                return self
            self.move()
        raise AssertionError(f"it did not end: {statuses(self.key)}")

    def move(self) -> None:
        self.random.choice((self.claim, self.settle, self.settle, self.settle, self.wait))()
        if self.random.random() < 0.1:
            self.random.choice((self.die, self.interrupt))()

    def claim(self) -> None:
        self.claims += self.machine.claim(self.random.randint(1, 3))

    def settle(self) -> None:
        size = self.random.randint(0, len(self.claims))
        batch = self.random.sample(self.claims, size)
        self.claims = [one for one in self.claims if one not in batch]
        finished = self.machine.run(batch)
        room = self.random.choice((None, 1, 5))
        want = None if room is None else self.machine.want(room, fill=self.random.random() < 0.5)
        self.claims += self.machine.settle(finished, want=want).claims
        if self.random.random() < 0.3:
            doubled = self.machine.settle(finished)
            assert len(doubled.lost) == len(finished)

    def wait(self) -> None:
        self.machine.wait(1)
        promote(now=self.machine.now)

    def die(self) -> None:
        lost, self.claims = self.claims, []
        dead, self.machine = self.machine, Machine()
        self.machine.now = dead.now
        self.machine.wait(LEASE)
        sweep(now=self.machine.now)
        late = dead.settle([dead.finish(one) for one in lost])
        assert len(late.lost) == len(lost)

    def interrupt(self) -> None:
        if status(self.key) == "running":
            pause(self.key, now=self.machine.now)
            assert self.machine.claim() == []
            resume(self.key, now=self.machine.now)


few = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@few
@given(plots(size=7), orders)
def test_the_engine_ends_where_the_oracle_says(plot: Plot, random: Random):
    site = Site(plot, random).go()

    fate = fates(plot)
    failed = [node for node, end in fate.items() if end is NodeStatus.FAILED]
    assert statuses(site.key) == fate
    assert status(site.key) == ("failed" if failed else "completed")
    row = execution(site.key)
    assert (row.active_nodes, row.failed_nodes) == (0, len(failed))
    letters = DeadLetter.objects.filter(execution_id=site.key).values_list("node_id", flat=True)
    assert sorted(letters) == sorted(failed)
    assert not NodeRun.objects.filter(execution_id=site.key, claim_token__isnull=False).exists()


@few
@given(plots([rule for rule in JoinRule if rule is not JoinRule.ALL_DONE], 7), orders)
def test_what_failed_and_is_retried_ends_where_a_fresh_run_ends(plot: Plot, random: Random):
    site = Site(plot, random).go()
    ends = {node: end._replace(status=NodeStatus.COMPLETED) for node, end in plot.ends.items()}
    mended = replace(plot, ends=ends)
    for node in plot.children:
        bodies[node] = body(mended, node, 0, site.done)

    while status(site.key) == "failed":
        retry_failed(site.key, now=site.machine.now)
        site.go()

    assert statuses(site.key) == fates(mended)
    assert (status(site.key), execution(site.key).active_nodes) == ("completed", 0)
