"""What a preview says is what happens: it is compared with what the verb then does."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from spane_django.core.errors import InvalidInput, SpaneError
from spane_django.core.outcome import Result
from spane_django.core.statuses import NodeStatus
from spane_django.engine.control import UnknownExecution
from spane_django.engine.preview import Fate, Preview, preview_replay, preview_rerun
from spane_django.engine.rerun import From, In, Rerun, rerun_from
from spane_django.engine.retry import NothingToRetry, replay
from spane_django.models import AuditEntry, Execution, NodeRun
from tests.engine.helpers import Machine, execution, outputs, status

pytestmark = pytest.mark.django_db

ONCE = {"config": {"retries": 0}}
ENDED = (NodeStatus.COMPLETED, NodeStatus.FAILED)
DIAMOND = {"r": ["a", "b"], "a": ["j"], "b": ["j"], "j": ["k"]}


def any_graph(seed: int) -> tuple[dict[str, list[str]], dict[str, Callable[[Any], Any]]]:
    """Return a graph in which some nodes fail, and some choose one child only."""
    dice = random.Random(seed)
    names = [f"n{i}" for i in range(9)]
    edges: dict[str, list[str]] = {name: [] for name in names}
    for index, name in enumerate(names[1:], 1):
        for parent in dice.sample(names[:index], k=min(index, dice.choice([1, 1, 2, 3]))):
            edges[parent].append(name)
    acts: dict[str, Callable[[Any], Any]] = {}
    for name, children in edges.items():
        kind = dice.random()
        if kind < 0.15:
            acts[name] = fail
        elif kind < 0.4 and len(children) > 1:
            acts[name] = choose(children[0])
    return edges, acts


def fail(ctx: Any) -> Any:
    raise ValueError("boom")


def choose(child: str) -> Callable[[Any], Any]:
    return lambda ctx: Result(ctx.node_id, next_nodes=[child])


def runs_of(key: Any) -> dict[str, tuple[str, int]]:
    found = NodeRun.objects.filter(execution=key)
    return {run.node_id: (run.status, run.attempt) for run in found}


def require_kept(told: Preview, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Refuse a preview that has not said what happened to an execution that went back."""
    for node, fate in told.fates.items():
        was, number = before.get(node, ("", 0))
        now, now_number = after.get(node, ("", 0))
        if fate is Fate.AGAIN:
            assert was in ENDED
            assert now in (NodeStatus.READY, NodeStatus.PENDING)
            assert now_number > number
        elif fate is Fate.AHEAD:
            assert was not in ENDED
            assert now in ("", NodeStatus.READY, NodeStatus.PENDING)
        else:
            assert (now, now_number) == (was, number)
            assert (fate is Fate.KEPT) == (was == NodeStatus.COMPLETED)


@pytest.mark.parametrize("seed", range(12))
def test_in_the_same_version_each_node_becomes_what_was_foretold(machine: Machine, does, seed: int):
    edges, acts = any_graph(seed)
    does |= acts
    key = machine.begin(edges, nodes=dict.fromkeys(edges, ONCE))
    machine.drain()
    wanted = [Rerun(start=From.START), Rerun(start=From.FAILED)]
    wanted += [Rerun(start=From.NODE, node_id=node) for node in edges]
    done = 0

    for rerun in wanted:
        before = runs_of(key)
        try:
            told = preview_rerun(key, rerun, now=machine.now)
        except SpaneError as error:
            with pytest.raises(type(error)):
                rerun_from(key, rerun, now=machine.now)
            continue
        rerun_from(key, rerun, now=machine.now)
        require_kept(told, before, runs_of(key))
        machine.drain()
        done += 1

    assert done >= 3


@pytest.mark.parametrize("seed", range(12))
def test_in_the_latest_version_what_is_kept_is_what_was_foretold(machine: Machine, does, seed: int):
    edges, acts = any_graph(seed)
    does |= acts
    key = machine.begin(edges, nodes=dict.fromkeys(edges, ONCE))
    machine.drain()
    machine.publish({**edges, "n8": ["new"]}, nodes=dict.fromkeys(edges, ONCE))
    done = 0

    for rerun in (Rerun(start=From.NODE, node_id=node, version=In.LATEST) for node in edges):
        told = preview_rerun(key, rerun, now=machine.now)
        new = rerun_from(key, rerun, now=machine.now)
        completed = {node for node, (now, _) in runs_of(new.pk).items() if now == "completed"}
        assert (told.is_new, told.number, set(told.fates)) == (True, 2, {*edges, "new"})
        assert set(told.nodes(Fate.KEPT)) == completed
        done += 1

    assert done == len(edges)


def test_a_preview_changes_nothing(machine: Machine):
    key = machine.begin(DIAMOND)
    machine.drain()
    before = (runs_of(key), Execution.objects.count(), AuditEntry.objects.count())

    told = preview_rerun(key, Rerun(start=From.NODE, node_id="a"), now=machine.now)
    preview_replay(key)

    assert told.nodes(Fate.AGAIN) == ["a", "j", "k"]
    assert told.nodes(Fate.KEPT) == ["r", "b"]
    assert (runs_of(key), Execution.objects.count(), AuditEntry.objects.count()) == before


def test_what_is_under_way_elsewhere_goes_on(machine: Machine):
    key = machine.begin({"r": ["a", "b"]})
    machine.settle(machine.run(machine.claim(1)))
    (one, _other) = machine.claim()
    machine.settle(machine.run([one]))

    told = preview_rerun(key, Rerun(start=From.NODE, node_id=one.node_id), now=machine.now)

    other = ({"a", "b"} - {one.node_id}).pop()
    assert told.fates == {"r": Fate.KEPT, one.node_id: Fate.AGAIN, other: Fate.GOES_ON}


def test_the_mark_is_another_one_once_anything_else_would_happen(machine: Machine):
    key = machine.begin({"a": ["b"]})
    machine.settle(machine.run(machine.claim(1)))
    rerun = Rerun(start=From.NODE, node_id="a")

    first = preview_rerun(key, rerun, now=machine.now).mark
    unchanged = preview_rerun(key, rerun, now=machine.now).mark
    machine.drain()

    assert unchanged == first
    assert preview_rerun(key, Rerun(start=From.NODE, node_id="b"), now=machine.now).mark != first


def test_what_would_be_refused_is_refused(machine: Machine):
    key = machine.begin({"a": []})
    machine.drain()
    unknown = Rerun(start=From.NODE, node_id="x")

    with pytest.raises(NothingToRetry):
        preview_rerun(key, Rerun(), now=machine.now)
    with pytest.raises(SpaneError):
        preview_rerun(key, unknown, now=machine.now)
    with pytest.raises(UnknownExecution):
        preview_replay(uuid4())


def test_a_replay_can_be_given_another_input(machine: Machine):
    key = machine.begin({"a": []}, {"n": 1})
    machine.drain()

    again = replay(key, now=machine.now, input={"n": 2}, reason="a typo")
    machine.drain()

    assert execution(again.pk).input == {"n": 2}
    assert execution(key).input == {"n": 1}
    entry = AuditEntry.objects.get(verb="replay")
    assert (entry.after["input"], entry.reason) == ({"n": 2}, "a typo")


def test_a_replay_can_run_the_latest_version(machine: Machine):
    key = machine.begin({"a": []}, {"n": 1})
    machine.drain()
    machine.publish({"a": ["b"]})

    again = replay(key, now=machine.now, version=In.LATEST)
    machine.drain()

    assert preview_replay(key, In.LATEST).number == 2
    assert list(preview_replay(key, In.LATEST).fates) == ["a", "b"]
    assert status(again.pk) == "completed"
    assert outputs(again.pk).keys() == {"a", "b"}


def test_an_input_that_the_workflow_does_not_take_starts_no_replay(machine: Machine):
    schema = {"type": "object", "required": ["n"]}
    key = machine.begin({"a": []}, {"n": 1}, inputSchema=schema)

    with pytest.raises(InvalidInput):
        replay(key, now=machine.now, input={})

    assert Execution.objects.count() == 1
