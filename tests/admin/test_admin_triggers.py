"""The triggers' pages: what starts what, what went wrong, and switching it off."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from spane_django.clock import now
from spane_django.models import Trigger
from spane_django.triggers.event_triggers import create
from tests.admin.pages import list_of, page_of
from tests.admin.stage import GOOD, published


@pytest.fixture
def trigger(boss: Client) -> Trigger:
    """A trigger made by hand, beside one that the definition declares."""
    declared = {"type": "event", "config": {"event": "order.late"}}
    published({**GOOD, "triggers": [declared]})
    given = {"event": "order.*", "workflowId": "good", "when": "total > `1`", "map": "id"}
    return create(given, now=now())


def act(client: Client, verb: str, *triggers: Trigger) -> None:
    url = reverse("admin:spane_django_trigger_verb", args=[verb])
    ids = ",".join(str(one.pk) for one in triggers)
    assert client.post(url, {"ids": ids, "confirmed": "1"}).status_code == 302


def test_the_list_and_the_page_say_what_starts_what(boss: Client, trigger: Trigger) -> None:
    Trigger.objects.filter(pk=trigger.pk).update(failures=2, last_error="no <such> total")

    listed = boss.get(list_of(Trigger)).content.decode()
    shown = boss.get(page_of(trigger)).content.decode()

    for page in (listed, shown):
        assert "order.*" in page
        assert "total &gt; `1`" in page
        assert "no &lt;such&gt; total" in page
    assert "order.late" in listed


def test_triggers_are_switched_and_those_made_by_hand_deleted(
    boss: Client, trigger: Trigger
) -> None:
    declared = Trigger.objects.get(is_declared=True)

    act(boss, "disable", trigger, declared)
    assert not Trigger.objects.filter(is_enabled=True).exists()
    act(boss, "enable", declared)
    act(boss, "delete", trigger, declared)

    assert list(Trigger.objects.values_list("name", "is_enabled")) == [("order.late", True)]
