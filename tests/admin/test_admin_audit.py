"""The audit trail in the admin: narrowed, searched, and told as differences."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.test import Client

from spane_django.clock import now
from spane_django.engine.audit import record
from spane_django.models import AuditEntry
from tests.admin.conftest import Login
from tests.admin.pages import Inline, list_of, page_of, user_of
from tests.admin.stage import ATTRIBUTE, SCRIPT

pytestmark = pytest.mark.django_db


def found(client: Client, query: str) -> list[str]:
    """Return the verbs of the entries that a list shows."""
    return [row.verb for row in client.get(list_of(AuditEntry, query)).context["cl"].result_list]


def test_entries_are_found_by_who_what_when_and_object(boss: Client, login: Login) -> None:
    execution = uuid4()
    record("cancel", now=now(), by=user_of(boss), execution_id=execution)
    record("change_webhook", now=now(), by=user_of(login()), target="webhook 7")
    record("tidy", now=now(), target="webhook 8")

    assert found(boss, "?username=boss") == ["cancel"]
    assert found(boss, "?verb=change_webhook") == ["change_webhook"]
    assert found(boss, f"?q={execution}") == ["cancel"]
    assert found(boss, "?q=webhook") == ["tidy", "change_webhook"]
    assert found(boss, "?q=webhook+7") == ["change_webhook"]
    assert found(boss, "?verb=never") == []
    assert found(boss, "?at__gte=2999-01-01+00:00:00%2B00:00") == []


def test_the_filters_offer_what_the_latest_entries_hold(boss: Client) -> None:
    record(SCRIPT[:40], now=now(), by=user_of(boss))

    html = boss.get(list_of(AuditEntry)).text

    assert "?username=boss" in html
    assert SCRIPT[:40] not in html


def test_an_entry_tells_what_has_changed_value_by_value(boss: Client) -> None:
    record(
        "change", now=now(), by=user_of(boss), target=ATTRIBUTE,
        before={"name": "old", "response": {"mode": "wait", "waitSeconds": 5}, "same": [1]},
        after={"name": SCRIPT, "response": {"mode": "custom"}, "same": [1], "new": True},
    )  # fmt: skip

    html = boss.get(page_of(AuditEntry.objects.get())).text
    table = html.partition('class="spane-diff"')[2].partition("</table>")[0]

    places = ("name", "response/mode", "response/waitSeconds", "new")
    assert all(place in table for place in places)
    assert all(word in table for word in ("changed", "removed", "added"))
    assert "same" not in table
    assert SCRIPT not in html
    assert ATTRIBUTE not in html
    assert Inline(html).refused == []


def test_payloads_in_entries_are_for_those_who_may_see_payloads(boss: Client, login: Login) -> None:
    record("rerun", now=now(), before={"input": "was-secret"}, after={"input": "is-secret"})
    entry = AuditEntry.objects.get()

    shown, hidden = boss.get(page_of(entry)).text, login().get(page_of(entry)).text

    assert "was-secret" in shown
    assert "secret" not in hidden.partition('id="content-main"')[2]
