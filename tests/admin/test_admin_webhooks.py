"""Webhooks and deliveries in the admin: seen, called, switched, rotated, delivered again."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from spane_django.clock import now
from spane_django.engine.enable import disable, enable
from spane_django.models import AuditEntry, Execution, Webhook, WebhookDelivery
from spane_django.triggers.webhooks import create, secrets_of
from tests.admin.conftest import Login
from tests.admin.pages import Inline, form_on, list_of, page_of, told, verb_of
from tests.admin.stage import ATTRIBUTE, GOOD, SCRIPT, published

pytestmark = pytest.mark.usefixtures("wakes")


@pytest.fixture
def unsigned(db: None) -> Webhook:
    published(GOOD)
    return create({"workflowId": "good", "name": "open"}, now=now())[0]


@pytest.fixture
def signed(db: None) -> Webhook:
    published(GOOD)
    asked = {"workflowId": "good", "name": SCRIPT, "signature": {"kind": "github"}}
    return create(asked, now=now())[0]


def rotation(webhook: Webhook) -> str:
    return reverse("admin:spane_django_webhook_rotate", args=[webhook.pk])


def refused_delivery(webhook: Webhook) -> WebhookDelivery:
    disable("good", now=now())
    url = f"/api/webhooks/{webhook.path}"
    body = f'{{"from": "{SCRIPT}"}}'.encode()
    answer = Client().post(url, body, "application/json", headers={"X-Evil": ATTRIBUTE})
    enable("good", now=now())
    assert answer.status_code == 202
    return webhook.deliveries.get()


def test_lists_and_pages_show_and_run_nothing_that_was_sent(
    boss: Client, unsigned: Webhook, signed: Webhook
) -> None:
    delivery = refused_delivery(unsigned)
    pages = [list_of(Webhook), list_of(WebhookDelivery), page_of(signed), page_of(delivery)]

    for page in pages:
        response = boss.get(page)
        html = response.content.decode()

        assert response.status_code == 200
        assert SCRIPT not in html
        assert Inline(html).refused == []


def test_filters_narrow_the_lists(boss: Client, unsigned: Webhook, signed: Webhook) -> None:
    refused_delivery(unsigned)

    def count(model: type[Webhook] | type[WebhookDelivery], query: str) -> int:
        return len(boss.get(list_of(model, query)).context["cl"].result_list)

    assert count(Webhook, "?signature__exact=github") == 1
    assert count(Webhook, "?is_enabled__exact=0") == 0
    assert count(WebhookDelivery, "?status__exact=refused&created=1h") == 1
    assert count(WebhookDelivery, "?status__exact=started") == 0
    assert count(WebhookDelivery, f"?webhook__id__exact={signed.pk}") == 0


def test_the_command_that_calls_an_unsigned_webhook_is_for_who_may_change_it(
    boss: Client, login: Login, unsigned: Webhook
) -> None:
    onlooker = login()

    theirs = unescape(onlooker.get(page_of(unsigned)).content.decode())
    lists = onlooker.get(list_of(Webhook)).content.decode()
    mine = unescape(boss.get(page_of(unsigned)).content.decode())

    assert f"curl -i -X POST 'http://testserver/api/webhooks/{unsigned.path}'" in mine
    assert unsigned.path not in theirs + lists


def test_webhooks_are_switched_off_and_on(login: Login, unsigned: Webhook, signed: Webhook) -> None:
    staff = login("change_webhook")
    keys = {"ids": f"{unsigned.pk},{signed.pk}"}

    off = staff.post(verb_of(Webhook, "disable"), keys)
    states = [webhook.is_enabled for webhook in Webhook.objects.all()]
    staff.post(verb_of(Webhook, "enable"), {"ids": str(signed.pk)})

    assert told(off) == ["2 webhooks were disabled."]
    assert states == [False, False]
    assert Webhook.objects.get(is_enabled=True) == signed


def test_a_new_secret_is_shown_on_the_page_and_kept_in_no_cookie(
    boss: Client, signed: Webhook
) -> None:
    url = rotation(signed)
    (old,) = secrets_of(signed, now=now())

    answer = boss.post(url, form_on(boss, url))

    signed.refresh_from_db()
    new, still_good = secrets_of(signed, now=now())
    html = answer.content.decode()
    assert still_good == old
    assert re.findall(r"<pre[^>]*>([\w-]+)</pre>", html) == [new]
    assert old not in html
    assert "no-store" in answer["Cache-Control"]
    assert new not in str(answer.cookies) + str(dict(boss.session))
    assert new not in str(AuditEntry.objects.values()) + str(LogEntry.objects.values())
    assert AuditEntry.objects.get(verb="rotate_webhook").username == "boss"


def test_a_secret_that_the_sender_has_made_takes_the_place_of_the_old_one_at_once(
    boss: Client, signed: Webhook
) -> None:
    url = rotation(signed)

    refused = boss.post(url, form_on(boss, url, secret="short")).content.decode()
    boss.post(url, form_on(boss, url, secret="made-by-the-sender", grace="0"))

    signed.refresh_from_db()
    assert "too short" in refused
    assert secrets_of(signed, now=now()) == ["made-by-the-sender"]


def test_what_is_not_signed_cannot_be_rotated(boss: Client, unsigned: Webhook) -> None:
    assert boss.post(rotation(unsigned), {"grace": "0"}).status_code == 403
    assert rotation(unsigned) not in boss.get(page_of(unsigned)).content.decode()


def test_a_delivery_is_delivered_again(login: Login, unsigned: Webhook) -> None:
    staff = login("redeliver_webhook")
    delivery = refused_delivery(unsigned)

    answer = staff.post(verb_of(WebhookDelivery, "redeliver"), {"ids": str(delivery.pk)})

    delivery.refresh_from_db()
    assert told(answer) == ["1 delivery was delivered again."]
    assert delivery.execution_id == Execution.objects.get().pk
    assert str(delivery.execution_id) in staff.get(page_of(delivery)).content.decode()


def test_who_may_only_look_can_do_nothing(login: Login, unsigned: Webhook) -> None:
    staff = login()
    delivery = refused_delivery(unsigned)

    answers = [
        staff.post(verb_of(Webhook, "disable"), {"ids": str(unsigned.pk)}),
        staff.post(verb_of(Webhook, "delete"), {"ids": str(unsigned.pk), "confirmed": "1"}),
        staff.post(verb_of(WebhookDelivery, "redeliver"), {"ids": str(delivery.pk)}),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert "Request" not in staff.get(page_of(delivery)).content.decode()
