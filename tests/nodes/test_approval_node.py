"""``approval`` asks people, and goes on as they decide."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from spane_django.core.outcome import AskApproval, Failure, Permanent, Result, Wait
from spane_django.nodes.approval import ApprovalNode
from spane_django.nodes.base import Decided, Decision

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
CONFIG = {"title": "May it?", "users": ["ada"]}
OVER = {"until": NOW.isoformat(), "isEscalated": False}


def decided(status, *said):
    """Return what became of it: who said yes or no, with which form."""
    decisions = tuple(
        Decision(user=user, is_approved=yes, comment="", form=form, at=NOW)
        for user, yes, form in said
    )
    return lambda: Decided(status=status, decisions=decisions)


def test_the_first_run_asks(context, faults):
    config = {
        "title": "Refund?", "description": "5 EUR", "users": "ada", "groups": ["board"],
        "permission": "shop.refund", "quorum": 2, "allowsStarter": True, "deadline": "PT1H",
        "form": {"type": "object"}, "escalation": {"users": "bob"},
    }  # fmt: skip
    assert faults(ApprovalNode, config) == []

    until = NOW + timedelta(hours=1)
    assert ApprovalNode().execute(context(config, now=NOW)) == AskApproval(
        until=until,
        checkpoint={"until": until.isoformat(), "isEscalated": False},
        title="Refund?",
        description="5 EUR",
        form={"type": "object"},
        users=["ada"],
        groups=["board"],
        permission="shop.refund",
        quorum=2,
        allows_starter=True,
        escalation={"users": ["bob"], "groups": [], "permission": ""},
    )


def test_the_data_hold_every_decision_and_what_the_last_one_who_approved_filled_in(context):
    said = [("ada", True, {"n": 1}), ("bob", True, {"n": 2}), ("eve", True, None)]
    ctx = context(CONFIG, read_approval=decided("approved", *said))

    answer = ApprovalNode().execute(ctx)

    assert answer.next_nodes is None
    assert (answer.data["approved"], answer.data["form"]) == (True, {"n": 2})
    assert [one["user"] for one in answer.data["decisions"]] == ["ada", "bob", "eve"]


@pytest.mark.parametrize(("status", "chosen"), [("approved", ["a", "b"]), ("rejected", ["c"])])
def test_a_decision_chooses_its_branch(context, status, chosen):
    config = {**CONFIG, "approved": ["a", "b"], "rejected": "c"}
    said = decided(status, ("ada", status == "approved", None))

    answer = ApprovalNode().execute(context(config, read_approval=said))

    assert isinstance(answer, Result)
    assert answer.next_nodes == chosen


def test_a_rejection_without_a_branch_is_a_failure_that_is_not_retried(context):
    said = decided("rejected", ("ada", True, None), ("bob", False, None))

    answer = ApprovalNode().execute(context(CONFIG, read_approval=said))

    assert isinstance(answer, Failure)
    assert (answer.type, answer.message, answer.is_retryable) == (
        "Rejected",
        "bob has rejected it",
        False,
    )


def test_run_early_it_waits_on_and_asks_nobody_again(context):
    mark = {"until": NOW.isoformat(), "isEscalated": False}
    ctx = context(CONFIG, checkpoint=mark, now=NOW - timedelta(1), read_approval=decided("open"))

    answer = ApprovalNode().execute(ctx)

    assert (type(answer), answer.until, answer.checkpoint) == (Wait, NOW, mark)


@pytest.mark.parametrize(
    ("choice", "kind"),
    [(None, "ApprovalExpired"), ("fail", "ApprovalExpired"), ("reject", "Rejected")],
)
def test_an_undecided_question_fails_at_its_deadline(context, choice, kind):
    config = CONFIG if choice is None else {**CONFIG, "onDeadline": choice}
    ctx = context(config, checkpoint=OVER, now=NOW, read_approval=decided("open"))

    assert ApprovalNode().execute(ctx).type == kind


def test_an_undecided_question_may_count_as_approved_at_its_deadline(context):
    config = {**CONFIG, "onDeadline": "approve", "approved": "a"}
    ctx = context(config, checkpoint=OVER, now=NOW, read_approval=decided("open"))

    answer = ApprovalNode().execute(ctx)

    assert (answer.data["approved"], answer.next_nodes) == (True, ["a"])


def test_a_decision_counts_although_the_deadline_has_passed_since(context):
    ctx = context(CONFIG, checkpoint=OVER, now=NOW, read_approval=decided("approved"))

    assert ApprovalNode().execute(ctx).data["approved"] is True


def test_at_the_deadline_others_are_asked_once(context):
    config = {**CONFIG, "quorum": 2, "escalation": {"users": "bob", "deadline": 1_000}}
    said = decided("open", ("ada", True, None))
    ctx = context(config, checkpoint=OVER, now=NOW, read_approval=said)

    first = ApprovalNode().execute(ctx)

    until = NOW + timedelta(seconds=1)
    assert (first.users, first.until, first.quorum, first.escalation) == (["bob"], until, 2, None)
    later = context(config, checkpoint=first.checkpoint, now=until, read_approval=said)
    assert ApprovalNode().execute(later).type == "ApprovalExpired"


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({"users": "ada"}, "'title' is a required property"),
        ({"title": "?"}, "nobody could decide"),
        ({"title": "?", "users": []}, "should be non-empty"),
        ({"title": "?", "users": "ada", "quorum": 2}, "only 1 may"),
        ({"title": "?", "users": ["ada", "ada"], "quorum": 2}, "only 1 may"),
        ({"title": "?", "users": "ada", "quorum": 0}, "less than the minimum"),
        ({"title": "?", "permission": "refund"}, "'app_label.codename'"),
        ({**CONFIG, "deadline": "soon"}, "'deadline' must be a number"),
        ({**CONFIG, "onDeadline": "approve"}, "are for the 'deadline'"),
        ({**CONFIG, "escalation": {"users": "bob"}}, "are for the 'deadline'"),
        ({**CONFIG, "deadline": 1, "escalation": {}}, "escalation: nobody could decide"),
        (
            {**CONFIG, "deadline": 1, "escalation": {"users": "bob", "deadline": -1}},
            "'escalation.deadline' must not be negative",
        ),
        ({**CONFIG, "rejected": "no"}, "say where to go on if it is 'approved'"),
        ({**CONFIG, "form": {"type": "objekt"}}, "form.type: 'objekt' is not valid"),
        ({**CONFIG, "onDeadline": "retry"}, "is not one of"),
    ],
)
def test_an_approval_that_makes_no_sense_is_refused(faults, config, part):
    assert part in "; ".join(faults(ApprovalNode, config))


def test_people_from_a_template_are_checked_when_they_are_asked(context, faults):
    config = {"title": "?", "users": "{{ input.managers }}", "quorum": 2}
    assert faults(ApprovalNode, config) == []

    assert ApprovalNode().execute(context({**config, "users": ["a", "b"]})).users == ["a", "b"]
    for users in ([], None, ["a"], 7, [None]):
        with pytest.raises(Permanent):
            ApprovalNode().execute(context({**config, "users": users}))
