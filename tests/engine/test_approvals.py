"""Approvals: who may decide, how often, until when, and what follows, exactly once."""

from __future__ import annotations

from datetime import timedelta
from threading import Barrier

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection

from spane_django.core.outcome import AskApproval
from spane_django.engine.approvals import (
    AlreadyDecided,
    InvalidDecision,
    InvalidPeople,
    NotAllowed,
    UnknownApproval,
    decide,
    may_decide,
    reassign_approval,
)
from spane_django.engine.claim import take
from spane_django.engine.control import cancel, pause, resume
from spane_django.engine.db import atomic
from spane_django.engine.followup import follow_up_all
from spane_django.engine.retry import retry_failed
from spane_django.engine.sweep import sweep
from spane_django.models import Approval, ApprovalDecision, AuditEntry, DeadLetter
from tests.engine.helpers import Machine, after, node_run, outputs, status, statuses
from tests.engine.threads import elsewhere, in_threads, somebody_waits_for_me, until

pytestmark = pytest.mark.django_db(transaction=True)

FORM = {
    "type": "object",
    "properties": {"cents": {"type": "integer"}, "to": {"type": "string"}},
    "required": ["cents", "to"],
}


@pytest.fixture
def ada() -> User:
    return User.objects.create(username="ada")


@pytest.fixture
def bob() -> User:
    return User.objects.create(username="bob")


def asked(machine: Machine, *, by: User | None = None, **config) -> Approval:
    """Start an execution whose node ``a`` asks, and return the question."""
    if not config.keys() & {"users", "groups", "permission"}:
        config["users"] = ["ada", "bob"]
    nodes = {"a": {"config": {"title": "May it?", **config}}}
    edges = {"a": ["yes", "no"]} if "rejected" in config else {"a": ["yes"]}
    machine.publish(edges, types={"a": "approval"}, nodes=nodes)
    key = machine.start(by=by)
    machine.drain()
    return Approval.objects.get(execution_id=key)


def said(approval: Approval) -> str:
    approval.refresh_from_db()
    return approval.status


def approve(approval: Approval, user: User, machine: Machine, **more) -> Approval:
    return decide(approval.pk, by=user, is_approved=True, now=machine.now, **more)


def reject(approval: Approval, user: User, machine: Machine, **more) -> Approval:
    return decide(approval.pk, by=user, is_approved=False, now=machine.now, **more)


def test_an_approval_lets_its_node_go_on_with_what_was_said(machine: Machine, ada, wakes):
    approval = asked(machine)
    wakes.clear()
    machine.wait(3)

    decided = approve(approval, ada, machine, comment="fine")

    assert (decided.status, decided.decided_at, wakes) == ("approved", after(3), ["spane"])
    assert machine.drain() == ["a", "yes"]
    assert outputs(approval.execution_id)["a"] == {
        "approved": True,
        "decisions": [
            {
                "user": "ada",
                "approved": True,
                "comment": "fine",
                "form": None,
                "at": after(3).isoformat(),
            }
        ],
        "form": None,
    }


def test_a_rejection_for_which_there_is_no_branch_fails_the_node_for_good(machine: Machine, ada):
    approval = asked(machine)

    reject(approval, ada, machine, comment="too dear")
    machine.drain()

    letter = DeadLetter.objects.get()
    assert (letter.error_type, letter.error_message) == (
        "Rejected",
        "ada has rejected it: too dear",
    )
    assert (status(approval.execution_id), said(approval)) == ("failed", "rejected")


@pytest.mark.parametrize(("verb", "taken", "left"), [(approve, "yes", "no"), (reject, "no", "yes")])
def test_a_decision_chooses_its_branch(machine: Machine, ada, verb, taken, left):
    approval = asked(machine, approved=["yes"], rejected="no")

    verb(approval, ada, machine)
    machine.drain()

    found = statuses(approval.execution_id)
    assert (found[taken], found[left]) == ("completed", "skipped")


def test_a_quorum_of_approvals_is_needed_and_one_rejection_is_enough(machine: Machine, ada, bob):
    first, second = asked(machine, quorum=2), asked(machine, quorum=2)
    approve(first, ada, machine)
    approve(second, ada, machine)
    assert (said(first), machine.drain()) == ("open", [])

    approve(first, bob, machine)
    reject(second, bob, machine)

    assert (said(first), said(second)) == ("approved", "rejected")


def test_each_person_decides_once(machine: Machine, ada):
    approval = asked(machine, quorum=2)
    approve(approval, ada, machine)

    with pytest.raises(AlreadyDecided, match="ada has decided about it already"):
        approve(approval, ada, machine)

    assert (said(approval), approval.decisions.count()) == ("open", 1)


def test_what_is_decided_is_decided(machine: Machine, ada, bob):
    approval = asked(machine)
    approve(approval, ada, machine)

    with pytest.raises(AlreadyDecided, match="it is approved already"):
        reject(approval, bob, machine)

    assert said(approval) == "approved"
    with pytest.raises(UnknownApproval):
        decide(10**9, by=ada, is_approved=True, now=machine.now)


def test_who_is_named_by_user_group_or_permission_may_decide_and_nobody_else(machine: Machine):
    users = {name: User.objects.create(username=name) for name in ("u", "g", "p", "x", "Off", "U")}
    users["g"].groups.add(Group.objects.create(name="board"))
    users["p"].user_permissions.add(Permission.objects.get(codename="run_workflow"))
    users["off"] = User.objects.create(username="off", is_active=False)
    users["root"] = User.objects.create(username="root", is_superuser=True)
    approval = asked(
        machine, users=["u", "off"], groups="board", permission="spane_django.run_workflow"
    )

    allowed = {name for name, user in users.items() if not may_decide(approval, user)}
    listed = {
        name
        for name, user in users.items()
        if Approval.objects.for_user(user, now=machine.now).exists()
    }

    assert allowed == listed == {"u", "g", "p", "root"}
    with pytest.raises(NotAllowed, match="x is none of those who were asked"):
        approve(approval, users["x"], machine)
    with pytest.raises(NotAllowed, match="off is not active"):
        approve(approval, users["off"], machine)


@pytest.mark.parametrize("name", ["ada", "Ändra", 'a"b', "a\\", "a%_", "😀"])
def test_names_are_compared_to_the_letter(machine: Machine, name):
    user = User.objects.create(username=name)
    approval = asked(machine, users=[name])
    asked(machine, users=[f"{name}x", f"x{name}", f'"{name}"', name.swapcase() + "_"])

    assert list(Approval.objects.for_user(user, now=machine.now)) == [approval]
    assert may_decide(approval, user) == ""


def test_nobody_approves_what_they_have_started_not_even_a_superuser(machine: Machine):
    root = User.objects.create(username="root", is_superuser=True)
    approval = asked(machine, by=root, users=["root", "ada"])

    with pytest.raises(NotAllowed, match="nobody approves what they have started"):
        approve(approval, root, machine)

    assert not Approval.objects.for_user(root, now=machine.now).exists()


def test_who_started_it_may_decide_if_the_question_allows_it(machine: Machine, ada):
    approval = asked(machine, by=ada, allowsStarter=True)

    assert list(Approval.objects.for_user(ada, now=machine.now)) == [approval]
    approve(approval, ada, machine)

    assert said(approval) == "approved"


def test_who_started_the_parent_has_started_its_children(machine: Machine, ada):
    nodes = {"a": {"config": {"title": "May it?", "users": ["ada"]}}}
    machine.publish({"a": []}, types={"a": "approval"}, nodes=nodes, id="inner")
    outer = {"s": {"config": {"workflowId": "inner"}}}
    machine.publish({"s": []}, types={"s": "sub-workflow"}, nodes=outer)
    machine.start(by=ada)
    machine.drain()

    with pytest.raises(NotAllowed):
        approve(Approval.objects.get(), ada, machine)


def test_a_form_is_checked_with_every_fault_and_handed_on(machine: Machine, ada):
    approval = asked(machine, form=FORM)

    with pytest.raises(InvalidDecision) as raised:
        approve(approval, ada, machine, form={"cents": "many"})

    paths = [fault.path for fault in raised.value.faults]
    assert paths == ["form", "form.cents"]
    assert str(raised.value).startswith("Decision refused: ")
    with pytest.raises(InvalidDecision):
        approve(approval, ada, machine)
    assert not ApprovalDecision.objects.exists()
    approve(approval, ada, machine, form={"cents": 5, "to": "bob"})
    machine.drain()
    assert outputs(approval.execution_id)["a"]["form"] == {"cents": 5, "to": "bob"}


def test_who_rejects_fills_in_no_form(machine: Machine, ada):
    approval = asked(machine, form=FORM)

    reject(approval, ada, machine)

    assert said(approval) == "rejected"


def test_a_form_that_nobody_asked_for_and_texts_that_no_column_takes_are_refused(
    machine: Machine, ada
):
    approval = asked(machine)

    with pytest.raises(InvalidDecision, match="form: there is nothing to fill in"):
        approve(approval, ada, machine, form={})
    with pytest.raises(InvalidDecision, match="comment"):
        approve(approval, ada, machine, comment="\x00")

    assert said(approval) == "open"


def test_decisions_are_audited_and_refusals_are_not(machine: Machine, ada, bob):
    approval = asked(machine, quorum=2)
    approve(approval, ada, machine, comment="fine")
    with pytest.raises(AlreadyDecided):
        approve(approval, ada, machine)
    reject(approval, bob, machine, comment="no")

    entries = AuditEntry.objects.order_by("id").filter(execution_id=approval.execution_id)

    told = [(entry.verb, entry.user, entry.target, entry.reason) for entry in entries]
    assert told == [("approve", ada, "a", "fine"), ("reject", bob, "a", "no")]
    assert [entry.after["status"] for entry in entries] == ["open", "rejected"]


def test_a_paused_execution_is_decided_and_goes_on_when_it_is_resumed(machine: Machine, ada):
    approval = asked(machine)
    pause(approval.execution_id, now=machine.now)

    approve(approval, ada, machine)

    assert (said(approval), machine.drain()) == ("approved", [])
    resume(approval.execution_id, now=machine.now)
    assert machine.drain() == ["a", "yes"]


@pytest.mark.parametrize(
    ("choice", "ends", "error"),
    [
        ({}, "failed", "ApprovalExpired"),
        ({"onDeadline": "approve"}, "completed", ""),
        ({"onDeadline": "reject"}, "failed", "Rejected"),
    ],
)
def test_at_the_deadline_the_node_does_as_it_was_told(machine: Machine, ada, choice, ends, error):
    approval = asked(machine, deadline="PT5M", quorum=2, **choice)
    approve(approval, ada, machine)
    machine.wait(299)
    assert machine.drain() == []

    machine.wait(1)
    machine.drain()

    run = node_run(approval.execution_id, "a")
    assert (status(approval.execution_id), run.error_type) == (ends, error)
    assert said(approval) == "expired"


def test_a_rejected_branch_is_taken_at_the_deadline_too(machine: Machine):
    approval = asked(machine, deadline=1_000, onDeadline="reject", approved="yes", rejected="no")
    machine.wait(1)

    machine.drain()

    assert statuses(approval.execution_id)["no"] == "completed"
    assert outputs(approval.execution_id)["a"] == {
        "approved": False,
        "decisions": [],
        "form": None,
    }


def test_after_the_deadline_nobody_decides_even_if_no_worker_has_come_yet(machine: Machine, ada):
    approval = asked(machine, deadline=1_000)
    machine.wait(1)

    with pytest.raises(AlreadyDecided, match="its deadline, 2030-01-01 12:00 UTC, has passed"):
        approve(approval, ada, machine)

    assert not Approval.objects.for_user(ada, now=machine.now).exists()


def test_at_the_deadline_others_are_asked_and_what_was_said_before_counts(
    machine: Machine, ada, bob
):
    approval = asked(
        machine, users=["ada", "eve"], quorum=2, deadline="PT1H",
        escalation={"users": ["bob"], "deadline": "PT2H"},
    )  # fmt: skip
    assert approval.escalation == {"users": ["bob"], "groups": [], "permission": ""}
    approve(approval, ada, machine)
    machine.wait(3_600)
    machine.drain()

    approval.refresh_from_db()
    assert (approval.users, approval.escalation) == (["bob"], None)
    assert approval.deadline_at == after(3_600 * 3)
    assert node_run(approval.execution_id, "a").available_at == after(3_600 * 3)
    approve(approval, bob, machine)
    machine.drain()
    told = outputs(approval.execution_id)["a"]["decisions"]
    assert [one["user"] for one in told] == ["ada", "bob"]
    assert Approval.objects.count() == 1


def test_nobody_is_asked_after_those_to_whom_it_was_escalated(machine: Machine):
    approval = asked(
        machine, deadline=1_000, onDeadline="approve",
        escalation={"groups": "board", "deadline": 1_000},
    )  # fmt: skip
    machine.wait(1)
    machine.drain()
    assert said(approval) == "open"

    machine.wait(1)
    machine.drain()

    assert (status(approval.execution_id), said(approval)) == ("completed", "expired")


def test_a_question_is_reassigned_and_stays_with_whom_it_was_given_to(machine: Machine, ada, bob):
    approval = asked(machine, users=["bob"], deadline="PT1H")

    reassign_approval(approval.pk, users=["ada"], by=bob, reason="ill", now=machine.now)

    with pytest.raises(NotAllowed):
        approve(approval, bob, machine)
    entry = AuditEntry.objects.get(verb="reassign")
    assert (entry.before["users"], entry.after["users"]) == (["bob"], ["ada"])
    assert (entry.user, entry.reason) == (bob, "ill")
    run = node_run(approval.execution_id, "a")
    run.available_at = machine.now
    run.save(update_fields=["available_at"])
    assert machine.step() == ["a"]
    assert node_run(approval.execution_id, "a").available_at == after(3_600)
    assert said(approve(approval, ada, machine)) == "approved"


def test_a_question_is_not_reassigned_to_nobody_or_to_too_few(machine: Machine, ada):
    approval = asked(machine, quorum=2)

    with pytest.raises(InvalidPeople, match="nobody could decide"):
        reassign_approval(approval.pk, now=machine.now)
    with pytest.raises(InvalidPeople, match="2 must approve, but only 1 may"):
        reassign_approval(approval.pk, users=["eve"], now=machine.now)

    approve(approval, ada, machine)
    reassign_approval(approval.pk, users=["eve"], now=machine.now)
    cancel(approval.execution_id, now=machine.now)
    with pytest.raises(AlreadyDecided, match="it is cancelled already"):
        reassign_approval(approval.pk, users=["ada"], now=machine.now)


def test_a_question_that_is_handed_on_twice_is_audited_once(machine: Machine, ada, bob):
    approval = asked(machine, users=["bob"])

    for _ in range(2):
        reassign_approval(approval.pk, users=["ada"], by=bob, now=machine.now)

    assert AuditEntry.objects.filter(verb="reassign").count() == 1


def test_a_question_that_no_node_asks_any_more_is_cancelled(machine: Machine, ada):
    approval = asked(machine)

    cancel(approval.execution_id, now=machine.now)

    assert said(approval) == "cancelled"
    with pytest.raises(AlreadyDecided, match="it is cancelled already"):
        approve(approval, ada, machine)


def test_a_question_of_a_node_that_lost_a_race_is_cancelled_by_the_sweep(machine: Machine, ada):
    config = {"title": "May it?", "users": ["ada"]}
    key = machine.begin(
        {"a": ["j"], "b": ["j"]},
        types={"a": "approval"},
        nodes={"a": {"config": config}, "j": {"join": "any", "losers": "cancel"}},
    )
    machine.drain()
    approval = Approval.objects.get(execution_id=key)
    assert statuses(key)["a"] == "cancelled"
    with pytest.raises(AlreadyDecided):
        approve(approval, ada, machine)

    sweep(now=machine.now)

    assert said(approval) == "cancelled"


def test_a_retry_asks_anew_and_the_old_question_stays_as_it_is(machine: Machine, ada):
    approval = asked(machine)
    reject(approval, ada, machine)
    machine.drain()

    retry_failed(approval.execution_id, now=machine.now)
    machine.drain()

    again = Approval.objects.exclude(pk=approval.pk).get()
    assert (said(approval), again.status) == ("rejected", "open")
    approve(again, ada, machine)
    machine.drain()
    assert status(approval.execution_id) == "completed"


def test_a_question_of_an_earlier_round_is_answered_by_nobody(machine: Machine, does, ada):
    def body(ctx):
        if ctx.attempt == 1 and ctx.checkpoint:
            raise RuntimeError("busy")
        return AskApproval(title="Again?", users=["ada"], until=after(1), checkpoint=1)

    does["a"] = body
    retry = {"config": {"retryPolicy": {"backoff": {"delay": 1_000}}}}
    machine.begin({"a": []}, nodes={"a": retry})
    machine.drain()
    machine.wait(1)
    machine.drain()
    Approval.objects.update(deadline_at=None)

    with pytest.raises(AlreadyDecided, match="does not wait for it any more"):
        approve(Approval.objects.get(), ada, machine)

    assert not Approval.objects.for_user(ada, now=machine.now).exists()
    follow_up_all(now=machine.now)
    assert Approval.objects.get().status == "cancelled"


def test_a_question_that_nobody_could_answer_is_a_failure_of_its_node_alone(machine: Machine, does):
    does["a"] = lambda ctx: AskApproval(title="?")
    does["b"] = lambda ctx: AskApproval(title="?", users=["ada"], quorum=0)
    does["c"] = lambda ctx: AskApproval(title="?", users=["ada"], form={"type": "no"})
    key = machine.begin({"a": [], "b": [], "c": [], "d": []})

    machine.drain()

    assert statuses(key) == {"a": "failed", "b": "failed", "c": "failed", "d": "completed"}
    assert "nobody could decide" in node_run(key, "a").error_message
    assert not Approval.objects.exists()


def test_a_worker_that_finds_the_deadline_passed_and_a_person_do_not_both_decide(
    machine: Machine, ada
):
    approval = asked(machine, deadline=1_000, onDeadline="reject")
    machine.wait(1)
    finished = machine.run(machine.claim())

    with pytest.raises(AlreadyDecided, match="does not wait for it any more"):
        decide(approval.pk, by=ada, is_approved=True, now=machine.now - timedelta(milliseconds=1))

    machine.settle(finished)
    assert node_run(approval.execution_id, "a").error_type == "Rejected"
    assert not approval.decisions.exists()


@pytest.mark.parametrize("quorum", [1, 2])
def test_of_several_who_approve_at_the_same_instant_just_the_quorum_decides(
    machine: Machine, quorum
):
    people = [User.objects.create(username=f"u{number}") for number in range(4)]
    names = [user.username for user in people]
    for _ in range(5):
        approval = asked(machine, users=names, quorum=quorum)
        ready = Barrier(len(people))

        def work(user, approval=approval, ready=ready):
            ready.wait(timeout=10)
            try:
                return approve(approval, user, machine).status
            except AlreadyDecided:
                return "late"

        answers = in_threads([lambda user=user: work(user) for user in people])

        assert sorted(answers) == sorted(
            ["approved"] + ["open"] * (quorum - 1) + ["late"] * (4 - quorum)
        )
        assert approval.decisions.count() == quorum
        assert machine.drain() == ["a", "yes"]


def test_one_person_who_decides_twice_at_the_same_instant_is_counted_once(machine: Machine, ada):
    approval = asked(machine, quorum=2)
    ready = Barrier(2)

    def work():
        ready.wait(timeout=10)
        try:
            return approve(approval, ada, machine).status
        except AlreadyDecided:
            return "late"

    assert sorted(in_threads([work, work])) == ["late", "open"]
    assert approval.decisions.count() == 1


def test_a_decision_waits_for_a_worker_that_is_taking_the_node_and_comes_too_late(
    machine: Machine, ada
):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer")
    approval = asked(machine, deadline=1_000, onDeadline="approve")
    late = Machine()
    late.now = after(1)

    with elsewhere() as do:
        with atomic():
            claims = take(late.want(), 1, now=late.now)
            answer = do(lambda: decide(approval.pk, by=ada, is_approved=False, now=machine.now))
            until(somebody_waits_for_me)
        error = answer.exception(timeout=10)
    late.settle(late.run(claims))

    assert isinstance(error, AlreadyDecided)
    assert node_run(approval.execution_id, "a").status == "completed"
