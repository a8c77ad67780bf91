"""`spane_webhooks`, and the commands that it shows: each calls its webhook as a sender would."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from pytest_django.live_server_helper import LiveServer

from spane_django.clock import now
from spane_django.engine.enable import disable, enable
from spane_django.models import Execution, Webhook
from tests.management.conftest import ask

KINDS: dict[str, dict[str, Any]] = {
    "none": {},
    "github": {"kind": "github"},
    "stripe": {"kind": "stripe"},
    "slack": {"kind": "slack"},
    "plain": {"kind": "hmac", "header": "X-Sign"},
    "timed": {
        "kind": "hmac", "header": "X-Sign", "algorithm": "sha512", "encoding": "base64",
        "prefix": "v9=", "timestampHeader": "X-Time", "text": "{timestamp}/{body}",
    },
}  # fmt: skip


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", KINDS)
def test_the_command_that_is_shown_is_taken_as_it_stands(
    kind: str, line: str, live_server: LiveServer
) -> None:
    signature = {"signature": KINDS[kind]} if KINDS[kind] else {}
    given = json.dumps(signature)
    made = ask(
        "spane_webhooks", "create", line, "--set", given, "--host", live_server.url, "--json"
    )
    script = made.json["curl"].replace("put-the-signing-secret-here", made.json.get("secret", ""))

    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=20)

    assert "202 Accepted" in said.stdout, script + said.stdout + said.stderr
    assert Execution.objects.get().input["body"] == {"hello": "world"}


@pytest.mark.django_db(transaction=True)
def test_a_command_without_a_body_is_taken_too(line: str, live_server: LiveServer) -> None:
    given = '{"methods": ["GET"], "signature": {"kind": "slack"}}'
    made = ask(
        "spane_webhooks", "create", line, "--set", given, "--host", live_server.url, "--json"
    )
    script = made.json["curl"].replace("put-the-signing-secret-here", made.json["secret"])

    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=20)

    assert "202 Accepted" in said.stdout, script + said.stdout + said.stderr


@pytest.mark.django_db
def test_a_webhook_is_made_and_its_secret_told_once(line: str) -> None:
    made = ask("spane_webhooks", "create", line, "--signature", "github", "--path", "git/hub")
    webhook = Webhook.objects.get()

    shown = ask("spane_webhooks", "show", webhook.pk)
    listed = ask("spane_webhooks", "list")

    secret = made.out.partition("not shown again: ")[2].split()[0]
    assert len(secret) >= 43
    assert secret not in shown.out + listed.out
    assert "/api/webhooks/git/hub" in shown.out
    assert "git/hub" in listed.out


@pytest.mark.django_db
def test_deliveries_are_listed_and_delivered_again(line: str, client: Any) -> None:
    path = ask("spane_webhooks", "create", line, "--json").json["path"]
    disable(line, now=now())
    client.post(f"/api/webhooks/{path}", {"n": 1}, "application/json")
    enable(line, now=now())
    webhook = Webhook.objects.get()
    (refused,) = ask("spane_webhooks", "deliveries", webhook.pk, "--json").json

    again = ask("spane_webhooks", "redeliver", refused["id"])
    listed = ask("spane_webhooks", "deliveries", webhook.pk)

    assert (refused["status"], refused["executionId"]) == ("refused", None)
    assert str(Execution.objects.get().pk) in again.out
    assert str(Execution.objects.get().pk) in listed.out


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["show"], 2),
        (["show", "x"], 1),
        (["redeliver", "x"], 2),
        (["redeliver", "0199c0de-7a11-7000-8000-000000000000"], 1),
        (["create", "nothing"], 1),
        (["create", "line", "--set", '{"colour": "red"}'], 1),
    ],
)
def test_what_cannot_be_done_is_said(line: str, words: list[str], code: int) -> None:
    answer = ask("spane_webhooks", *words)

    assert answer.code == code
    assert answer.err
