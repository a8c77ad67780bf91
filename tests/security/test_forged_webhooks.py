"""A webhook on a real server: what is forged is refused, what is replayed starts nothing new."""

from __future__ import annotations

import socket
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from pytest_django.live_server_helper import LiveServer

from spane_django.clock import now
from spane_django.models import Execution, WebhookDelivery

from .conftest import MakeHook

pytestmark = pytest.mark.django_db(transaction=True)

BODY = b'{"order": 17, "cents": 990}'
KINDS = ["github", "stripe", "slack"]


def post(server: LiveServer, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    """Send the bytes of a request as they are; return the status and all that came back."""
    place = urlsplit(server.url)
    lines = {"Host": place.netloc, "Content-Type": "application/json", "Connection": "close"}
    lines |= {"Content-Length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    return int(answer.split(b" ", 2)[1]), answer


def forgeries(sent: Any) -> dict[str, tuple[bytes, dict[str, str]]]:
    good = sent.signed(BODY)
    return {
        "unsigned": (BODY, {}),
        "another body": (BODY.replace(b"990", b"1"), good),
        "another secret": (BODY, sent.signed(BODY, "a-secret-that-is-not-theirs")),
        "an empty secret's": (BODY, sent.signed(BODY, " ")),
        "one character": (BODY, {name: value[:-1] + "~" for name, value in good.items()}),
        "empty": (BODY, dict.fromkeys(good, "")),
        "not ascii": (BODY, dict.fromkeys(good, "é" * 64)),
        "very long": (BODY, {name: value + "0" * 6_000 for name, value in good.items()}),
        "another prefix": (BODY, {name: f"sha1={value}" for name, value in good.items()}),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_forged_starts_and_keeps_nothing(
    live_server: LiveServer, hook: MakeHook, kind: str
) -> None:
    sent = hook(kind)

    answers = {
        name: post(live_server, sent.url, body, headers)
        for name, (body, headers) in forgeries(sent).items()
    }

    assert {name: status for name, (status, _) in answers.items() if status != 404} == {}
    assert Execution.objects.count() == WebhookDelivery.objects.count() == 0


@pytest.mark.parametrize("kind", ["stripe", "slack"])
def test_a_request_recorded_yesterday_is_refused(
    live_server: LiveServer, hook: MakeHook, kind: str
) -> None:
    sent = hook(kind)
    recorded = sent.signed(BODY, at=now() - timedelta(days=1))

    status, _ = post(live_server, sent.url, BODY, recorded)

    assert (status, Execution.objects.count()) == (404, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_recorded_request_that_is_sent_again_starts_nothing_new(
    live_server: LiveServer, hook: MakeHook, kind: str
) -> None:
    sent = hook(kind)
    recorded = sent.signed(BODY)
    dressed_up = {**recorded, "X-Forwarded-For": "203.0.113.9", "User-Agent": "another"}

    statuses = [
        post(live_server, path, BODY, headers)[0]
        for headers in (recorded, recorded, dressed_up)
        for path in (sent.url, f"{sent.url}?again=1")
    ]

    assert statuses == [202] * 6
    assert Execution.objects.count() == 1


def test_a_signature_for_one_webhook_is_none_for_another(
    live_server: LiveServer, hook: MakeHook
) -> None:
    mine, theirs = hook("github", path="mine"), hook("github", path="theirs")

    status, _ = post(live_server, theirs.url, BODY, mine.signed(BODY))

    assert (status, Execution.objects.count()) == (404, 0)


def test_a_header_of_an_answer_never_begins_another(
    live_server: LiveServer, hook: MakeHook
) -> None:
    answer = {"mode": "custom", "headers": {"X-Order": "{{ input.body.order }}"}, "body": "ok"}
    sent = hook("none", response=answer)
    body = b'{"order": "17\\r\\nSet-Cookie: sessionid=stolen\\r\\n\\r\\n<script>alert(1)</script>"}'

    _, raw = post(live_server, sent.url, body, {})

    head = raw.partition(b"\r\n\r\n")[0].lower()
    assert b"x-order: 17 set-cookie: sessionid=stolen" in head
    assert b"\r\nset-cookie" not in head


def test_an_answer_that_claims_to_be_a_page_runs_nothing(
    live_server: LiveServer, hook: MakeHook
) -> None:
    page = {"mode": "custom", "headers": {"Content-Type": "text/html"}, "body": "{{ input.body }}"}
    sent = hook("none", response=page)

    _, raw = post(live_server, sent.url, b'"<script>alert(1)</script>"', {})

    head = raw.partition(b"\r\n\r\n")[0].lower()
    assert b"content-security-policy: sandbox; default-src 'none'" in head
    assert b"x-content-type-options: nosniff" in head


def test_an_answer_holds_no_secret(hook: MakeHook) -> None:
    from spane_django.triggers.webhook_config import InvalidWebhook

    for place in ({"body": "{{ secrets.stripe }}"}, {"headers": {"X-A": "{{ secrets.stripe }}"}}):
        with pytest.raises(InvalidWebhook, match="holds no secrets"):
            hook("none", response={"mode": "custom", **place})
