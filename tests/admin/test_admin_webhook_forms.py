"""Webhooks made and changed on a form, whose every value the API's own rules judge."""

from __future__ import annotations

import re
import subprocess
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from spane_django.clock import now
from spane_django.models import AuditEntry, Execution, Webhook, Workflow
from spane_django.triggers.webhooks import create, facts_of, secrets_of
from tests.admin.conftest import Login
from tests.admin.pages import Inline, form_on, list_of, page_of, told
from tests.admin.stage import ATTRIBUTE, GOOD, SCRIPT, published

pytestmark = [pytest.mark.usefixtures("wakes"), pytest.mark.django_db]

MAKE = reverse("admin:spane_django_webhook_make")
HMAC = {
    "kind": "hmac", "header": "X-Sum", "algorithm": "sha512", "encoding": "base64",
    "prefix": "v1=", "timestampHeader": "X-Time", "text": "{timestamp}:{body}",
}  # fmt: skip
EVERYTHING: dict[str, Any] = {
    "workflowId": "good", "name": "whole", "path": "a/b", "methods": ["PUT", "POST"],
    "signature": HMAC, "toleranceSeconds": 60, "networks": ["10.0.0.0/8", "::1"],
    "input": {"order": "body.id", 'say "it"': "headers.host"}, "dedupeKey": "body.id",
    "response": {
        "mode": "wait", "waitSeconds": 5, "status": 201, "headers": {"X-A": "b"},
        "body": {"id": "{{ execution.id }}"},
    },
}  # fmt: skip
PRESET = {"workflowId": "good", "signature": {"kind": "stripe"}}
OPEN = {"workflowId": "good", "path": "known", "input": '"body"', "enabled": False}
TEXTS = {
    "workflowId": "good",
    "response": {"mode": "custom", "status": "{{ input.code }}", "body": '{"as": "text"}'},
}


def edit(webhook: Webhook) -> str:
    return reverse("admin:spane_django_webhook_edit", args=[webhook.pk])


def made(client: Client, **typed: Any) -> Any:
    """Send the form that makes a webhook of a published workflow."""
    workflow = published(GOOD).workflow_id
    return client.post(MAKE, form_on(client, MAKE, workflow=workflow, **typed))


def shown(answer: Any) -> list[str]:
    """Return what a page offers to copy."""
    return [unescape(text) for text in re.findall(r"<pre[^>]*>(.*?)</pre>", answer.text, re.S)]


def test_a_webhook_is_made_and_its_secret_shown_this_once(boss: Client) -> None:
    answer = made(boss, name="orders", path="orders")

    webhook = Webhook.objects.get()
    (secret,) = secrets_of(webhook, now=now())
    later = [boss.get(url).text for url in (page_of(webhook), edit(webhook), list_of(Webhook))]
    kept = str(AuditEntry.objects.values()) + str(LogEntry.objects.values())
    assert (webhook.name, webhook.path, webhook.signature) == ("orders", "orders", "hmac")
    assert shown(answer)[0] == secret
    assert "no-store" in answer["Cache-Control"]
    assert secret not in "".join(later) + kept + str(answer.cookies) + str(dict(boss.session))
    assert AuditEntry.objects.get(verb="create_webhook").username == "boss"


@pytest.mark.parametrize("kind", ["hmac", "github", "stripe", "slack", "none"])
def test_the_command_that_is_shown_calls_the_webhook_when_it_is_pasted(
    transactional_db: None, login: Login, live_server: Any, kind: str
) -> None:
    client = login("add_webhook", "change_webhook")
    workflow = published(GOOD).workflow_id
    typed = form_on(client, MAKE, workflow=workflow, kind=kind, scheme_timestamp="X-Time")
    typed |= {"scheme_timestamp": "X-Time" if kind == "hmac" else ""}
    answer = client.post(MAKE, typed)
    if kind == "none":
        answer = client.get(answer["Location"])
    called = next(text for text in shown(answer) if "curl" in text)
    here = called.replace("http://testserver", str(live_server))

    done = subprocess.run(["bash", "-c", here], capture_output=True, text=True, check=True)

    assert "202 Accepted" in done.stdout
    assert Execution.objects.get().input["body"] == {"hello": "world"}


def test_every_value_that_the_api_takes_can_be_typed_in(boss: Client) -> None:
    published(GOOD)
    wanted, _secret = create({**EVERYTHING, "path": "other"}, now=now())
    typed = form_on(boss, edit(wanted), path="a/b", secret="a-secret-of-the-sender")

    boss.post(MAKE, {**typed, "once": ""})

    webhook = Webhook.objects.exclude(pk=wanted.pk).get()
    same = {**facts_of(wanted), "path": "a/b", "methods": ["POST", "PUT"]}
    assert facts_of(webhook) == same
    assert secrets_of(webhook, now=now()) == ["a-secret-of-the-sender"]


@pytest.mark.parametrize("given", [EVERYTHING, PRESET, OPEN, TEXTS])
def test_a_form_that_is_saved_as_it_is_changes_nothing(boss: Client, given: Any) -> None:
    published(GOOD)
    webhook, _secret = create(given, now=now())
    before = Webhook.objects.values().get()
    AuditEntry.objects.all()._raw_delete("default")

    answer = boss.post(edit(webhook), form_on(boss, edit(webhook)))

    assert answer["Location"] == page_of(webhook)
    assert Webhook.objects.values().get() == before
    assert not AuditEntry.objects.exists()


def test_a_webhook_is_changed_on_record(boss: Client) -> None:
    published(GOOD)
    webhook, _secret = create(EVERYTHING, now=now())

    boss.post(edit(webhook), form_on(boss, edit(webhook), networks="", answer_seconds="9"))

    webhook.refresh_from_db()
    entry = AuditEntry.objects.get(verb="change_webhook")
    assert (webhook.networks, webhook.response["waitSeconds"]) == ([], 9)
    assert set(entry.after or {}) == {"networks", "response"}
    assert entry.username == "boss"


@pytest.mark.parametrize(
    ("field", "typed", "fault"),
    [
        ("path", "not a path", "does not match"),
        ("networks", "10.0.0.0/8 nowhere", "use an address or a CIDR"),
        ("mapping", "body.[", "expression"),
        ("mapping", '{"a": "body.["}', "expression"),
        ("dedupe", "body.[", "expression"),
        ("secret", "short", "too short"),
        ("tolerance", "0", "minimum"),
        ("scheme_text", "no body", "holds {body} once"),
        ("answer_seconds", "3", "mode"),
        ("answer_body", "{{ secrets.key }}", "no secrets"),
    ],
)
def test_faults_stand_beside_their_fields_and_nothing_is_made(
    boss: Client, field: str, typed: str, fault: str
) -> None:
    answer = made(boss, **{field: typed})

    form = answer.context["form"]
    fits = field if field in form.errors else "answer_mode"
    assert fault in str(form.errors[fits])
    assert set(form.errors) == {fits}
    assert not Webhook.objects.exists()


def test_a_form_that_is_sent_again_makes_nothing_more(boss: Client) -> None:
    workflow = published(GOOD).workflow_id
    typed = form_on(boss, MAKE, workflow=workflow)

    boss.post(MAKE, typed)
    again = boss.post(MAKE, typed)

    assert told(again) == ["This form was sent before."]
    assert Webhook.objects.count() == 1


def test_what_was_typed_is_shown_as_text_and_secrets_not_at_all(boss: Client) -> None:
    answer = made(boss, name=SCRIPT, path=ATTRIBUTE, secret="never-sent-back-again")
    html = answer.content.decode()

    assert SCRIPT not in html
    assert ATTRIBUTE not in html
    assert "never-sent-back-again" not in html
    assert Inline(html).refused == []


def test_making_and_changing_take_their_permissions_and_a_token_of_the_form(login: Login) -> None:
    published(GOOD)
    webhook, _secret = create(EVERYTHING, now=now())
    onlooker = login()
    maker = login("add_webhook")
    forger = login("add_webhook", "change_webhook", csrf=True)
    rotate = reverse("admin:spane_django_webhook_rotate", args=[webhook.pk])
    before = Webhook.objects.values().get()
    typed = {"workflow": Workflow.objects.get().pk, "kind": "none", "grace": "0"}

    offered = [client.get(list_of(Webhook)).text for client in (onlooker, maker)]
    refused = [
        client.post(url, typed).status_code
        for client, urls in (
            (onlooker, (MAKE, edit(webhook), rotate)),
            (maker, (edit(webhook), rotate)),
            (forger, (MAKE, edit(webhook), rotate)),
        )
        for url in urls
    ]

    assert [MAKE in page for page in offered] == [False, True]
    assert refused == [403] * 8
    assert Webhook.objects.values().get() == before
    assert maker.get(MAKE).status_code == 200


def test_the_filters_of_the_list_stay_all_the_way_round(boss: Client) -> None:
    kept = "_changelist_filters=signature__exact%3Dhmac"
    listed = boss.get(list_of(Webhook, "?signature__exact=hmac")).text

    answer = made(boss, kind="none")
    url = f"{MAKE}?{kept}"
    saved = boss.post(url, form_on(boss, url, workflow=Workflow.objects.get().pk, kind="none"))

    assert f"{MAKE}?{kept}" in listed
    assert kept not in answer["Location"]
    assert saved["Location"].endswith(kept)
    assert "?signature__exact=hmac" in boss.get(saved["Location"]).text


def test_the_page_of_a_webhook_tells_of_its_latest_deliveries(boss: Client, login: Login) -> None:
    published(GOOD)
    webhook, _secret = create({"workflowId": "good"}, now=now())
    empty = boss.get(page_of(webhook)).text

    Client().post(f"/api/webhooks/{webhook.path}", {"a": 1}, "application/json")

    delivery = webhook.deliveries.get()
    assert "Nothing has come yet" in empty
    assert str(delivery.execution_id) in boss.get(page_of(webhook)).text
    assert page_of(delivery) in boss.get(page_of(webhook)).text
