"""Signals and approvals from the command line."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User

from spane_django.engine.publish import publish
from spane_django.engine.start import start
from spane_django.models import Approval, Execution, Signal
from tests.management.conftest import ask, work

pytestmark = pytest.mark.django_db(transaction=True)


def _started(node: dict[str, object]) -> Execution:
    raw = {"id": "w", "name": "W", "entryNodeId": "a", "nodes": [{"id": "a", **node}]}
    publish(raw, now=datetime.now(UTC))
    execution = start("w", now=datetime.now(UTC))
    work()
    return execution


@pytest.fixture
def waiting(wakes: list[str]) -> Execution:
    """An execution that waits for ``paid``."""
    return _started({"type": "wait", "config": {"signal": "paid"}})


@pytest.fixture
def approval(wakes: list[str]) -> Approval:
    """A question to ada."""
    User.objects.create(username="ada")
    User.objects.create(username="bob")
    execution = _started({"type": "approval", "config": {"title": "May it?", "users": "ada"}})
    return Approval.objects.get(execution=execution)


def test_a_signal_reaches_the_execution_that_its_id_begins(waiting: Execution) -> None:
    answer = ask(
        "spane_signal", "paid", "--execution", str(waiting.pk)[:18], "--payload", '{"cents": 5}'
    )

    assert (answer.code, answer.out) == (0, "sent, and taken by a node that waited for it\n")
    work()
    waiting.refresh_from_db()
    assert waiting.output == {"cents": 5}


def test_a_signal_that_nobody_waits_for_is_kept(waiting: Execution) -> None:
    answer = ask("spane_signal", "paid", "--key", "7", "--json")

    assert answer.json["isTaken"] is False
    assert list(Signal.objects.untaken().values_list("name", "key")) == [("paid", "7")]
    assert "nobody waits for it yet" in ask("spane_signal", "paid").out


def test_a_signal_is_refused_with_a_reason(waiting: Execution) -> None:
    nobody = ask("spane_signal", "paid", "--execution", "0199c0de7a11")
    both = ask("spane_signal", "paid", "--key", "7", "--execution", str(waiting.pk))

    assert (nobody.code, both.code) == (1, 2)
    assert "no execution" in nobody.err


def test_what_is_asked_is_listed_for_all_or_for_one_user(approval: Approval) -> None:
    everything = ask("spane_approvals", "list", "--json").json
    mine = ask("spane_approvals", "list", "--user", "ada", "--json").json

    assert [row["id"] for row in everything] == [row["id"] for row in mine] == [approval.pk]
    assert "May it?" in ask("spane_approvals", "list").out
    assert ask("spane_approvals", "list", "--user", "bob").out == "nothing is asked\n"


@pytest.mark.parametrize(("verb", "status"), [("approve", "approved"), ("reject", "rejected")])
def test_a_user_decides(approval: Approval, verb: str, status: str) -> None:
    answer = ask("spane_approvals", verb, approval.pk, "--user", "ada", "--comment", "so be it")

    assert (answer.code, answer.out) == (0, f"recorded; approval {approval.pk} is {status}\n")
    assert approval.decisions.get().comment == "so be it"
    assert [row["status"] for row in ask("spane_approvals", "list", "--all", "--json").json] == [
        status
    ]


def test_who_may_not_decide_is_told_why(approval: Approval) -> None:
    refused = ask("spane_approvals", "approve", approval.pk, "--user", "bob")
    codes = [
        ask("spane_approvals", "approve", approval.pk).code,
        ask("spane_approvals", "approve", "--user", "ada").code,
        ask("spane_approvals", "approve", approval.pk, "--user", "nobody").code,
        ask("spane_approvals", "list", approval.pk).code,
        ask("spane_approvals", "list", "--all", "--user", "ada").code,
    ]

    assert (refused.code, codes) == (1, [2] * 5)
    assert "bob is none of those who were asked" in refused.err
    assert not approval.decisions.exists()
