"""Dead letters: what went wrong with what, and dealing with one or with all of a kind."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from spane_django.models import AuditEntry, DeadLetter
from tests.admin.conftest import Login
from tests.admin.pages import list_of, page_of, told, verb_of
from tests.admin.stage import BAD, SCRIPT, ended, node, work, workflow
from tests.admin.test_admin_replay import confirm

pytestmark = pytest.mark.django_db

TWICE = workflow(
    "twice",
    node(
        "explode",
        "function",
        {"name": "admin-tests-explode", "retryPolicy": {"maxAttempts": 2}},
    ),
)


def letter(data: object = None) -> DeadLetter:
    return ended(BAD, data).dead_letters.get()


def act(client: Client, address: str, verb: str, *rows: DeadLetter, **more: str) -> Any:
    form = {"action": f"{verb}_selected", "_selected_action": [str(row.pk) for row in rows]}
    return client.post(address, {**form, **more})


def test_the_page_shows_the_error_the_input_and_every_attempt(boss: Client):
    row = letter({"order": 42})

    html = boss.get(page_of(row)).content.decode()

    assert "ValueError" in html
    assert "&quot;order&quot;: 42" in html
    assert html.count('<details class="spane-attempt"') == row.node_run.attempts.count() == 1
    assert SCRIPT not in html


def test_the_input_takes_the_permission_to_see_payloads(login: Login):
    row = letter({"order": "order-42"})

    html = login("retry_execution").get(page_of(row)).content.decode()

    assert "order-42" not in html
    assert "The input is hidden" in html


def test_the_input_is_edited_and_the_node_runs_with_it(boss: Client):
    row = letter({"order": 42})
    page = boss.get(page_of(row))

    url = page.context["replay_url"]
    shown = boss.get(url).context["given"].form["whole"].value()
    confirm(boss, url, **{"given-whole": '{"order": 43}'}, reason="a typo")

    run = row.node_run
    run.refresh_from_db()
    row.refresh_from_db()
    assert json.loads(shown) == {"order": 42}
    assert (run.status, run.given_input) == ("ready", {"value": {"order": 43}})
    assert row.resolution == "retried"
    entry = AuditEntry.objects.get(verb="rerun")
    assert (entry.target, entry.after["input"], entry.reason) == (
        "explode", {"order": 43}, "a typo",
    )  # fmt: skip


def test_what_has_been_dealt_with_offers_no_other_input(boss: Client):
    row = letter()
    boss.post(verb_of(DeadLetter, "discard"), {"ids": row.pk, "confirmed": 1, "reason": "known"})

    page = boss.get(page_of(row))

    assert page.context["replay_url"] == ""
    assert not any(button.is_legal for button in page.context["buttons"])


def test_only_who_may_retry_is_led_to_another_input(login: Login):
    row = letter()

    assert login("replay_execution", "view_payload").get(page_of(row)).context["replay_url"] == ""
    assert login("retry_execution").get(page_of(row)).context["replay_url"]


def test_nothing_is_discarded_without_a_reason(boss: Client):
    row = letter()
    form = {"ids": row.pk, "confirmed": "1", "back": list_of(DeadLetter)}

    refused = boss.post(verb_of(DeadLetter, "discard"), {**form, "reason": "  "})

    assert "This field is required" in refused.content.decode()
    row.refresh_from_db()
    assert row.resolved_at is None
    boss.post(verb_of(DeadLetter, "discard"), {**form, "reason": "known"})
    row.refresh_from_db()
    assert row.resolution == "discarded"
    assert AuditEntry.objects.get(verb="discard").reason == "known"


@pytest.mark.parametrize("query", ["?error_type=ValueError", "?node_id=explode&p=0"])
def test_filters_are_kept_after_an_action(boss: Client, query: str):
    rows = [letter(), letter()]
    address = list_of(DeadLetter, query)

    retried = act(boss, address, "retry", rows[0])
    asked = act(boss, address, "discard", rows[1])
    form = {name: asked.context[name] for name in ("ids", "back")}
    discarded = boss.post(asked.context["url"], {**form, "confirmed": "1", "reason": "known"})

    assert retried["Location"] == address
    assert discarded["Location"] == address


def test_all_that_match_are_retried_and_nothing_else(boss: Client):
    rows = [letter(), letter()]
    other = ended({**BAD, "id": "other", "name": "other"}).dead_letters.get()
    address = list_of(
        DeadLetter, f"?execution__workflow__id__exact={rows[0].execution.workflow_id}"
    )

    response = act(boss, address, "retry", rows[0], select_across="1")

    assert told(response) == ["2 nodes run again."]
    assert list(DeadLetter.objects.open()) == [other]


def test_a_group_leads_to_its_letters_and_back_to_them_after_an_action(boss: Client):
    row = letter()
    groups = boss.get(reverse("admin:spane_django_deadletter_groups"))

    (group,) = groups.context["groups"]
    response = act(boss, group["url"], "retry", row, select_across="1")

    assert response["Location"] == group["url"]
    assert "error_type=ValueError" in group["url"]


def test_every_attempt_of_a_node_that_was_retried_is_told(boss: Client):
    execution = ended(TWICE)
    retry_now = reverse("admin:spane_django_execution_node", args=[execution.pk, "retry-now"])
    boss.post(f"{retry_now}?node=explode")
    work()
    row = execution.dead_letters.get()

    html = boss.get(page_of(row)).content.decode()

    assert html.count('<details class="spane-attempt"') == 2
