"""Running a part of an execution anew, in the same version or in the latest one."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.contrib.auth.models import User

from spane_django.core.errors import InvalidInput
from spane_django.core.outcome import Delay, Result
from spane_django.core.statuses import IllegalTransition
from spane_django.engine.by_hand import complete
from spane_django.engine.control import UnknownExecution, cancel, pause, resume
from spane_django.engine.reopen import UnknownNodeRun
from spane_django.engine.rerun import From, In, Rerun, rerun_from
from spane_django.engine.retry import NothingToRetry, rerun, retry_dead_letter, retry_failed
from spane_django.models import AuditEntry, DeadLetter, Execution
from tests.engine.helpers import Machine, execution, node_run, outputs, status, statuses

pytestmark = pytest.mark.django_db

ONCE = {"config": {"retries": 0}}
CHAIN = {"a": ["b"], "b": ["c"]}
DIAMOND = {"r": ["a", "b"], "a": ["j"], "b": ["j"], "j": ["k"]}
LATEST = In.LATEST


def fail(ctx):
    raise ValueError("boom")


def echo(ctx):
    return {ctx.node_id: ctx.input}


def node(node_id: str, **more) -> Rerun:
    return Rerun(start=From.NODE, node_id=node_id, **more)


def start(**more) -> Rerun:
    return Rerun(start=From.START, **more)


def counts(key) -> tuple[int, int]:
    row = execution(key)
    return row.active_nodes, row.failed_nodes


def the_rerun() -> AuditEntry:
    return AuditEntry.objects.get(verb="rerun")


def test_from_a_node_all_that_lies_behind_it_runs_again(machine: Machine, does):
    key = machine.begin(DIAMOND)
    machine.drain()
    does["a"] = lambda ctx: "second"

    again = rerun_from(key, node("a"), now=machine.now, reason="wrong price")

    assert (again.pk, again.status, again.finished_at) == (key, "running", None)
    assert statuses(key) == {
        "r": "completed", "a": "ready", "b": "completed", "j": "pending", "k": "pending",
    }  # fmt: skip
    assert counts(key) == (1, 0)
    assert machine.drain() == ["a", "j", "k"]
    assert (status(key), outputs(key)["a"]) == ("completed", "second")
    assert {one: node_run(key, one).attempt for one in "rabjk"} == {
        "r": 1, "a": 2, "b": 1, "j": 2, "k": 2,
    }  # fmt: skip
    entry = the_rerun()
    assert (entry.target, entry.reason, entry.before) == (
        "a", "wrong price", {"status": "completed"},
    )  # fmt: skip
    assert entry.after["undone"] == ["j", "k"]


def test_from_the_start_everything_runs_again(machine: Machine):
    key = machine.begin(DIAMOND)
    machine.drain()

    rerun_from(key, start(), now=machine.now)

    assert machine.drain() == ["r", "a", "b", "j", "k"]
    assert (status(key), counts(key)) == ("completed", (0, 0))
    assert {one: node_run(key, one).attempt for one in "rabjk"} == dict.fromkeys("rabjk", 2)


def test_a_successor_that_is_continued_at_once_knows_its_attempt(machine: Machine):
    key = machine.begin(CHAIN)
    machine.drain()
    rerun_from(key, start(), now=machine.now)

    (claim,) = machine.claim()
    (then,) = machine.settle(machine.run([claim]), want=machine.want()).claims

    assert (then.node_id, then.attempt) == ("b", 2)


def test_from_the_start_with_another_input(machine: Machine, does):
    does["a"] = echo
    key = machine.begin({"a": []}, {"n": 1})
    machine.drain()

    rerun_from(key, start(input={"n": 2}), now=machine.now)

    machine.drain()
    assert (execution(key).input, outputs(key)) == ({"n": 2}, {"a": {"a": {"n": 2}}})
    entry = the_rerun()
    assert (entry.before["input"], entry.after["input"]) == ({"n": 1}, {"n": 2})


def test_from_what_failed_with_all_behind_it(machine: Machine, does):
    ran: list[str] = []
    does["c"] = lambda ctx: ran.append("c")
    does["a"] = fail
    key = machine.begin({"a": ["c"], "b": ["c"]}, nodes={"a": ONCE, "c": {"join": "all_done"}})
    machine.drain()
    assert (status(key), ran) == ("failed", ["c"])
    does["a"] = echo

    rerun_from(key, now=machine.now)

    machine.drain()
    assert (status(key), counts(key), ran) == ("completed", (0, 0), ["c", "c"])
    assert [letter.resolution for letter in DeadLetter.objects.all()] == ["retried"]


def test_a_failure_behind_the_chosen_node_is_undone_with_its_dead_letter(machine: Machine, does):
    does["b"] = fail
    ada = User.objects.create(username="ada")
    key = machine.begin(CHAIN, nodes={"b": ONCE})
    machine.drain()
    assert counts(key) == (0, 1)

    rerun_from(key, node("a"), now=machine.now, by=ada)

    assert (statuses(key)["b"], counts(key)) == ("pending", (1, 0))
    letter = DeadLetter.objects.get()
    assert (letter.resolution, letter.resolved_by) == ("retried", ada)
    does["b"] = echo
    assert machine.drain() == ["a", "b", "c"]
    assert status(key) == "completed"


@pytest.mark.parametrize("stage", ["ready", "running", "waiting"])
def test_what_is_under_way_behind_the_chosen_node_is_taken_back(machine: Machine, does, stage):
    if stage == "waiting":
        does["b"] = lambda ctx: Delay(ctx.now.replace(year=2031))
    key = machine.begin(CHAIN)
    machine.step()
    claims = machine.claim() if stage != "ready" else []
    if stage == "waiting":
        machine.settle(machine.run(claims))
    assert statuses(key)["b"] == stage

    rerun_from(key, node("a"), now=machine.now)

    does.clear()
    assert (statuses(key), counts(key)) == ({"a": "ready", "b": "pending"}, (1, 0))
    if stage == "running":
        assert len(machine.settle(machine.run(claims)).lost) == 1
    assert machine.drain() == ["a", "b", "c"]
    assert (status(key), node_run(key, "b").attempt) == ("completed", 1 + (stage != "ready"))


def test_a_node_gets_another_input_than_its_parents_hand_on(machine: Machine, does):
    does["b"] = does["c"] = echo
    key = machine.begin(CHAIN)
    machine.drain()

    rerun_from(key, node("b", input={"edited": True}), now=machine.now)

    machine.drain()
    assert outputs(key)["c"] == {"c": {"b": {"edited": True}}}


@pytest.mark.parametrize("given", [None, False, 0, ""])
def test_any_value_can_be_given_as_an_input(machine: Machine, does, given):
    does["b"] = echo
    key = machine.begin(CHAIN)
    machine.drain()

    rerun_from(key, node("b", input=given), now=machine.now)

    machine.drain()
    assert outputs(key)["b"] == {"b": given}


def test_a_node_that_never_ran_is_given_an_input(machine: Machine, does):
    does["a"] = lambda ctx: Result(None, next_nodes=["c"])
    does["b"] = echo
    key = machine.begin({"a": ["b", "c"]})
    machine.drain()
    assert statuses(key)["b"] == "skipped"

    rerun_from(key, node("b", input=7), now=machine.now)

    assert machine.drain() == ["b"]
    assert outputs(key)["b"] == {"b": 7}


def test_a_given_input_stays_for_retries_and_goes_when_the_parents_run_again(
    machine: Machine, does
):
    does["a"] = lambda ctx: "from a"
    key = machine.begin(CHAIN, nodes={"b": ONCE})
    machine.drain()
    does["b"] = fail
    rerun_from(key, node("b", input="given"), now=machine.now)
    machine.drain()
    letter = DeadLetter.objects.get()
    does["b"] = echo

    retry_dead_letter(letter.pk, now=machine.now)
    machine.drain()
    kept = outputs(key)["b"]
    rerun_from(key, node("a"), now=machine.now)
    machine.drain()

    assert (letter.input, kept) == ("given", {"b": "given"})
    assert outputs(key)["b"] == {"b": "from a"}


def test_a_given_output_is_handed_on_without_running_the_node(machine: Machine, does):
    ran: list[str] = []
    does["a"] = lambda ctx: ran.append("a")
    does["b"] = echo
    key = machine.begin({"a": ["b", "c"]})
    machine.drain()

    rerun_from(key, node("a", output={"n": 2}, next_nodes=["b"]), now=machine.now)

    assert counts(key) == (1, 0)
    machine.drain()
    assert ran == ["a"]
    assert outputs(key) == {"a": {"n": 2}, "b": {"b": {"n": 2}}}
    assert statuses(key)["c"] == "skipped"
    assert status(key) == "completed"


def test_a_paused_execution_stays_paused(machine: Machine):
    key = machine.begin(CHAIN)
    machine.step()
    pause(key, now=machine.now)

    rerun_from(key, node("a"), now=machine.now)

    assert (status(key), machine.claim()) == ("paused", [])
    resume(key, now=machine.now)
    assert machine.drain() == ["a", "b", "c"]


def test_what_does_not_fit_together_is_refused_with_every_fault(machine: Machine):
    key = machine.begin({"a": []})
    machine.drain()
    bad = {
        Rerun(start=From.NODE): ["nodeId"],
        Rerun(node_id="a"): ["nodeId"],
        Rerun(input=1, output=2): ["input", "output", "output"],
        start(next_nodes=("a",)): ["nextNodes"],
        node("a", input=float("nan")): ["input"],
    }

    for wanted, paths in bad.items():
        with pytest.raises(InvalidInput) as refused:
            rerun_from(key, wanted, now=machine.now)
        assert [fault.path for fault in refused.value.faults] == paths

    assert not AuditEntry.objects.filter(verb="rerun").exists()


def test_what_cannot_run_again_is_refused(machine: Machine):
    key = machine.begin(CHAIN)

    for wanted, error in (
        (Rerun(), NothingToRetry),
        (start(), IllegalTransition),
        (node("a"), IllegalTransition),
        (node("b"), UnknownNodeRun),
        (node("q"), UnknownNodeRun),
        (start(version=LATEST), IllegalTransition),
    ):
        with pytest.raises(error):
            rerun_from(key, wanted, now=machine.now)
    with pytest.raises(UnknownExecution):
        rerun_from(uuid4(), now=machine.now)

    assert (statuses(key), counts(key)) == ({"a": "ready"}, (1, 0))


def test_an_input_that_the_workflow_refuses_is_refused(machine: Machine):
    schema = {"type": "object", "required": ["n"]}
    key = machine.begin({"a": []}, {"n": 1}, inputSchema=schema)
    machine.drain()

    for version in In:
        with pytest.raises(InvalidInput):
            rerun_from(key, start(input={}, version=version), now=machine.now)


def test_rerunning_below_what_never_ran_does_not_run_it_twice(machine: Machine, does):
    ran: list[str] = []
    does["k"] = lambda ctx: ran.append("k")
    does["r"] = fail
    key = machine.begin({"r": ["j"], "j": ["k"]}, nodes={"r": ONCE})
    machine.drain()

    rerun(key, "k", now=machine.now)
    machine.drain()
    assert (status(key), ran) == ("failed", ["k"])
    del does["r"]
    retry_failed(key, now=machine.now)
    machine.drain()

    assert (status(key), counts(key), ran) == ("completed", (0, 0), ["k"])


def test_what_has_run_below_a_node_completed_by_hand_does_not_run_twice(machine: Machine, does):
    ran: list[str] = []
    does["k"] = lambda ctx: ran.append("k")
    does["r"] = fail
    key = machine.begin({"r": ["j"], "j": ["k"]}, nodes={"r": ONCE})
    machine.drain()
    rerun(key, "k", now=machine.now)
    machine.drain()

    complete(key, "r", 1, now=machine.now)
    complete(key, "j", 2, now=machine.now)

    assert (status(key), counts(key), ran) == ("completed", (0, 0), ["k"])


def test_what_has_run_below_what_never_ran_stays_when_that_is_blocked_again(machine: Machine, does):
    does["r"] = does["k"] = fail
    key = machine.begin({"r": ["j"], "j": ["k"]}, nodes={"r": ONCE, "k": ONCE})
    machine.drain()
    rerun(key, "k", now=machine.now)
    machine.drain()
    assert (statuses(key)["k"], counts(key)) == ("failed", (0, 2))

    rerun(key, "r", now=machine.now)
    machine.drain()

    assert statuses(key) == {"r": "failed", "j": "cancelled", "k": "failed"}
    assert counts(key) == (0, 2)


def test_what_another_parents_failure_blocks_is_cancelled_again(machine: Machine, does):
    does["a"] = fail
    key = machine.begin(DIAMOND, nodes={"a": {"config": {"retries": 0}}})
    machine.drain()

    rerun_from(key, node("b"), now=machine.now)

    assert statuses(key) == {
        "r": "completed", "a": "failed", "b": "ready", "j": "cancelled", "k": "cancelled",
    }  # fmt: skip
    assert node_run(key, "j").reason == "upstream failed"
    assert machine.drain() == ["b"]
    assert (status(key), counts(key)) == ("failed", (0, 1))
    assert "pending" not in statuses(key).values()


def test_what_was_completed_by_hand_before_it_ran_may_run_again(machine: Machine):
    key = machine.begin(CHAIN)
    complete(key, "a", 1, now=machine.now)
    machine.drain()

    rerun(key, "a", now=machine.now)

    assert machine.drain() == ["a"]
    assert (status(key), counts(key)) == ("completed", (0, 0))


def test_in_the_latest_version_a_new_execution_takes_over_what_has_completed(
    machine: Machine, does
):
    ran: list[str] = []
    for one in "rabj":
        does[one] = lambda ctx: ran.append(ctx.node_id) or {"by": ctx.node_id}
    does["b"] = fail
    ada = User.objects.create(username="ada")
    key = machine.begin(DIAMOND, {"n": 1}, nodes={"b": ONCE})
    machine.drain()
    ran.clear()
    does["b"] = echo
    machine.publish({**DIAMOND, "k": ["z"]})

    new = rerun_from(key, Rerun(version=LATEST), now=machine.now, by=ada)

    assert (new.replay_of_id, new.version.number, new.input) == (key, 2, {"n": 1})
    assert new.started_by == ada
    assert statuses(new.pk) == {"r": "completed", "a": "completed", "b": "ready", "j": "pending"}
    assert counts(new.pk) == (1, 0)
    assert machine.drain() == ["b", "j", "k", "z"]
    assert ran == ["j"]
    assert outputs(new.pk)["a"] == {"by": "a"}
    assert (status(new.pk), status(key)) == ("completed", "failed")
    entry = the_rerun()
    assert entry.execution_id == key
    assert entry.after["execution"] == str(new.pk)
    assert (entry.after["takenOver"], entry.after["version"]) == (2, 2)


def test_what_a_new_node_leads_to_runs_again_in_the_latest_version(machine: Machine):
    key = machine.begin(CHAIN)
    machine.drain()
    machine.publish({"a": ["x"], "x": ["b"], "b": ["c"]})

    new = rerun_from(key, node("c", version=LATEST), now=machine.now)

    assert statuses(new.pk) == {"a": "completed", "x": "ready"}
    assert machine.drain() == ["x", "b", "c"]


def test_a_node_of_another_type_is_not_taken_over(machine: Machine):
    key = machine.begin({"a": ["b"]})
    machine.drain()
    config = {"a": {"config": {"expression": "@"}}}
    machine.publish({"a": ["b"]}, types={"a": "transform"}, nodes=config)

    new = rerun_from(key, node("b", version=LATEST), now=machine.now)

    assert statuses(new.pk) == {"a": "ready"}


def test_from_the_start_in_the_latest_version_nothing_is_taken_over(machine: Machine, does):
    does["a"] = echo
    key = machine.begin(CHAIN, 1)
    machine.drain()
    cancelled = machine.start(2)
    cancel(cancelled, now=machine.now)
    machine.publish({"a": []})

    first = rerun_from(key, start(version=LATEST, input=3), now=machine.now)
    second = rerun_from(cancelled, start(version=LATEST), now=machine.now)

    machine.drain()
    assert outputs(first.pk) == {"a": {"a": 3}}
    assert outputs(second.pk) == {"a": {"a": 2}}
    assert execution(key).input == 1


def test_a_branch_that_was_not_taken_is_not_taken_in_the_latest_version(machine: Machine, does):
    does["r"] = lambda ctx: Result(None, next_nodes=["a"])
    key = machine.begin(DIAMOND)
    machine.drain()
    machine.publish({**DIAMOND, "k": ["z"]})

    new = rerun_from(key, node("k", version=LATEST), now=machine.now)

    assert statuses(new.pk) == {
        "r": "completed", "a": "completed", "b": "skipped", "j": "completed", "k": "ready",
    }  # fmt: skip


@pytest.mark.parametrize("what", ["input", "output"])
def test_values_are_given_in_the_latest_version_too(machine: Machine, does, what):
    does["b"] = does["c"] = echo
    key = machine.begin(CHAIN)
    machine.drain()
    machine.publish({**CHAIN, "c": ["d"]})

    new = rerun_from(key, node("b", version=LATEST, **{what: "given"}), now=machine.now)

    machine.drain()
    came = {"b": "given"} if what == "input" else "given"
    assert outputs(new.pk)["c"] == {"c": came}
    assert status(new.pk) == "completed"


def test_a_node_whose_turn_has_not_come_is_given_nothing(machine: Machine):
    key = machine.begin(CHAIN)
    machine.drain()
    machine.publish({"a": ["x"], "x": ["b"], "b": ["c"]})

    with pytest.raises(InvalidInput, match="must first run what leads to 'b'"):
        rerun_from(key, node("b", version=LATEST, output=1), now=machine.now)

    assert Execution.objects.count() == 1


def test_everything_taken_over_ends_the_new_execution_at_once(machine: Machine):
    key = machine.begin(CHAIN)
    machine.drain()
    machine.publish({"a": []})

    new = rerun_from(key, node("a", version=LATEST, output=1), now=machine.now)

    assert (new.status, statuses(new.pk)) == ("completed", {"a": "completed"})
