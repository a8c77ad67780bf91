"""What operators do to single nodes by hand, and what follows from it."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db.models import QuerySet

from spane_django.core.errors import InvalidInput
from spane_django.core.outcome import Delay, Result
from spane_django.core.statuses import IllegalTransition
from spane_django.engine.by_hand import complete, skip
from spane_django.engine.control import UnknownExecution, cancel, pause, resume
from spane_django.engine.migrate import migrate
from spane_django.engine.operate import (
    NothingToReassign,
    NotWaitingForTime,
    reassign,
    retry_now,
)
from spane_django.engine.reopen import UnknownNodeRun
from spane_django.models import AuditEntry, DeadLetter, Execution
from tests.engine.helpers import Machine, execution, node_run, outputs, status, statuses

pytestmark = pytest.mark.django_db

ONCE = {"config": {"retries": 0}}
CHAIN = {"a": ["b"], "b": ["c"]}
DIAMOND = {"r": ["a", "b"], "a": ["j"], "b": ["j"], "j": ["k"]}


def fail(ctx):
    raise ValueError("boom")


def entries() -> QuerySet[AuditEntry]:
    """Return what was done to executions."""
    return AuditEntry.objects.exclude(verb="publish")


def the_entry() -> AuditEntry:
    return entries().get()


def counts(key) -> tuple[int, int]:
    row = execution(key)
    return row.active_nodes, row.failed_nodes


def test_a_retry_that_waits_is_made_now(machine: Machine, does, wakes):
    does["a"] = fail
    key = machine.begin({"a": []}, nodes={"a": {"config": {"retries": 3}}})
    machine.step()
    assert machine.claim() == []
    wakes.clear()

    ada = User.objects.create(username="ada")
    retry_now(key, "a", now=machine.now, by=ada, reason="the partner is back")

    del does["a"]
    assert machine.drain() == ["a"]
    assert status(key) == "completed"
    entry = the_entry()
    assert (entry.verb, entry.target, entry.user) == ("retry-now", "a", ada)
    assert entry.reason == "the partner is back"
    assert entry.before["availableAt"] > entry.after["availableAt"]


def test_a_delay_is_over_when_an_operator_says_so(machine: Machine, does):
    does["a"] = lambda ctx: (
        Result("done") if ctx.checkpoint else Delay(ctx.now.replace(year=2031), {"slept": 1})
    )
    key = machine.begin({"a": []})
    machine.step()
    assert statuses(key) == {"a": "waiting"}

    retry_now(key, "a", now=machine.now)

    machine.drain()
    assert (status(key), outputs(key)) == ("completed", {"a": "done"})


@pytest.mark.parametrize("prepare", ["ready", "running", "completed"])
def test_what_waits_for_no_time_is_not_hurried(machine: Machine, prepare):
    key = machine.begin({"a": ["b"]})
    if prepare != "ready":
        claims = machine.claim()
    if prepare == "completed":
        machine.settle(machine.run(claims))

    with pytest.raises(NotWaitingForTime):
        retry_now(key, "a", now=machine.now)

    assert not entries().exists()


def test_of_a_paused_execution_a_hurried_node_goes_on_after_the_pause(machine: Machine, does):
    does["a"] = fail
    key = machine.begin({"a": []}, nodes={"a": {"config": {"retries": 3}}})
    machine.step()
    pause(key, now=machine.now)

    retry_now(key, "a", now=machine.now)

    assert machine.claim() == []
    resume(key, now=machine.now)
    assert [one.node_id for one in machine.claim()] == ["a"]


def test_a_skipped_node_is_left_out_and_what_hangs_on_it_alone_with_it(machine: Machine):
    key = machine.begin(DIAMOND)
    machine.step()

    skipped = skip(key, "a", now=machine.now, reason="no longer wanted")

    assert statuses(key)["a"] == "skipped"
    assert node_run(key, "a").reason == "skipped by hand: no longer wanted"
    assert (skipped.status, counts(key)) == ("running", (1, 0))
    assert machine.drain() == ["b", "j", "k"]
    assert status(key) == "completed"
    entry = the_entry()
    assert (entry.verb, entry.before, entry.after) == (
        "skip", {"status": "ready"}, {"status": "skipped"},
    )  # fmt: skip


def test_an_execution_whose_last_node_is_skipped_is_over(machine: Machine):
    key = machine.begin(CHAIN)

    ended = skip(key, "a", now=machine.now)

    assert (ended.status, ended.active_nodes) == ("completed", 0)
    assert statuses(key) == {"a": "skipped", "b": "skipped", "c": "skipped"}


def test_skipping_a_node_that_failed_lets_go_what_it_blocked(machine: Machine, does):
    does["a"] = fail
    ada = User.objects.create(username="ada")
    key = machine.begin(DIAMOND, nodes={"a": ONCE})
    machine.drain()
    assert (status(key), statuses(key)["j"]) == ("failed", "cancelled")

    skip(key, "a", now=machine.now, by=ada)

    assert (status(key), counts(key)) == ("running", (1, 0))
    assert machine.drain() == ["j", "k"]
    assert status(key) == "completed"
    letter = DeadLetter.objects.get()
    assert (letter.resolution, letter.resolved_by) == ("skipped", ada)
    assert the_entry().before == {"status": "failed"}


def test_skipping_what_failed_ends_an_execution_in_which_nothing_is_left(machine: Machine, does):
    does["a"] = fail
    key = machine.begin({"a": ["b"]}, nodes={"a": ONCE})
    machine.drain()

    skip(key, "a", now=machine.now)

    assert (status(key), counts(key)) == ("completed", (0, 0))
    assert statuses(key) == {"a": "skipped", "b": "skipped"}


def test_a_worker_whose_node_was_skipped_cannot_settle_it(machine: Machine):
    key = machine.begin(CHAIN)
    claims = machine.claim()

    skip(key, "a", now=machine.now)

    late = machine.settle(machine.run(claims))
    assert len(late.lost) == 1
    assert statuses(key)["a"] == "skipped"


def test_a_waiting_node_is_skipped(machine: Machine, does):
    does["a"] = lambda ctx: Delay(ctx.now.replace(year=2031))
    key = machine.begin(CHAIN)
    machine.step()

    skip(key, "a", now=machine.now)

    assert (status(key), counts(key)) == ("completed", (0, 0))


def test_a_node_completed_by_hand_hands_its_output_on(machine: Machine, does):
    does["b"] = lambda ctx: ctx.input
    key = machine.begin(CHAIN)

    complete(key, "a", {"price": 7}, now=machine.now, reason="looked up by phone")

    assert node_run(key, "a").reason == "completed by hand: looked up by phone"
    assert counts(key) == (1, 0)
    assert machine.drain() == ["b", "c"]
    assert (status(key), outputs(key)["b"]) == ("completed", {"price": 7})
    entry = the_entry()
    assert entry.verb == "complete"
    assert entry.after == {"status": "completed", "output": {"price": 7}, "nextNodes": None}


def test_a_node_completed_by_hand_chooses_its_children(machine: Machine):
    key = machine.begin({"a": ["b", "c"]})

    complete(key, "a", 1, next_nodes=["c"], now=machine.now)

    machine.drain()
    assert statuses(key) == {"a": "completed", "b": "skipped", "c": "completed"}


def test_a_node_completed_by_hand_takes_no_error_branch(machine: Machine):
    key = machine.begin({"a": ["b", "e"]}, nodes={"a": {"onFail": "branch", "errorOutputs": ["e"]}})

    complete(key, "a", 1, now=machine.now)

    machine.drain()
    assert statuses(key) == {"a": "completed", "b": "completed", "e": "skipped"}


def test_what_was_given_by_hand_moves_to_another_version_with_its_execution(machine: Machine):
    key = machine.begin(CHAIN)
    complete(key, "a", {"price": 7}, now=machine.now)
    machine.publish({**CHAIN, "c": ["d"]})

    migrate(key, 2, now=machine.now)

    assert outputs(key) == {"a": {"price": 7}}
    assert machine.drain() == ["b", "c", "d"]
    assert status(key) == "completed"


@pytest.mark.parametrize("when", ["running", "waiting", "failed"])
def test_a_node_is_completed_whatever_became_of_it(machine: Machine, does, when):
    does["a"] = {"waiting": lambda ctx: Delay(ctx.now.replace(year=2031)), "failed": fail}.get(when)
    key = machine.begin(CHAIN, nodes={"a": ONCE})
    claims = machine.claim()
    if when != "running":
        machine.settle(machine.run(claims))
    assert statuses(key)["a"] == when

    complete(key, "a", "given", now=machine.now)

    if when == "running":
        does.clear()
        assert len(machine.settle(machine.run(claims)).lost) == 1
    assert outputs(key) == {"a": "given"}
    assert counts(key) == (1, 0)
    assert machine.drain() == ["b", "c"]
    assert status(key) == "completed"
    assert [letter.resolution for letter in DeadLetter.objects.all()] == (
        ["completed"] if when == "failed" else []
    )


def test_what_is_given_by_hand_is_refused_with_every_fault(machine: Machine, settings):
    settings.SPANE = {**settings.SPANE, "MAX_PAYLOAD_BYTES": 10}
    key = machine.begin({"a": ["b"]})

    with pytest.raises(InvalidInput) as refused:
        complete(key, "a", "x" * 20, next_nodes=["b", "q", "a"], now=machine.now)

    assert [fault.path for fault in refused.value.faults] == [
        "output", "nextNodes[1]", "nextNodes[2]",
    ]  # fmt: skip
    assert statuses(key) == {"a": "ready"}
    assert not entries().exists()


@pytest.mark.parametrize("verb", [skip, complete])
def test_what_has_ended_or_whose_turn_has_not_come_is_refused(machine: Machine, verb):
    key = machine.begin(DIAMOND)
    machine.step()
    machine.settle(machine.run(machine.claim(1)))
    before = statuses(key)
    assert (before["r"], before["j"]) == ("completed", "pending")

    for node in ("r", "j"):
        with pytest.raises(IllegalTransition):
            verb(key, node, now=machine.now)
    with pytest.raises(UnknownNodeRun):
        verb(key, "k", now=machine.now)
    with pytest.raises(UnknownExecution):
        verb(uuid4(), "a", now=machine.now)

    assert statuses(key) == before
    assert not entries().exists()


def test_nodes_of_a_cancelled_execution_are_not_ended_by_hand(machine: Machine):
    key = machine.begin(CHAIN)
    cancel(key, now=machine.now)

    with pytest.raises(IllegalTransition):
        skip(key, "a", now=machine.now)
    with pytest.raises(IllegalTransition):
        complete(key, "a", now=machine.now)


def test_the_log_tells_what_was_done_by_hand(machine: Machine):
    key = machine.begin(CHAIN)

    complete(key, "a", 1, now=machine.now, reason="by phone")
    machine.step()
    skip(key, "c", now=machine.now)

    told = [entry.message for entry in execution(key).logs()]
    assert "Node completed by hand: by phone" in told
    assert "Node skipped: skipped by hand" in told


def test_unfinished_nodes_move_to_another_queue(machine: Machine, wakes):
    key = machine.begin(DIAMOND)
    machine.step()
    wakes.clear()

    moved = reassign(key, queue="fast", priority=9, now=machine.now)

    assert moved.priority == 9
    assert machine.claim() == []
    fast = Machine("fast")
    claims = fast.claim()
    assert [one.node_id for one in claims] == ["a", "b"]
    fast.settle(fast.run(claims))
    assert node_run(key, "r").queue == "spane"
    joined = node_run(key, "j")
    assert (joined.queue, joined.priority) == ("spane", 9)
    entry = the_entry()
    assert entry.before == {"nodes": {"a": ["spane", 5], "b": ["spane", 5]}}
    assert entry.after == {"queue": "fast", "priority": 9}


def test_one_node_is_moved_alone(machine: Machine):
    key = machine.begin(DIAMOND)
    machine.step()

    reassign(key, priority=1, node_id="a", now=machine.now)

    assert (node_run(key, "a").priority, node_run(key, "b").priority) == (1, 5)
    assert execution(key).priority == 5
    assert [one.node_id for one in machine.claim()] == ["b", "a"]


def test_a_move_that_moves_nothing_is_refused(machine: Machine, settings):
    key = machine.begin({"a": []})
    with pytest.raises(InvalidInput) as refused:
        reassign(key, now=machine.now)
    assert [fault.code for fault in refused.value.faults] == ["missing"]
    with pytest.raises(InvalidInput) as refused:
        reassign(key, queue="", priority=11, now=machine.now)
    assert [fault.path for fault in refused.value.faults] == ["queue", "priority"]

    machine.drain()

    for node in (None, "a"):
        with pytest.raises(NothingToReassign):
            reassign(key, priority=3, node_id=node, now=machine.now)
    assert not entries().exists()


def test_a_queue_that_no_worker_can_serve_is_refused(machine: Machine, settings):
    key = machine.begin({"a": []})
    settings.SPANE = {k: v for k, v in settings.SPANE.items() if k != "DISPATCHER"}

    with pytest.raises(InvalidInput, match="add it to RQ_QUEUES"):
        reassign(key, queue="nobody", now=machine.now)

    assert Execution.objects.get().node_runs.get().queue == "spane"
