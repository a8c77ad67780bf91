"""Moving live executions to another version: where what has begun maps, and nowhere else."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.contrib.auth.models import User

from spane_django.core.outcome import Delay, Result
from spane_django.engine.control import UnknownExecution, cancel, pause, resume
from spane_django.engine.drafts import UnknownVersion, WrongVersionStatus, archive
from spane_django.engine.migrate import Unmovable, migrate, movable, preview
from spane_django.engine.retry import retry_failed
from spane_django.models import AuditEntry, DeadLetter, Execution, LogLine
from tests.engine.helpers import (
    Machine,
    execution,
    node_run,
    outputs,
    status,
    statuses,
)

pytestmark = pytest.mark.django_db

CHAIN = {"a": ["b"], "b": ["c"]}
ONCE = {"config": {"retries": 0}}


def fail(ctx):
    raise ValueError("boom")


def half(machine: Machine, edges=CHAIN, **more):
    """Return an execution of which the roots have ended."""
    key = machine.begin(edges, **more)
    machine.step()
    return key


def codes(refused) -> set[tuple[str, str]]:
    return {(fault.path, fault.code) for fault in refused.value.faults}


def test_an_execution_goes_on_by_the_new_version(machine: Machine, does):
    does["a"] = lambda ctx: "old"
    key = half(machine)
    machine.publish({"a": ["x"], "x": ["b"], "b": ["d"]})

    moved = migrate(key, 2, now=machine.now)

    assert moved.version.number == 2
    assert statuses(key) == {"a": "completed", "x": "ready"}
    assert machine.drain() == ["x", "b", "d"]
    assert status(key) == "completed"
    assert outputs(key)["a"] == "old"


def test_moving_and_moving_back_changes_nothing(machine: Machine, does):
    does["r"] = lambda ctx: Result(next_nodes=["a", "j"])
    diamond = {"r": ["a", "b", "j"], "a": ["j"], "b": ["j"], "j": []}
    key = half(machine, diamond)
    machine.publish(diamond, description="the same")
    before = statuses(key), execution(key).active_nodes

    for number in (2, 1):
        migrate(key, number, now=machine.now)

    assert (statuses(key), execution(key).active_nodes) == before
    assert node_run(key, "j").open_edges == 1
    assert machine.drain() == ["a", "j"]
    assert status(key) == "completed"


def test_a_preview_tells_what_the_move_then_does(machine: Machine):
    key = half(machine)
    machine.publish({"a": ["x", "y"], "x": ["c"]})

    (move,) = preview([key], 2)
    told = statuses(key)
    migrate(key, 2, now=machine.now)

    assert move.is_possible
    assert (move.from_number, move.to_number) == (1, 2)
    assert told == {"a": "completed", "b": "ready"}
    assert (move.starts, move.drops) == (["x", "y"], ["b"])
    assert statuses(key) == {"a": "completed", "x": "ready", "y": "ready"}


def test_a_node_that_runs_holds_the_move_up(machine: Machine):
    key = half(machine)
    claim = machine.claim_one()
    machine.publish(CHAIN, description="new")

    with pytest.raises(Unmovable, match="running") as refused:
        migrate(key, 2, now=machine.now)

    assert codes(refused) == {("nodes.b", "node_running")}
    machine.settle(machine.run([claim]))
    assert migrate(key, 2, now=machine.now).version.number == 2


def test_every_reason_is_told(machine: Machine, does):
    does["a"] = lambda ctx: Result(next_nodes=["b"])
    key = machine.begin({"a": ["b"], "z": []})
    machine.step()
    machine.publish(
        {"a": ["q"]}, types={"a": "set"}, nodes={"a": {"config": {"values": {}}}},
        inputSchema={"type": "object"},
    )  # fmt: skip

    with pytest.raises(Unmovable) as refused:
        migrate(key, 2, now=machine.now)

    assert codes(refused) == {
        ("nodes.a", "node_type"),
        ("nodes.a", "edge_missing"),
        ("nodes.z", "node_missing"),
        ("input", "schema"),
    }
    assert execution(key).version.number == 1
    assert preview([key], 2)[0].faults == refused.value.faults


def test_nodes_may_have_other_ids_there(machine: Machine, does):
    does["a"] = lambda ctx: ctx.log.info("hello") or Result("kept", next_nodes=["b"])
    key = half(machine)
    machine.publish({"first": ["second"], "second": ["c"]})

    migrate(key, 2, now=machine.now, rename={"a": "first", "b": "second"})

    assert statuses(key) == {"first": "completed", "second": "ready"}
    assert node_run(key, "first").next_nodes == ["second"]
    assert LogLine.objects.get(execution=key).node_id == "first"
    assert machine.drain() == ["second", "c"]
    assert outputs(key)["first"] == "kept"


def test_ids_may_be_swapped_but_not_shared(machine: Machine, does):
    does.update(a=lambda ctx: "A", b=lambda ctx: "B")
    key = half(machine, {"a": ["c"], "b": ["c"]})
    machine.publish({"a": ["c"], "b": ["c"]}, description="new")

    with pytest.raises(Unmovable) as refused:
        migrate(key, 2, now=machine.now, rename={"a": "b"})
    migrate(key, 2, now=machine.now, rename={"a": "b", "b": "a"})

    assert codes(refused) == {("nodes.a", "node_twice"), ("nodes.b", "node_twice")}
    assert outputs(key) == {"a": "B", "b": "A"}


def test_what_sleeps_goes_on_where_it_was(machine: Machine, does):
    def sleep(ctx):
        return "awake" if ctx.checkpoint else Delay(machine.now.replace(hour=13), checkpoint=1)

    does["a"] = sleep
    key = half(machine)
    machine.publish({"a": ["c"]}, queue="spane", priority=7)

    migrate(key, 2, now=machine.now)

    assert statuses(key) == {"a": "waiting"}
    machine.wait(3_600)
    assert machine.drain() == ["a", "c"]
    assert outputs(key)["a"] == "awake"


def test_a_retry_in_progress_keeps_its_attempts_and_goes_to_its_new_queue_and_gate(
    machine: Machine, does
):
    does["a"] = fail
    key = machine.begin({"a": ["b"]}, nodes={"a": {"config": {"retries": 5}}})
    machine.step()
    limit = {"name": "mail", "max": 1}
    there = {"config": {"retries": 5}, "queue": "other", "limit": limit}
    machine.publish({"a": ["b"]}, nodes={"a": there})

    migrate(key, 2, now=machine.now)

    run = node_run(key, "a")
    assert run.gate != ""
    assert (run.status, run.attempt, run.failures, run.queue) == ("ready", 2, 1, "other")


def test_what_was_inserted_before_a_node_that_has_begun_is_passed_over(machine: Machine, does):
    does["b"] = fail
    patient = {"b": {"config": {"retries": 5}}}
    key = half(machine, nodes=patient)
    machine.step()
    machine.publish({"a": ["x"], "x": ["b"], "b": ["c"]}, nodes=patient)

    migrate(key, 2, now=machine.now)
    del does["b"]
    machine.wait(60)

    assert statuses(key) == {"a": "completed", "x": "skipped", "b": "ready"}
    assert machine.drain() == ["b", "c"]
    assert (status(key), execution(key).active_nodes) == ("completed", 0)


def test_what_has_begun_cannot_come_behind_what_is_still_to_run(machine: Machine):
    key = half(machine, {"a": ["b"], "b": [], "z": ["y"]})
    machine.publish({"z": ["y"], "y": ["a"], "a": ["b"]})

    with pytest.raises(Unmovable) as refused:
        migrate(key, 2, now=machine.now)

    assert codes(refused) == {("nodes.a", "node_too_early")}


def test_a_claim_that_began_before_the_move_does_not_take_what_was_due(machine: Machine, does):
    does["a"] = fail
    key = machine.begin({"a": []}, nodes={"a": {"config": {"retries": 5}}})
    machine.step()
    machine.wait(60)
    machine.publish({"a": ["b"]}, nodes={"a": {"config": {"retries": 5}}})

    migrate(key, 2, now=machine.now)

    assert machine.claim() == []
    machine.wait(1)
    assert machine.claim_one().node_id == "a"


def test_the_limit_of_nodes_at_once_is_that_of_the_new_version(machine: Machine):
    key = half(machine, {"r": ["a", "b", "c"]})
    machine.publish({"r": ["a", "b", "c"]}, maxConcurrency=2)

    migrate(key, 2, now=machine.now)

    assert len(machine.claim()) == 2
    assert statuses(key)["r"] == "completed"


def test_a_map_between_versions_leaves_its_children_where_they_are(machine: Machine):
    body = {"type": "set", "config": {"values": {"n": 1}}}
    mapped = {"m": {"config": {"items": "items", "node": body}}}
    key = machine.begin({"m": []}, {"items": [{}, {}]}, types={"m": "map"}, nodes=mapped)
    machine.step(room=1)
    machine.publish({"m": ["last"]}, types={"m": "map"}, nodes=mapped)
    children = Execution.objects.filter(parent=key)
    assert children.count() == 2

    migrate(key, 2, now=machine.now)
    for _ in range(3):
        machine.wait(2)
        machine.drain()

    assert set(children.values_list("version__number", "status")) == {(1, "completed")}
    assert (status(key), statuses(key)) == ("completed", {"m": "completed", "last": "completed"})


def test_a_paused_execution_stays_paused(machine: Machine):
    key = half(machine)
    pause(key, now=machine.now)
    machine.publish({"a": ["x"]})

    migrate(key, 2, now=machine.now)

    assert (status(key), machine.drain()) == ("paused", [])
    resume(key, now=machine.now)
    assert machine.drain() == ["x"]


def test_an_execution_that_has_not_started_starts_in_the_new_version(machine: Machine):
    machine.publish(CHAIN)
    key = machine.start(start_at=machine.now.replace(hour=13))
    machine.publish({"z": []})

    migrate(key, 2, now=machine.now)
    assert statuses(key) == {}
    pause(key, now=machine.now)
    machine.wait(3_600)
    resume(key, now=machine.now)

    assert machine.drain() == ["z"]
    assert status(key) == "completed"


def test_an_execution_with_nothing_left_to_do_there_ends(machine: Machine):
    key = half(machine)
    machine.publish({"a": []})

    migrate(key, 2, now=machine.now)

    assert (status(key), execution(key).finished_at) == ("completed", machine.now)
    assert statuses(key) == {"a": "completed"}


def test_a_new_root_runs(machine: Machine):
    key = half(machine)
    machine.publish({**CHAIN, "new": []})

    migrate(key, 2, now=machine.now)

    assert sorted(machine.drain()) == ["b", "c", "new"]


def test_a_failed_execution_is_mended_by_a_new_version_and_a_retry(machine: Machine, does):
    does["b"] = fail
    key = machine.begin({"a": ["b", "s"], "b": ["c"]}, nodes={"b": ONCE})
    machine.drain()
    del does["b"]
    machine.publish({"a": ["b", "s"], "b": ["d"], "d": ["e"]}, nodes={"b": ONCE})

    migrate(key, 2, now=machine.now)

    assert status(key) == "failed"
    assert statuses(key) == {
        "a": "completed", "b": "failed", "s": "completed", "d": "cancelled", "e": "cancelled",
    }  # fmt: skip
    retry_failed(key, now=machine.now)
    assert machine.drain() == ["b", "d", "e"]
    assert (status(key), execution(key).failed_nodes) == ("completed", 0)


def test_a_dead_letter_follows_its_node(machine: Machine, does):
    does["b"] = fail
    key = machine.begin({"a": ["b"]}, nodes={"b": ONCE})
    machine.drain()
    del does["b"]
    machine.publish({"a": ["sent"]}, nodes={"sent": ONCE})

    migrate(key, 2, now=machine.now, rename={"b": "sent"})
    retry_failed(key, now=machine.now)

    assert DeadLetter.objects.get().node_id == "sent"
    assert machine.drain() == ["sent"]
    assert status(key) == "completed"


def test_a_version_that_fails_fast_ends_what_has_a_failure(machine: Machine, does):
    does["x"] = fail
    key = machine.begin({"x": [], "y": ["z"]}, nodes={"x": ONCE})
    machine.step()
    machine.publish({"x": [], "y": ["z"]}, nodes={"x": ONCE}, failFast=True)

    migrate(key, 2, now=machine.now)

    assert status(key) == "failed"
    assert statuses(key) == {"x": "failed", "y": "completed", "z": "cancelled"}


@pytest.mark.parametrize("join", [{"rule": "any"}, {"rule": "n_of_m", "n": 1}])
def test_what_a_join_went_on_without_stays_so(machine: Machine, does, join):
    nodes = {"j": {"join": join, "losers": "cancel"}, "b": {"config": {"retries": 5}}}
    does["b"] = fail
    key = machine.begin({"r": ["a", "b"], "a": ["j"], "b": ["k"], "k": ["j"]}, nodes=nodes)
    machine.step()
    machine.step(room=1)
    machine.publish(
        {"r": ["a", "b"], "a": ["j"], "b": ["k"], "k": ["j"]}, nodes=nodes, description="new"
    )

    migrate(key, 2, now=machine.now)

    assert statuses(key) | {"b": "", "k": ""} == {
        "r": "completed", "a": "completed", "j": "ready", "b": "", "k": "",
    }  # fmt: skip
    assert {statuses(key)["b"], statuses(key)["k"]} == {"cancelled"}
    assert machine.drain() == ["j"]
    assert (status(key), execution(key).active_nodes) == ("completed", 0)


def test_what_has_ended_is_not_moved(machine: Machine):
    done = half(machine, {"a": []})
    stopped = machine.start()
    cancel(stopped, now=machine.now)
    machine.publish({"a": ["b"]})

    for key in (done, stopped):
        with pytest.raises(Unmovable) as refused:
            migrate(key, 2, now=machine.now)
        assert codes(refused) == {("", "ended")}


def test_only_a_published_version_of_the_same_workflow_is_a_target(machine: Machine):
    key = half(machine)
    machine.publish({"a": []})
    machine.publish(CHAIN, description="new")
    archive("w", 2, now=machine.now)

    with pytest.raises(UnknownVersion):
        migrate(key, 9, now=machine.now)
    with pytest.raises(WrongVersionStatus, match="archived"):
        migrate(key, 2, now=machine.now)
    with pytest.raises(UnknownExecution):
        migrate(uuid4(), 3, now=machine.now)
    with pytest.raises(UnknownExecution):
        preview([uuid4()], 3)
    with pytest.raises(Unmovable, match="already"):
        migrate(key, 1, now=machine.now)


def test_who_moved_what_and_why_is_kept(machine: Machine):
    ada = User.objects.create(username="ada")
    key = half(machine)
    machine.publish({"a": []})

    migrate(key, 2, now=machine.now, by=ada, reason="the new form")

    entry = AuditEntry.objects.get(verb="migrate")
    assert (entry.user, entry.execution_id, entry.reason) == (ada, key, "the new form")
    assert (entry.before, entry.after) == ({"version": 1}, {"version": 2})


def test_the_executions_of_a_workflow_that_run_another_version_are_found(machine: Machine):
    first = half(machine)
    half(machine, {"a": []})
    machine.publish({"a": ["b"]})
    second = machine.start()

    assert list(movable("w", 2).values_list("pk", flat=True)) == [first, second]
    assert list(movable("w", 2, from_number=1)) == [execution(first)]
    assert list(movable("w", 3)) == [execution(first)]
