"""The page of alerts: what goes on, what is over, and where to look."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from django.test import Client
from django.utils import timezone

from spane_django.models import Alert

from .pages import list_of, page_of


def alert(**differs: object) -> Alert:
    now = timezone.now()
    values = {
        "key": uuid4().hex, "rule": Alert.Rule.FAILURES, "workflow_key": "orders", "count": 7,
        "error_type": "SMTPError", "message": "<b>refused</b>", "execution_id": uuid4(),
        "opened_at": now - timedelta(hours=1), "last_at": now,
    }  # fmt: skip
    return Alert.objects.create(**{**values, **differs})


def test_a_list_tells_what_goes_on_and_what_is_over(boss: Client):
    alert()
    alert(rule=Alert.Rule.LATENCY, workflow_key="", queue="gpu", resolved_at=timezone.now())

    html = boss.get(list_of(Alert)).content.decode()

    assert "failures: orders" in html
    assert "work waits: gpu" in html
    assert "SMTPError: &lt;b&gt;refused&lt;/b&gt;" in html
    assert ("goes on" in html, "over" in html) == (True, True)


def test_a_page_leads_to_an_execution(boss: Client):
    shown = alert()

    html = boss.get(page_of(shown)).content.decode()

    assert f"execution/{shown.execution_id}/" in html


def test_an_empty_list_says_how_people_are_told(boss: Client):
    html = boss.get(list_of(Alert)).content.decode()

    assert "ALERTS" in html


def test_nothing_can_be_edited(boss: Client):
    shown = alert()

    boss.post(page_of(shown), {"count": 1})

    assert Alert.objects.get().count == 7
