"""Running again: dead letters, nodes and whole executions."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.contrib.auth.models import User

from spane_django.core.outcome import Result
from spane_django.core.statuses import IllegalTransition
from spane_django.engine.control import UnknownExecution, cancel, pause, resume
from spane_django.engine.retry import (
    NothingToRetry,
    ResolvedDeadLetter,
    UnknownDeadLetter,
    UnknownNodeRun,
    discard_dead_letter,
    replay,
    rerun,
    retry_dead_letter,
    retry_failed,
)
from spane_django.models import Attempt, DeadLetter, Execution
from tests.engine.helpers import Machine, execution, node_run, outputs, status, statuses

pytestmark = pytest.mark.django_db

ONCE = {"config": {"retries": 0}}
DIAMOND = {"r": ["a", "b"], "a": ["j"], "b": ["j"], "j": ["k"]}


def fail(ctx):
    raise ValueError("boom")


def letter_of(node: str) -> int:
    return DeadLetter.objects.open().get(node_id=node).pk


def broken(machine: Machine, does, *nodes: str, edges=None, **workflow):
    """Run a workflow to the end in which some nodes fail; then mend them."""
    for node in nodes:
        does[node] = fail
    key = machine.begin(edges or DIAMOND, nodes=dict.fromkeys(nodes, ONCE), **workflow)
    machine.drain()
    for node in nodes:
        del does[node]
    return key


def test_a_retried_dead_letter_runs_its_node_and_what_hangs_on_it(machine: Machine, does):
    ada = User.objects.create(username="ada")
    key = broken(machine, does, "a")
    assert statuses(key) == {
        "r": "completed", "a": "failed", "b": "completed", "j": "cancelled", "k": "cancelled",
    }  # fmt: skip

    letter = retry_dead_letter(letter_of("a"), now=machine.now, by=ada)

    assert (status(key), execution(key).finished_at) == ("running", None)
    assert statuses(key)["a"] == "ready"
    assert machine.drain() == ["a", "j", "k"]
    assert (status(key), execution(key).failed_nodes) == ("completed", 0)
    assert set(statuses(key).values()) == {"completed"}
    letter.refresh_from_db()
    assert (letter.resolution, letter.resolved_by, letter.resolved_at) == (
        "retried", ada, machine.now,
    )  # fmt: skip


def test_a_retry_counts_on_but_its_budget_is_fresh(machine: Machine, does):
    does["a"] = fail
    key = machine.begin({"a": []}, nodes={"a": {"config": {"retries": 1}}})
    for _ in range(2):
        machine.step()
        machine.wait(5)
    assert status(key) == "failed"

    retry_dead_letter(letter_of("a"), now=machine.now)
    machine.step()

    assert (statuses(key)["a"], node_run(key, "a").attempt) == ("ready", 4)
    machine.wait(5)
    machine.step()
    assert statuses(key)["a"] == "failed"
    assert [one.number for one in Attempt.objects.order_by("number")] == [1, 2, 3, 4]
    assert DeadLetter.objects.open().get().attempts == 4


def test_a_retry_that_fails_again_leaves_a_new_dead_letter(machine: Machine, does):
    key = broken(machine, does, "a")
    does["a"] = fail

    retry_dead_letter(letter_of("a"), now=machine.now)
    machine.drain()

    assert (status(key), statuses(key)["j"]) == ("failed", "cancelled")
    assert DeadLetter.objects.count() == 2
    assert DeadLetter.objects.open().count() == 1


def test_retrying_one_of_two_failures_leaves_what_the_other_blocks(machine: Machine, does):
    key = broken(machine, does, "a", "b")

    retry_dead_letter(letter_of("a"), now=machine.now)

    assert machine.drain() == ["a"]
    assert (status(key), execution(key).failed_nodes) == ("failed", 1)
    assert statuses(key)["j"] == "cancelled"


@pytest.mark.parametrize("join", ["all", "any", "all_done", "none_failed"])
def test_retrying_all_that_failed_finishes_the_execution(machine: Machine, does, join):
    for node in ("a", "b"):
        does[node] = fail
    key = machine.begin(DIAMOND, nodes={"a": ONCE, "b": ONCE, "j": {"join": join}})
    machine.drain()
    for node in ("a", "b"):
        del does[node]

    retry_failed(key, now=machine.now)
    machine.drain()

    assert (status(key), execution(key).failed_nodes) == ("completed", 0)
    assert set(statuses(key).values()) == {"completed"}
    assert (node_run(key, "j").attempt, DeadLetter.objects.open().count()) == (1, 0)


@pytest.mark.parametrize("join", ["all_done", "none_failed"])
def test_what_ran_in_spite_of_the_failure_does_not_run_again(machine: Machine, does, join):
    ran: list[str] = []
    does["c"] = lambda ctx: ran.append("c")
    does["a"] = fail
    edges = {"a": ["b"], "b": ["c"]}
    key = machine.begin(edges, nodes={"a": ONCE, "c": {"join": join}})
    machine.drain()
    before = list(ran)
    del does["a"]

    retry_failed(key, now=machine.now)
    machine.drain()

    assert ran == ["c"]
    assert before == (["c"] if join == "all_done" else [])
    assert (status(key), execution(key).active_nodes) == ("completed", 0)


def test_retrying_after_failing_fast_finishes_what_was_cut_off(machine: Machine, does):
    does["a"] = fail
    edges = {"r": ["a", "b", "c"], "b": ["d"], "c": ["j"], "d": ["j"]}
    key = machine.begin(edges, failFast=True, nodes={"a": ONCE})
    machine.step()
    a, _b, c = machine.claim()
    machine.settle(machine.run([a]))
    machine.settle(machine.run([c]))
    machine.settle(machine.run([_b]))
    assert (status(key), statuses(key)["j"]) == ("failed", "cancelled")
    del does["a"]

    retry_failed(key, now=machine.now)
    machine.drain()

    assert (status(key), execution(key).active_nodes) == ("completed", 0)
    assert set(statuses(key).values()) == {"completed"}
    assert {node_run(key, node).attempt for node in "rbcdj"} == {1}


def test_a_branch_that_was_not_taken_stays_so_unless_the_choice_is_made_anew(
    machine: Machine, does
):
    does["r"] = lambda ctx: Result(None, next_nodes=["a"])
    key = broken(machine, does, "a")
    assert statuses(key)["b"] == "skipped"

    retry_failed(key, now=machine.now)
    machine.drain()
    assert (status(key), statuses(key)["b"]) == ("completed", "skipped")

    does["r"] = lambda ctx: Result(None, next_nodes=["a", "b"])
    rerun(key, "r", now=machine.now)
    machine.drain()
    assert (status(key), statuses(key)["b"]) == ("completed", "completed")
    assert (node_run(key, "r").attempt, node_run(key, "a").attempt) == (2, 2)


def test_a_node_that_is_run_again_waits_for_nobody_and_runs_its_children_once(
    machine: Machine, does
):
    does["a"] = lambda ctx: ctx.attempt
    key = machine.begin({"a": ["b"], "b": ["c"]})
    machine.drain()

    rerun(key, "a", now=machine.now)

    assert machine.drain() == ["a"]
    assert (outputs(key)["a"], status(key), execution(key).active_nodes) == (2, "completed", 0)


def test_a_node_may_be_run_again_while_others_still_run(machine: Machine):
    key = machine.begin({"a": ["j"], "b": ["j"]})
    a, b = machine.claim()
    machine.settle(machine.run([a]))

    rerun(key, "a", now=machine.now)
    machine.settle(machine.run([b]))

    assert statuses(key) == {"a": "ready", "b": "completed", "j": "pending"}
    assert machine.drain() == ["a", "j"]
    assert (status(key), execution(key).active_nodes) == ("completed", 0)


def test_what_is_run_again_in_a_paused_execution_waits_for_the_resume(machine: Machine):
    key = machine.begin({"a": ["b"]})
    machine.step()
    pause(key, now=machine.now)
    rerun(key, "a", now=machine.now)

    assert (status(key), machine.claim()) == ("paused", [])
    resume(key, now=machine.now)
    assert sorted(machine.drain()) == ["a", "b"]
    assert status(key) == "completed"


def test_a_node_of_a_cancelled_execution_may_be_run_and_all_goes_on(machine: Machine):
    key = machine.begin({"a": ["c"], "b": ["d"]})
    cancel(key, now=machine.now)

    rerun(key, "a", now=machine.now)
    machine.drain()

    assert (status(key), execution(key).active_nodes) == ("completed", 0)
    assert statuses(key) == dict.fromkeys("abcd", "completed")


def test_a_node_that_was_skipped_may_be_run_after_all(machine: Machine, does):
    does["r"] = lambda ctx: Result(None, next_nodes=["b"])
    key = machine.begin({"r": ["a", "b"], "a": ["c"]})
    machine.drain()
    assert statuses(key) == {"r": "completed", "a": "skipped", "b": "completed", "c": "skipped"}

    rerun(key, "a", now=machine.now)

    assert machine.drain() == ["a", "c"]
    assert (status(key), node_run(key, "a").attempt) == ("completed", 1)


def test_only_what_has_ended_can_be_run_again(machine: Machine):
    key = machine.begin({"a": ["b"]})
    machine.claim()

    with pytest.raises(IllegalTransition, match="it is running"):
        rerun(key, "a", now=machine.now)
    with pytest.raises(UnknownNodeRun, match="no run of node 'b'"):
        rerun(key, "b", now=machine.now)
    with pytest.raises(UnknownExecution):
        rerun(uuid4(), "a", now=machine.now)


def test_running_a_failed_node_again_deals_with_its_dead_letter(machine: Machine, does):
    ada = User.objects.create(username="ada")
    key = broken(machine, does, "a")

    rerun(key, "a", now=machine.now, by=ada)

    letter = DeadLetter.objects.get()
    assert (letter.resolution, letter.resolved_by) == ("retried", ada)
    machine.drain()
    assert (status(key), DeadLetter.objects.open().count()) == ("completed", 0)


def test_a_discarded_dead_letter_leaves_its_execution_failed(machine: Machine, does):
    key = broken(machine, does, "a")

    letter = discard_dead_letter(letter_of("a"), now=machine.now)

    assert (letter.resolution, status(key), machine.claim()) == ("discarded", "failed", [])
    with pytest.raises(NothingToRetry):
        retry_failed(key, now=machine.now)


@pytest.mark.parametrize("verb", [retry_dead_letter, discard_dead_letter])
def test_a_dead_letter_is_dealt_with_once(machine: Machine, does, verb):
    broken(machine, does, "a")
    letter = letter_of("a")
    discard_dead_letter(letter, now=machine.now)

    with pytest.raises(ResolvedDeadLetter, match="discarded already"):
        verb(letter, now=machine.now)
    with pytest.raises(UnknownDeadLetter):
        verb(letter + 1, now=machine.now)


def test_a_replay_is_a_new_execution_of_the_same_version_with_the_same_input(machine: Machine):
    ada = User.objects.create(username="ada")
    machine.publish({"a": []})
    first = machine.start({"n": 1}, priority=8)
    machine.drain()
    machine.publish({"a": ["b"]})

    second = replay(first, now=machine.now, by=ada)
    third = replay(second.pk, now=machine.now)
    machine.drain()

    assert (second.replay_of_id, third.replay_of_id) == (first, second.pk)
    assert (second.input, second.priority, second.started_by) == ({"n": 1}, 8, ada)
    assert {row.version.number for row in Execution.objects.all()} == {1}
    assert statuses(third.pk) == {"a": "completed"}


def test_what_does_not_exist_cannot_be_replayed(db, machine: Machine):
    with pytest.raises(UnknownExecution, match="not found"):
        replay(uuid4(), now=machine.now)
