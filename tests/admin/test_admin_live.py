"""The page of an execution follows what happens."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from spane_django.core.ids import uuid7
from tests.admin.conftest import Login
from tests.admin.pages import page_of
from tests.admin.stage import GOOD, WIDE, ended, started, work

pytestmark = pytest.mark.django_db


def live_of(html: str) -> tuple[str, str]:
    """Return the address that a page asks, and where it begins."""
    found = re.search(r'data-spane-live="([^"]+)" data-cursor="([^"]+)"', html)
    assert found is not None
    return found[1], found[2]


def asked(client: Client, url: str, cursor: str) -> Any:
    response = client.get(url, {"cursor": cursor})
    assert response.status_code == 200
    return response.json()


def test_what_happens_after_the_page_was_made_is_told_once(boss: Client):
    url, cursor = live_of(boss.get(page_of(started(GOOD))).content.decode())
    work()

    first = asked(boss, url, cursor)
    second = asked(boss, url, first["cursor"])

    assert ["greet", "completed", "✓", "completed"] in first["nodes"]
    assert ["tell", "completed", "✓", "completed"] in first["nodes"]
    assert first["done"]
    assert (second["nodes"], second["changed"]) == ([], False)


def test_what_the_page_shows_already_is_not_told_again(boss: Client):
    url, cursor = live_of(boss.get(page_of(started(WIDE))).content.decode())

    answer = asked(boss, url, cursor)

    assert (answer["nodes"], answer["changed"], answer["done"]) == ([], False, False)


def test_nothing_follows_an_execution_that_has_ended(boss: Client):
    html = boss.get(page_of(ended(GOOD))).content.decode()

    assert "data-spane-live" not in html
    assert "live.js" not in html


def test_an_answer_that_tells_nothing_new_is_small_and_costs_three_queries(boss: Client):
    url, cursor = live_of(boss.get(page_of(started(WIDE))).content.decode())
    asked(boss, url, cursor)

    with CaptureQueriesContext(connection) as queries:
        response = boss.get(url, {"cursor": cursor})

    assert len(queries) <= 3
    assert len(response.content) < 1_000


def test_a_cursor_that_nobody_gave_out_tells_everything(boss: Client):
    execution = started(GOOD)
    url, _ = live_of(boss.get(page_of(execution)).content.decode())

    assert asked(boss, url, "made-up")["nodes"] == [["greet", "ready", "◔", "ready"]]


def test_who_was_signed_out_is_told_so(boss: Client):
    url, cursor = live_of(boss.get(page_of(started(GOOD))).content.decode())
    boss.logout()

    response = boss.get(url, {"cursor": cursor})

    assert (response.status_code, response.json()) == (401, {"error": "signed-out"})


def test_who_may_not_see_executions_is_told_nothing_of_them(boss: Client, login: Login):
    url, cursor = live_of(boss.get(page_of(started(GOOD))).content.decode())

    assert login(sees=False).get(url, {"cursor": cursor}).status_code == 403


def test_an_execution_that_does_not_exist_is_not_followed(boss: Client):
    execution = started(GOOD)
    url, _ = live_of(boss.get(page_of(execution)).content.decode())

    assert boss.get(url.replace(str(execution.pk), str(uuid7()))).status_code == 404
