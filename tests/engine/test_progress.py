"""What follows from nodes that end: data, branches, joins and failures, in real rows."""

from __future__ import annotations

import pytest

from spane_django.core.outcome import Delay, Failure, Permanent, Result
from spane_django.models import NodeRun
from tests.engine.helpers import Machine, after, execution, node_run, outputs, status, statuses

pytestmark = pytest.mark.django_db

DIAMOND = {"r": ["a", "b"], "a": ["j"], "b": ["j"]}


def fail(ctx):
    raise Permanent("boom")


def choose(*nodes: str):
    return lambda ctx: Result({"chose": list(nodes)}, next_nodes=nodes)


def test_a_chain_hands_each_output_on_as_it_is(machine: Machine, does):
    does["a"] = lambda ctx: {"value": ctx.input["value"] + 1}
    does["b"] = lambda ctx: {"value": ctx.input["value"] * 2}

    key = machine.begin({"a": ["b"], "b": ["c"]}, {"value": 4})
    worked = machine.drain()

    assert worked == ["a", "b", "c"]
    assert outputs(key) == {"a": {"value": 5}, "b": {"value": 10}, "c": {"from": "c"}}
    assert (status(key), execution(key).active_nodes) == ("completed", 0)
    assert execution(key).finished_at == machine.now


@pytest.mark.parametrize("data", [0, False, "", [], None, {}, 1.5, "ü", {"x": [1, {"y": None}]}])
def test_an_output_reaches_the_child_unchanged(machine: Machine, does, data):
    received = []
    does["a"] = lambda ctx: data
    does["b"] = lambda ctx: received.append(ctx.input)

    machine.begin({"a": ["b"]})
    machine.drain()

    assert received == [data]
    assert type(received[0]) is type(data)


def test_every_root_is_started_and_receives_the_input(machine: Machine, does):
    does["a"] = does["b"] = lambda ctx: ctx.input
    does["j"] = lambda ctx: ctx.input

    key = machine.begin({"a": ["j"], "b": ["j"]}, {"n": 1})
    machine.drain()

    assert outputs(key)["j"] == {"a": {"n": 1}, "b": {"n": 1}}


def test_a_branch_that_is_not_taken_is_skipped_and_the_join_still_runs(machine: Machine, does):
    does["r"] = choose("a")
    does["j"] = lambda ctx: ctx.input

    key = machine.begin(DIAMOND)
    machine.drain()

    assert statuses(key) == {"r": "completed", "a": "completed", "b": "skipped", "j": "completed"}
    assert outputs(key)["j"] == {"a": {"from": "a"}}
    assert node_run(key, "b").reason == "no branch that was taken leads here"
    assert node_run(key, "b").finished_at == machine.now


def test_choosing_nobody_skips_everything_behind(machine: Machine, does):
    does["r"] = choose()

    key = machine.begin(DIAMOND)
    machine.drain()

    assert statuses(key) == {"r": "completed", "a": "skipped", "b": "skipped", "j": "skipped"}
    assert status(key) == "completed"


def test_a_join_that_every_parent_turns_away_from_is_skipped(machine: Machine, does):
    does["a"] = does["b"] = choose()

    key = machine.begin(DIAMOND)
    machine.step()
    seen = []
    for one in machine.claim():
        machine.settle(machine.run([one]))
        seen.append(statuses(key)["j"])

    assert seen == ["pending", "skipped"]
    assert status(key) == "completed"


def test_chosen_ids_that_are_no_children_are_ignored(machine: Machine, does):
    does["r"] = choose("j", "ghost", "a")

    key = machine.begin(DIAMOND)
    machine.drain()

    assert statuses(key) == {"r": "completed", "a": "completed", "b": "skipped", "j": "completed"}


def test_a_failure_blocks_its_descendants_and_independent_branches_go_on(machine: Machine, does):
    does["a"] = fail

    key = machine.begin({"r": ["a", "b"], "a": ["c"], "c": ["d"], "b": ["e"]})
    machine.drain()

    assert statuses(key) == {
        "r": "completed", "a": "failed", "c": "cancelled", "d": "cancelled",
        "b": "completed", "e": "completed",
    }  # fmt: skip
    assert node_run(key, "d").reason == "upstream failed"
    assert (status(key), execution(key).failed_nodes) == ("failed", 1)


def test_an_execution_with_a_failure_ends_only_when_nothing_is_left(machine: Machine, does):
    does["a"] = fail

    key = machine.begin({"r": ["a", "b"], "b": ["c"]})
    machine.step()
    machine.step()

    assert (status(key), statuses(key)["c"]) == ("running", "ready")
    machine.step()
    assert status(key) == "failed"


@pytest.mark.parametrize(
    ("join", "ran"),
    [("all", False), ("any", True), ("all_done", True), ("none_failed", False),
     ({"rule": "n_of_m", "n": 1}, True), ({"rule": "n_of_m", "n": 2}, False)],
)  # fmt: skip
def test_a_join_rule_says_what_a_failed_parent_means(machine: Machine, does, join, ran):
    does["a"] = fail

    key = machine.begin(DIAMOND, nodes={"j": {"join": join}})
    machine.drain()

    assert statuses(key)["j"] == ("completed" if ran else "cancelled")
    assert status(key) == "failed"


def test_a_failed_parent_that_counts_as_done_hands_on_its_error(machine: Machine, does):
    does["a"] = fail
    does["j"] = lambda ctx: ctx.input

    key = machine.begin(DIAMOND, nodes={"j": {"join": "all_done"}})
    machine.drain()

    assert outputs(key)["j"] == {"a": {"error": "boom"}, "b": {"from": "b"}}


def test_a_join_of_any_runs_once_at_the_first_live_edge(machine: Machine):
    key = machine.begin(DIAMOND, nodes={"j": {"join": "any"}})
    machine.step()
    a, b = machine.claim()
    machine.settle(machine.run([a]))

    assert statuses(key)["j"] == "ready"
    machine.step()
    machine.settle(machine.run([b]))
    assert machine.drain() == []
    assert (status(key), node_run(key, "j").attempt) == ("completed", 1)


def test_failing_fast_cancels_what_has_not_started_and_keeps_what_is_in_flight(
    machine: Machine, does
):
    does["a"] = fail
    edges = {"r": ["a", "b", "c"], "b": ["d"], "c": ["j"], "d": ["j"]}

    key = machine.begin(edges, failFast=True)
    machine.step()
    a, b = machine.claim(2)
    machine.settle(machine.run([a]))

    assert (status(key), statuses(key)["c"], statuses(key)["b"]) == (
        "running", "cancelled", "running",
    )  # fmt: skip
    machine.settle(machine.run([b]))
    assert statuses(key) == {
        "r": "completed", "a": "failed", "b": "completed", "c": "cancelled",
        "d": "cancelled", "j": "cancelled",
    }  # fmt: skip
    assert (status(key), execution(key).active_nodes) == ("failed", 0)


@pytest.mark.parametrize(
    "answer", [Failure(message="away"), Delay(after(60))], ids=["retried", "deferred"]
)
def test_after_failing_fast_what_was_in_flight_does_not_run_again(
    machine: Machine, does, answer: Failure | Delay
):
    does["a"] = fail
    key = machine.begin({"r": ["a", "b"]}, failFast=True)
    machine.step()
    a, b = machine.claim(2)
    machine.settle(machine.run([a]))

    machine.settle([machine.finish(b, answer)])

    assert statuses(key) == {"r": "completed", "a": "failed", "b": "cancelled"}
    assert (status(key), execution(key).active_nodes) == ("failed", 0)


def test_failing_fast_leaves_no_join_undecided(machine: Machine, does):
    does["a"] = fail
    edges = {"r": ["a", "b", "c"], "a": ["x"], "b": ["j"], "c": ["j"]}

    key = machine.begin(edges, failFast=True, nodes={"j": {"join": "all_done"}})
    machine.step()
    a, b, c = machine.claim()
    machine.settle(machine.run([b]))
    machine.settle(machine.run([a]))
    machine.settle(machine.run([c]))

    assert statuses(key)["j"] == "cancelled"
    assert "pending" not in statuses(key).values()


@pytest.mark.parametrize("rule", ["any", "all_done"])
def test_failing_fast_leaves_undecided_no_join_of_what_failed_and_what_was_cancelled_for_it(
    machine: Machine, does, rule: str
):
    does["a"] = fail
    edges = {"r": ["a", "b"], "a": ["j"], "b": ["j"], "j": ["k"]}

    key = machine.begin(edges, failFast=True, nodes={"j": {"join": rule}})
    machine.step()
    (a,) = machine.claim(1)
    machine.settle(machine.run([a]))

    assert (status(key), execution(key).active_nodes) == ("failed", 0)
    assert statuses(key) == {
        "r": "completed", "a": "failed", "b": "cancelled", "j": "cancelled", "k": "cancelled",
    }  # fmt: skip


def test_a_node_inherits_queue_and_priority_unless_it_says_otherwise(machine: Machine):
    nodes = {"b": {"priority": 9, "config": {"queue": "special"}}}

    key = machine.begin({"a": ["b"]}, nodes=nodes, priority=3, queue="spane")
    machine.drain()

    runs = {run.node_id: (run.queue, run.priority) for run in NodeRun.objects.all()}
    assert runs == {"a": ("spane", 3), "b": ("special", 9)}
    assert (status(key), Machine("special").step()) == ("running", ["b"])
    assert status(key) == "completed"


def test_a_wide_fan_out_and_its_join_keep_their_counts(machine: Machine, does):
    does["j"] = lambda ctx: len(ctx.input)
    middle = [f"m{index}" for index in range(60)]

    key = machine.begin({"r": middle, **{node: ["j"] for node in middle}})
    while machine.step(room=7):
        pass

    assert (outputs(key)["j"], status(key)) == (60, "completed")
