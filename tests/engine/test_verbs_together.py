"""Any verbs in any order: the counts stay true, and the execution ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spane_django.core.errors import SpaneError
from spane_django.core.outcome import Delay, Result
from spane_django.core.plan import JoinRule
from spane_django.core.statuses import NodeStatus
from spane_django.engine.by_hand import complete, skip
from spane_django.engine.claim import Claim
from spane_django.engine.control import cancel, pause, resume
from spane_django.engine.operate import reassign, retry_now
from spane_django.engine.rerun import From, Rerun, rerun_from
from spane_django.engine.retry import discard_dead_letter, rerun, retry_failed
from spane_django.models import DeadLetter, NodeRun
from tests.core.plots import Plot, fates, orders, plots
from tests.doubles import bodies
from tests.engine.helpers import Machine, execution, status, statuses

pytestmark = pytest.mark.django_db

ACTIVE = ("ready", "running", "waiting")
few = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Desk:
    """An execution of a plot, a worker, and an operator who does anything."""

    def __init__(self, plot: Plot, random: Random, *, is_fail_fast: bool) -> None:
        self.plot = plot
        self.random = random
        self.machine = Machine()
        self.claims: list[Claim] = []
        for node in plot.children:
            bodies[node] = self.body(node)
        options = {
            node: {"join": {"rule": join.rule.value, "n": max(1, join.needed)}}
            for node, join in plot.joins.items()
        }
        name = f"w{uuid4().hex}"
        self.machine.publish(plot.children, id=name, nodes=options, failFast=is_fail_fast)
        self.key = self.machine.start({"n": 1}, workflow=name)

    def body(self, node: str) -> Callable[..., object]:
        def work(ctx):
            if ctx.checkpoint is None and self.random.random() < 0.2:
                return Delay(ctx.now.replace(year=2031), {"left": 1})
            end = self.plot.ends[node]
            if end.status is NodeStatus.FAILED:
                return Result.failure("for good")
            return Result(node, None if end.chosen is None else sorted(end.chosen))

        return work

    def verbs(self) -> list[Callable[[], object]]:
        key, now, node = self.key, self.machine.now, self.random.choice([*self.plot.children])
        children = list(self.plot.children[node])
        return [
            lambda: pause(key, now=now),
            lambda: resume(key, now=now),
            lambda: cancel(key, now=now),
            lambda: retry_failed(key, now=now),
            lambda: rerun(key, node, now=now),
            lambda: skip(key, node, now=now),
            lambda: complete(key, node, 1, next_nodes=children[:1] or None, now=now),
            lambda: retry_now(key, node, now=now),
            lambda: reassign(key, priority=7, node_id=node, now=now),
            lambda: rerun_from(key, now=now),
            lambda: rerun_from(key, Rerun(start=From.START, input=2), now=now),
            lambda: rerun_from(key, Rerun(start=From.NODE, node_id=node), now=now),
            lambda: rerun_from(key, Rerun(start=From.NODE, node_id=node, output=3), now=now),
            self.discard,
        ]

    def discard(self) -> None:
        letter = DeadLetter.objects.open().filter(execution_id=self.key).first()
        if letter is not None:
            discard_dead_letter(letter.pk, now=self.machine.now)

    def work(self) -> None:
        self.claims += self.machine.claim(2)
        batch, self.claims = self.claims[:2], self.claims[2:]
        room = self.random.choice((None, 2))
        want = None if room is None else self.machine.want(room, fill=False)
        self.claims += self.machine.settle(self.machine.run(batch), want=want).claims

    def operate(self) -> None:
        try:
            self.random.choice(self.verbs())()
        except SpaneError:
            return

    def finish(self) -> None:
        if status(self.key) == "paused":
            resume(self.key, now=self.machine.now)
        self.machine.now = self.machine.now.replace(year=2032)
        self.machine.wait(0)
        while status(self.key) == "running":
            self.claims += self.machine.claim()
            assert self.claims, statuses(self.key)
            batch, self.claims = self.claims, []
            self.machine.settle(self.machine.run(batch))

    def check(self) -> None:
        row, runs = execution(self.key), NodeRun.objects.filter(execution_id=self.key)
        active = runs.filter(status__in=ACTIVE).count()
        failed = runs.filter(status="failed")
        assert (row.active_nodes, row.failed_nodes) == (active, failed.count())
        assert (row.finished_at is None) == (row.status in ("running", "paused"))
        assert bool(active) == (row.finished_at is None)
        letters = DeadLetter.objects.open().filter(execution_id=self.key)
        nodes = letters.values_list("node_id", flat=True)
        assert set(nodes) <= set(failed.values_list("node_id", flat=True))
        assert len(set(nodes)) == len(nodes)


@few
@given(plots(size=6), orders, st.booleans())
def test_after_any_verbs_the_counts_are_true_and_the_execution_ends(
    plot: Plot, random: Random, is_fail_fast: bool
):
    desk = Desk(plot, random, is_fail_fast=is_fail_fast)

    for _ in range(25):
        random.choice((desk.work, desk.operate))()
        desk.check()
    desk.finish()

    desk.check()
    assert status(desk.key) in ("completed", "failed", "cancelled")
    assert not set(statuses(desk.key).values()) & {*ACTIVE}


@few
@given(plots(list(JoinRule), 6), orders)
def test_whatever_was_done_a_rerun_from_the_start_ends_where_a_fresh_run_ends(
    plot: Plot, random: Random
):
    desk = Desk(plot, random, is_fail_fast=False)
    for _ in range(15):
        random.choice((desk.work, desk.operate))()
    desk.finish()
    desk.plot = mended = replace(
        plot,
        ends={key: end._replace(status=NodeStatus.COMPLETED) for key, end in plot.ends.items()},
    )

    rerun_from(desk.key, Rerun(start=From.START), now=desk.machine.now)
    desk.finish()

    assert statuses(desk.key) == fates(mended)
    assert status(desk.key) == "completed"
