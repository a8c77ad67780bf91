"""Anything may happen, in any order: the engine stays lawful, explains itself and comes to an end.

Hypothesis interleaves starts, claims, answers, dying workers, operators' verbs, signals and time
on random workflows.  After every step the counts of every execution are those of its rows; no
status ever changes as no table says (the fixture of this directory sees to that).  In the end,
when all that is paused goes on and all that was waited for has come, every execution has ended.

``SPANE_STATEFUL_EXAMPLES=2000`` runs more sequences than the few of every day.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from spane_django.core.errors import SpaneError
from spane_django.core.outcome import Delay, Failure, Result, WaitFor
from spane_django.core.statuses import ExecutionStatus, NodeStatus
from spane_django.engine.by_hand import complete, skip
from spane_django.engine.claim import Claim
from spane_django.engine.control import cancel, pause, resume
from spane_django.engine.explain import explain
from spane_django.engine.operate import retry_now
from spane_django.engine.rerun import From, Rerun, rerun_from
from spane_django.engine.retry import replay, retry_failed
from spane_django.engine.signals import signal
from spane_django.engine.sweep import sweep
from spane_django.models import Execution, NodeRun
from tests.core.plots import Plot, plots
from tests.doubles import bodies
from tests.engine.helpers import Machine

pytestmark = pytest.mark.django_db

EXAMPLES = int(os.environ.get("SPANE_STATEFUL_EXAMPLES", "25"))
PHASES = [Phase.generate] if os.environ.get("SPANE_NO_SHRINK") else list(Phase)
LEASE = 31  # seconds; longer than the default
DAY = 86_400

ACTIVE = [NodeStatus.READY, NodeStatus.RUNNING, NodeStatus.WAITING]
CALL = {"type": "call"}
NODE_TYPES: list[tuple[str, dict[str, Any]]] = [
    ("call", {}),
    ("call", {}),
    ("call", {}),
    ("sub-workflow", {"workflowId": "leaf"}),
    ("map", {"node": CALL, "items": "`[1, 2, 3]`", "parallelism": 2, "toleratedFailures": 1}),
    ("loop", {"node": CALL, "until": "@ != `null`", "maxTurns": 3}),
]
WORKFLOW_OPTIONS: list[dict[str, Any]] = [
    {},
    {"failFast": True},
    {"maxConcurrency": 1},
    {"maxExecutions": 1},
    {"finally": CALL},
    {"onError": {"workflowId": "leaf"}, "timeout": DAY * 1_000},
]

picks = st.integers(0, 2**16)


class Site(RuleBasedStateMachine):
    """A worker, its operators and the world."""

    def __init__(self) -> None:
        super().__init__()
        self.sandbox = transaction.atomic()
        # As Django's own test case does: what is durable may be in here.
        self.sandbox._from_testcase = True
        self.sandbox.__enter__()
        bodies.clear()
        self.machine = Machine()
        self.claims: list[Claim] = []
        self.keys: list[UUID] = []

    def teardown(self) -> None:
        try:
            self._come_to_an_end()
        finally:
            transaction.set_rollback(True)
            self.sandbox.__exit__(None, None, None)

    @initialize(plot=plots(size=5), pick=picks)
    def publish(self, plot: Plot, pick: int) -> None:
        self.machine.publish({"c1": ["c2"]}, id="leaf")
        self.workflow = f"w{uuid4().hex}"
        self.machine.publish(plot.children, id=self.workflow, **_options(plot, Random(pick)))

    @rule()
    def start(self) -> None:
        self.keys.append(self.machine.start({"n": 1}, workflow=self.workflow))

    @rule(room=st.integers(1, 4))
    def claim(self, room: int) -> None:
        self.claims += self.machine.claim(room)

    @precondition(lambda self: self.claims)
    @rule(pick=picks, goes_on=st.booleans())
    def answer(self, pick: int, goes_on: bool) -> None:
        one = self.claims.pop(pick % len(self.claims))
        want = self.machine.want(2, fill=False) if goes_on else None
        self.claims += self.machine.settle([self._finished(one, Random(pick))], want=want).claims

    @precondition(lambda self: self.claims)
    @rule()
    def lose_the_worker(self) -> None:
        dead, self.machine = self.machine, Machine()
        lost, self.claims = self.claims, []
        self.machine.now = dead.now
        self.machine.wait(LEASE)
        sweep(now=self.machine.now)
        assert len(dead.settle([dead.finish(one) for one in lost]).lost) == len(lost)

    @rule(seconds=st.sampled_from([1, 5, 60]))
    def time_passes(self, seconds: int) -> None:
        self.machine.wait(seconds)
        sweep(now=self.machine.now)

    @precondition(lambda self: self.keys)
    @rule(pick=picks, verb=st.sampled_from([pause, resume, cancel, retry_failed, replay]))
    def say_to_an_execution(self, pick: int, verb: Callable[..., Any]) -> None:
        self._say(lambda: verb(self._any_execution(pick), now=self.machine.now))

    @precondition(lambda self: self.keys)
    @rule(pick=picks, verb=st.sampled_from([skip, complete, retry_now]))
    def say_to_a_node(self, pick: int, verb: Callable[..., Any]) -> None:
        run = self._any_run(pick)
        if run is not None:
            more = {"output": {"by": "hand"}} if verb is complete else {}
            self._say(lambda: verb(run.execution_id, run.node_id, now=self.machine.now, **more))

    @precondition(lambda self: self.keys)
    @rule(pick=picks)
    def rerun(self, pick: int) -> None:
        run = self._any_run(pick)
        if run is not None:
            wanted = Rerun(start=From.NODE, node_id=run.node_id)
            self._say(lambda: rerun_from(run.execution_id, wanted, now=self.machine.now))

    @rule()
    def send(self) -> None:
        signal("go", {"from": "the test"}, key="all", now=self.machine.now)

    @invariant()
    def the_counts_are_those_of_the_rows(self) -> None:
        for execution in Execution.objects.all():
            live = Counter(execution.node_runs.values_list("status", flat=True))
            active = sum(live[status] for status in ACTIVE)
            assert (execution.active_nodes, execution.failed_nodes) == (active, live["failed"])

    @invariant()
    def whatever_has_not_ended_explains_itself(self) -> None:
        for execution in Execution.objects.unfinished().order_by("-id")[:3]:
            assert explain(execution, now=self.machine.now).sentence

    def _say(self, verb: Callable[[], Any]) -> None:
        """Say something; a refusal is an answer, too."""
        try:
            with transaction.atomic():
                verb()
        except SpaneError:
            pass
        sweep(now=self.machine.now)

    def _any_execution(self, pick: int) -> UUID:
        keys = list(Execution.objects.order_by("id").values_list("id", flat=True))
        return keys[pick % len(keys)]

    def _any_run(self, pick: int) -> NodeRun | None:
        runs = list(NodeRun.objects.order_by("id"))
        return runs[pick % len(runs)] if runs else None

    def _finished(self, one: Claim, random: Random) -> Any:
        run = NodeRun.objects.get(pk=one.id)
        if run.node_type != "call":
            (finished,) = self.machine.run([one])
            return finished
        return self.machine.finish(one, self._outcome(one, random), '{"n": 1}')

    def _outcome(self, one: Claim, random: Random) -> Any:
        number = random.randrange(20)
        if number < 2:
            return Failure(message="no", is_retryable=False)
        if number < 4:
            return Failure(message="later")
        if number < 6 and one.checkpoint is None:
            return Delay(self.machine.now.replace(microsecond=0), {"seen": 1})
        if number < 8 and one.checkpoint is None:
            return WaitFor(signal="go", key="all", checkpoint={"seen": 1})
        return Result({"n": 1}, next_nodes=[] if number == 8 else None)

    def _come_to_an_end(self) -> None:
        for _ in range(400):
            unfinished = list(Execution.objects.unfinished())
            if not unfinished:
                break
            self._push_on(unfinished)
        left = Execution.objects.unfinished()
        told = [explain(execution, now=self.machine.now) for execution in left]
        assert not told, f"not ended: {told}"
        assert not NodeRun.objects.filter(status__in=ACTIVE).exists()

    def _push_on(self, unfinished: list[Execution]) -> None:
        for execution in unfinished:
            if execution.status == ExecutionStatus.PAUSED:
                self._say(lambda key=execution.pk: resume(key, now=self.machine.now))
        if NodeRun.objects.filter(status=NodeStatus.WAITING, signal_name="go").exists():
            self.send()
        self.machine.settle([self.machine.finish(one) for one in self.claims])
        self.claims = []
        self.machine.wait(60)
        sweep(now=self.machine.now)
        self.machine.step()


def _options(plot: Plot, random: Random) -> dict[str, Any]:
    types, nodes = {}, {}
    for node in plot.children:
        kind, config = random.choice(NODE_TYPES)
        types[node] = kind
        nodes[node] = {"config": config}
        if node in plot.joins:
            join = plot.joins[node]
            nodes[node]["join"] = {"rule": join.rule.value, "n": max(1, join.needed)}
        if random.random() < 0.2:
            nodes[node]["undo"] = CALL
        if random.random() < 0.2:
            nodes[node]["onFail"] = "continue"
    return {"types": types, "nodes": nodes, **random.choice(WORKFLOW_OPTIONS)}


def test_whatever_happens_is_lawful_explained_and_comes_to_an_end():
    run_state_machine_as_test(
        Site,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=25,
            deadline=None,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
        ),
    )
