"""Pure nodes run ahead of the commit that releases them, and nobody can tell."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from spane_django.core.outcome import Result
from spane_django.engine.control import cancel, pause
from spane_django.models import Attempt, LogLine
from spane_django.nodes.base import Context, Node, registry
from tests.doubles import bodies
from tests.engine.helpers import Machine, execution, outputs, status, statuses

pytestmark = pytest.mark.django_db

runs: list[str] = []


@registry.register
class PureNode(Node):
    """Does what the test says; promises to have no effects, and counts its runs all the same."""

    type = "pure"
    is_pure = True

    def execute(self, ctx: Context) -> Any:
        runs.append(ctx.node_id)
        ctx.log.info("looking")
        return bodies.get(ctx.node_id, lambda ctx: {"from": ctx.node_id, "got": ctx.input})(ctx)


@registry.register
class AsyncPureNode(Node):
    """Pure, but for the event loop."""

    type = "async-pure"
    is_pure = True

    async def execute(self, ctx: Context) -> Any:
        runs.append(ctx.node_id)


@pytest.fixture(autouse=True)
def _counted():
    runs.clear()


def begin(machine: Machine, edges: Any, *, impure: str = "a", **more: Any) -> Any:
    nodes = {*edges, *(child for children in edges.values() for child in children)}
    types = {name: "pure" for name in nodes if name not in impure}
    return machine.begin(edges, types=types, **more)


def go(machine: Machine) -> Any:
    """Claim, run and settle once."""
    return machine.settle(machine.run(machine.claim()), want=machine.want())


def test_a_chain_of_pure_nodes_is_committed_with_what_released_it(machine):
    key = begin(machine, {"a": ["b"], "b": ["c"], "c": ["d"]}, data={"x": 1})

    settlement = go(machine)

    assert (status(key), settlement.claims) == ("completed", [])
    assert runs == ["b", "c", "d"]
    assert outputs(key)["c"] == {"from": "c", "got": outputs(key)["b"]}
    assert LogLine.objects.filter(execution_id=key).count() == 3


def test_running_ahead_comes_to_what_running_step_by_step_comes_to(machine):
    edges = {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": ["e"]}
    first = begin(machine, edges, data=1)
    machine.drain()
    assert runs
    second = begin(machine, edges, impure="abcde", data=1, id="plain")
    bodies.update(dict.fromkeys("bcde", _told))
    machine.drain()

    assert statuses(first) == statuses(second)
    assert execution(first).output == execution(second).output


def _told(ctx: Context) -> Any:
    return {"from": ctx.node_id, "got": ctx.input}


def test_only_the_chosen_branch_runs_ahead(machine, does):
    does["a"] = lambda ctx: Result({}, next_nodes=["c"])
    key = begin(machine, {"a": ["b", "c"]})

    go(machine)

    assert runs == ["c"]
    assert statuses(key) == {"a": "completed", "b": "skipped", "c": "completed"}


def test_a_pure_node_that_fails_ahead_is_retried_like_any_other(machine, does):
    def fails(ctx: Context) -> Any:
        raise ValueError("odd")

    does["b"] = fails
    key = begin(machine, {"a": ["b"], "b": ["c"]})

    go(machine)

    assert statuses(key)["b"] == "ready"
    assert Attempt.objects.get().error_type == "ValueError"


def test_what_ran_ahead_of_a_lost_claim_is_forgotten(machine):
    key = begin(machine, {"a": ["b"]})
    finished = machine.run(machine.claim())
    cancel(key, now=machine.now)

    settlement = machine.settle(finished, want=machine.want())

    assert runs == ["b"]
    assert len(settlement.lost) == 1
    assert "b" not in statuses(key)


def test_nothing_is_committed_ahead_in_a_paused_execution(machine):
    key = begin(machine, {"a": ["b"]})
    finished = machine.run(machine.claim())
    pause(key, now=machine.now)

    machine.settle(finished, want=machine.want())

    assert statuses(key) == {"a": "completed", "b": "ready"}


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"maxConcurrency": 1}, "places are counted"),
        ({"nodes": {"b": {"queue": "other"}}}, "another worker's"),
        ({"nodes": {"b": {"join": "all_done"}}}, "another rule"),
    ],
)
def test_what_is_not_simply_next_does_not_run_ahead(machine, more, why):
    begin(machine, {"a": ["b"]}, **more)

    machine.run(machine.claim())

    assert runs == []


def test_an_async_node_does_not_run_ahead(machine):
    machine.begin({"a": ["b"]}, types={"b": "async-pure"})

    (finished,) = machine.run(machine.claim())

    assert (runs, finished.ahead) == ([], [])


def test_a_chain_of_pure_nodes_costs_one_transaction(machine):
    begin(machine, {"a": ["b"], "b": ["c"], "c": ["d"]})
    finished = machine.run(machine.claim())

    with CaptureQueriesContext(connection) as queries:
        machine.settle(finished, want=machine.want())

    begun = [query["sql"] for query in queries if query["sql"].startswith(("BEGIN", "SAVEPOINT"))]
    assert len(begun) == 1
