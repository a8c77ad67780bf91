"""Events and triggers from the command line."""

from __future__ import annotations

from typing import Any

import pytest

from spane_django.models import AuditEntry, Execution, Trigger
from tests.engine.helpers import NOON, definition
from tests.management.conftest import ask

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _published(wakes: list[str]) -> None:
    from spane_django.engine.publish import publish

    said: list[Any] = [{"type": "workflow", "config": {"workflowId": "order", "on": "failed"}}]
    publish(
        definition(
            {"a": []}, types={"a": "set"}, nodes={"a": {"config": {"values": {}}}}, triggers=said
        ),
        now=NOON,
    )


def test_an_event_trigger_is_added_listed_switched_and_removed() -> None:
    added = ask("spane_triggers", "add", "order.*", "w", "--when", "total > `1`", "--map", '"id"')
    key = Trigger.objects.events().get().pk

    listed = ask("spane_triggers", "list")
    off = ask("spane_triggers", "disable", key)
    gone = ask("spane_triggers", "remove", key)

    assert {answer.code for answer in (added, listed, off, gone)} == {0}
    assert "the event order.* and total > `1`" in listed.out
    assert "'order' has failed" in listed.out
    assert not Trigger.objects.events().exists()


def test_a_list_may_be_json_and_of_one_workflow() -> None:
    found = ask("spane_triggers", "list", "--json").json

    assert [(one["type"], one["workflow"], one["is_declared"]) for one in found] == [
        ("workflow", "w", True)
    ]
    assert ask("spane_triggers", "list", "--workflow", "other", "--json").json == []
    assert "Nothing starts" in ask("spane_triggers", "list", "--workflow", "other").out


def test_a_declared_trigger_is_not_removed() -> None:
    answer = ask("spane_triggers", "remove", Trigger.objects.get().pk)

    assert answer.code == 1
    assert "publish" in answer.err


@pytest.mark.parametrize(
    "arguments", [["add", "order.paid"], ["remove"], ["remove", "x"], ["list", "x"]]
)
def test_wrong_use_is_told_apart(arguments: list[str]) -> None:
    assert ask("spane_triggers", *arguments).code == 2


def test_an_event_is_emitted_once_and_tells_what_it_started() -> None:
    ask("spane_triggers", "add", "order.paid", "w")
    words = ["order.paid", "--payload", '{"id": 7}', "--subject", "shop.Order:7", "--key", "k"]

    first = ask("spane_emit", *words)
    again = ask("spane_emit", *words)

    execution = Execution.objects.get()
    assert (first.out, first.out) == (f"started {execution.pk}\n", again.out)
    assert (execution.input, execution.subject_type) == ({"id": 7}, "shop.order")


def test_an_event_that_somebody_emits_is_on_record() -> None:
    ask("spane_triggers", "add", "order.*", "w")

    ask("spane_emit", "order.paid")

    entry = AuditEntry.objects.get(verb="emit")
    assert entry.after == {"executions": [str(Execution.objects.get().pk)]}


def test_what_could_not_start_is_told_and_is_a_problem() -> None:
    ask("spane_triggers", "add", "*", "w", "--when", "length(@) > `1`")

    answer = ask("spane_emit", "order.paid", "--payload", "5")
    shown = ask("spane_emit", "order.paid", "--payload", "5", "--json")

    assert (answer.code, shown.code) == (1, 1)
    assert "not started: 'w'" in answer.err
    assert shown.json["refused"][0]["workflowId"] == "w"


def test_an_event_nobody_hears_is_no_problem() -> None:
    answer = ask("spane_emit", "silence")

    assert (answer.code, answer.out) == (0, "Nothing listens for it.\n")


def test_half_a_subject_is_wrong_use() -> None:
    assert ask("spane_emit", "x", "--subject", "shop.order").code == 2
