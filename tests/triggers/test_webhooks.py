"""What webhooks take in, and what they refuse without a word."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from pytest_django import Settings
from pytest_django.fixtures import DjangoAssertNumQueries

from spane_django.clock import now, telling
from spane_django.core.json import MAX_SENT_DEPTH
from spane_django.engine.enable import disable, enable
from spane_django.engine.publish import publish
from spane_django.models import Execution, WebhookDelivery
from spane_django.triggers import webhook_housekeeping
from spane_django.triggers.webhook_housekeeping import DeliveryHousekeeping, prune_deliveries
from spane_django.triggers.webhook_intake import redeliver
from spane_django.triggers.webhooks import change, delete, rotate

from .conftest import FLOW, Hook, MakeHook, inputs

SIGNED = ["github", "stripe", "slack"]
TIMED = ["stripe", "slack"]
OWN = {
    "kind": "hmac", "header": "X-Sign", "timestampHeader": "X-Time", "encoding": "base64",
    "algorithm": "sha512", "prefix": "v9=", "text": "{timestamp}/{body}",
}  # fmt: skip


def assert_nothing_is_told(answer: Any) -> None:
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    assert Execution.objects.count() == WebhookDelivery.objects.count() == 0


@pytest.mark.parametrize("kind", ["none", *SIGNED])
def test_a_delivery_is_stored_and_started_before_the_answer(hook: MakeHook, kind: str) -> None:
    sent = hook(kind, input="body")

    answer = sent.send({"order": 17})

    execution = Execution.objects.get()
    assert answer.status_code == 202
    assert answer.json()["executionId"] == str(execution.pk)
    assert answer.json()["deliveryId"] == str(sent.delivery().pk)
    assert sent.delivery().execution_id == execution.pk
    assert execution.trigger == f"webhook:{sent.webhook.pk}"
    assert inputs() == [{"order": 17}]


def test_a_scheme_of_ones_own_is_checked(hook: MakeHook) -> None:
    sent = hook(signature=OWN)

    assert sent.send({"n": 1}).status_code == 202
    assert sent.send({"n": 2}, headers={"X-Sign": "v9=AAAA"}).status_code == 404


def test_the_input_is_the_whole_request_without_its_secrets(hook: MakeHook) -> None:
    sent = hook("github", path="github/orders")

    sent.send(
        {"n": 1}, query="?a=1&b=2&b=3&c=",
        headers={"Authorization": "Bearer x", "Cookie": "y=1", "X-Api-Key": "z", "X-Kind": "new"},
    )  # fmt: skip

    (given,) = inputs()
    kept = {"content-type": "application/json", "content-length": "8", "x-kind": "new"}
    assert given == {
        "method": "POST",
        "path": "github/orders",
        "query": {"a": "1", "b": ["2", "3"], "c": ""},
        "headers": kept,
        "body": {"n": 1},
    }
    assert sent.delivery().request == given


def test_the_path_of_an_unsigned_webhook_is_in_no_input(hook: MakeHook) -> None:
    sent = hook("none")

    sent.send({})

    assert len(sent.webhook.path) >= 32
    assert sent.webhook.path not in json.dumps([*inputs(), sent.delivery().request])


def test_expressions_make_the_input(hook: MakeHook) -> None:
    mapping = {"id": "body.order.id", "kind": 'headers."x-kind"', "page": "query.page"}
    sent = hook(input={**mapping, "via": {"method": "method", "constant": "'shop'"}})

    sent.send({"order": {"id": 17}}, query="?page=2", headers={"X-Kind": "new"})

    via = {"method": "POST", "constant": "shop"}
    assert inputs() == [{"id": 17, "kind": "new", "page": "2", "via": via}]


@pytest.mark.parametrize(
    ("kind", "body", "found"),
    [
        ("application/json", b'{"a": [1]}', {"a": [1]}),
        ("application/cloudevents+json; charset=UTF-8", b'"x"', "x"),
        ("application/x-www-form-urlencoded", b"a=1&a=2&b=%C3%A9", {"a": ["1", "2"], "b": "é"}),
        ("text/plain", "grüße".encode(), "grüße"),
        ("text/xml; charset=utf-8", b"<a/>", "<a/>"),
        ("application/octet-stream", b"", None),
    ],
)
def test_json_forms_and_text_are_read(hook: MakeHook, kind: str, body: bytes, found: Any) -> None:
    sent = hook("github", input="body")

    assert sent.send(body, content_type=kind).status_code == 202
    assert inputs() == [found]


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{", 400),
        ("application/json", b"\xff", 400),
        ("application/json", b'"\\u0000"', 400),
        ("application/json", b'"\\ud800"', 400),
        ("application/json", b"NaN", 400),
        ("application/json", b"1e999", 400),
        ("application/json", b"9" * 5_000, 400),
        ("application/json", b"[" * 100_000, 400),
        ("application/json", b"[" * 101 + b"]" * 101, 400),
        ("application/x-www-form-urlencoded", b"a=%FF", 400),
        ("application/x-www-form-urlencoded", b"a=%00", 400),
        ("application/x-www-form-urlencoded", b"a=1&" * 1_001, 400),
        ("text/plain", b"\xff", 400),
        ("text/plain", b"a\x00", 400),
        ("text/plain; charset=utf-16", "a".encode("utf-16"), 415),
        ("application/octet-stream", b"x", 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        ("", b"{}", 415),
    ],
)
def test_what_cannot_be_read_is_the_senders_fault(
    hook: MakeHook, kind: str, body: bytes, status: int
) -> None:
    sent = hook("github")

    answer = sent.send(body, content_type=kind)

    assert answer.status_code == status
    assert answer.json()["error"]["code"]
    assert Execution.objects.count() == WebhookDelivery.objects.count() == 0


def test_nesting_is_allowed_as_deep_as_everywhere(hook: MakeHook) -> None:
    depth = MAX_SENT_DEPTH

    assert hook("github").send(b"[" * depth + b"]" * depth).status_code == 202


def test_a_body_is_not_read_any_further_than_it_may_be(hook: MakeHook, settings: Settings) -> None:
    settings.SPANE = {**settings.SPANE, "WEBHOOK_MAX_BYTES": 100}
    sent = hook("github")

    fits = sent.send(b'"' + b"x" * 98 + b'"')
    larger = sent.send(b'"' + b"x" * 99 + b'"')
    boasting = sent.send(b"{}", CONTENT_LENGTH="99999999999999999999")
    elsewhere = sent.client.post("/api/webhooks/nobody", b"x" * 101, "text/plain")

    statuses = [each.status_code for each in (fits, larger, boasting, elsewhere)]
    assert statuses == [202, 413, 413, 413]


@pytest.mark.parametrize("kind", SIGNED)
def test_every_refusal_is_the_same_answer(hook: MakeHook, kind: str) -> None:
    sent = hook(kind, path="some/where", networks=["127.0.0.0/8"])
    body = b'{"n": 1}'
    good = sent.signed(body)
    forged = {name: value[:-1] + "10"[value[-1] == "1"] for name, value in good.items()}

    answers = [
        sent.client.post("/api/webhooks/else/where", body, "application/json", headers=good),
        sent.client.post("/api/webhooks/some/where/", body, "application/json", headers=good),
        sent.client.post("/api/webhooks/some%2500where", body, "application/json", headers=good),
        sent.client.post("/api/webhooks/" + "x" * 300, body, "application/json", headers=good),
        sent.send(body, method="PUT"),
        sent.send(body, headers=forged),
        sent.send(body, headers=dict.fromkeys(good, "")),
        sent.send(body, headers=sent.signed(body, "not-the-secret-at-all")),
        sent.send(body, headers=sent.signed(b'{"n": 2}')),
        sent.send(body, REMOTE_ADDR="192.0.2.1"),
        sent.client.post("/api/webhooks/some/where", body, "application/json"),
    ]

    for answer in answers:
        assert_nothing_is_told(answer)
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(sorted(answer.headers.items())) for answer in answers}) == 1


@pytest.mark.parametrize("kind", TIMED)
@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_stale_time_is_refused(hook: MakeHook, kind: str, minutes: int) -> None:
    sent = hook(kind)
    headers = sent.signed(b"{}", at=now() + timedelta(minutes=minutes))

    assert_nothing_is_told(sent.send(b"{}", headers=headers))


def test_a_disabled_webhook_answers_as_if_it_did_not_exist(hook: MakeHook) -> None:
    sent = hook("github")

    change(sent.webhook.pk, {"enabled": False}, now=now())

    assert_nothing_is_told(sent.send({}))


def test_methods_are_those_that_were_chosen(hook: MakeHook) -> None:
    sent = hook(methods=["GET", "DELETE"], input="method")

    statuses = [sent.send(b"", method=method).status_code for method in ("GET", "DELETE", "POST")]

    assert statuses == [202, 202, 404]
    assert inputs() == ["GET", "DELETE"]


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "BREW"])
def test_what_no_webhook_takes_is_no_method_anywhere(hook: MakeHook, method: str) -> None:
    sent = hook("github")

    answers = [sent.send(b"", method=method), sent.client.generic(method, "/api/webhooks/none")]

    assert [answer.status_code for answer in answers] == [405, 405]
    assert Execution.objects.count() == 0


@pytest.mark.parametrize("kind", SIGNED)
def test_a_replayed_request_is_answered_like_the_first(hook: MakeHook, kind: str) -> None:
    sent = hook(kind)
    headers = sent.signed(b'{"n": 1}')
    again = {**headers, "X-GitHub-Delivery": "another", "X-Forwarded-For": "192.0.2.9"}

    first = sent.send(b'{"n": 1}', headers=headers)
    second = sent.send(b'{"n": 1}', headers=again, query="?admin=1")

    assert second.json() == first.json()
    assert second.status_code == 202
    assert Execution.objects.count() == 1
    assert sent.delivery().repeats == 1


@pytest.mark.parametrize(
    ("kind", "given", "send"),
    [
        ("github", {}, {"headers": {"X-GitHub-Delivery": "d-1"}}),
        ("stripe", {}, {"id": "evt_1"}),
        ("slack", {}, {"event_id": "Ev1"}),
        ("none", {"dedupeKey": 'headers."x-id"'}, {"headers": {"X-Id": "1"}}),
        ("none", {"dedupeKey": "body.deep.id"}, {"deep": {"id": 7}}),
        ("none", {"dedupeKey": "body.text"}, {"text": "x" * 5_000}),
    ],
)
def test_the_same_delivery_id_is_the_same_execution(
    hook: MakeHook, kind: str, given: dict[str, Any], send: dict[str, Any]
) -> None:
    sent = hook(kind, **given)
    headers, body = send.get("headers", {}), {} if "headers" in send else send

    ids = {
        sent.send({**body, "try": number}, headers=headers).json()["executionId"]
        for number in range(3)
    }

    assert ids == {str(Execution.objects.get().pk)}
    assert sent.delivery().repeats == 2


def test_deliveries_without_an_id_are_each_their_own(hook: MakeHook) -> None:
    sent = hook(dedupeKey="body.id")

    for body in ({}, {"id": None}, {"id": ""}, {"id": "1"}):
        sent.send(body)

    assert Execution.objects.count() == 4


def test_ids_of_two_webhooks_have_nothing_to_do_with_each_other(hook: MakeHook) -> None:
    one, two = hook(dedupeKey="body.id"), hook(dedupeKey="body.id")

    first, second = one.send({"id": 1}).json(), two.send({"id": 1}).json()

    assert first["executionId"] != second["executionId"]


def test_a_delivery_that_cannot_start_is_kept_and_can_be_delivered_later(hook: MakeHook) -> None:
    sent = hook("github", input="body")
    disable("flow", now=now())

    answer = sent.send({"n": 1})

    assert answer.status_code == 202
    assert answer.json() == {"deliveryId": str(sent.delivery().pk), "executionId": None}
    assert sent.delivery().status == WebhookDelivery.Status.REFUSED
    assert "disabled" in sent.delivery().reason

    enable("flow", now=now())
    delivered = redeliver(sent.delivery().pk, now=now())

    assert inputs() == [{"n": 1}]
    assert delivered == sent.delivery()
    assert (sent.delivery().status, sent.delivery().reason) == ("started", "")


def test_a_sender_that_repeats_what_could_not_start_starts_it(hook: MakeHook) -> None:
    sent = hook("github")
    disable("flow", now=now())
    headers = sent.signed(b"{}")
    refused = sent.send(b"{}", headers=headers).json()
    still = sent.send(b"{}", headers=headers).json()
    enable("flow", now=now())

    started = sent.send(b"{}", headers=headers).json()

    assert refused["executionId"] is still["executionId"] is None
    assert started == {
        "deliveryId": refused["deliveryId"],
        "executionId": str(Execution.objects.get().pk),
    }


def test_a_refused_input_is_told_with_every_fault_and_kept(hook: MakeHook) -> None:
    schema = {"type": "object", "required": ["a", "b"]}
    publish({**FLOW, "inputSchema": schema}, now=now())
    sent = hook("github", input="body")

    answer = sent.send({})

    assert answer.status_code == 422
    assert len(answer.json()["error"]["details"]) == 2
    assert sent.delivery().status == WebhookDelivery.Status.REFUSED

    change(sent.webhook.pk, {"input": {"a": "`1`", "b": "`2`"}}, now=now())
    redeliver(sent.delivery().pk, now=now())

    assert inputs() == [{"a": 1, "b": 2}]


def test_an_expression_that_fails_refuses_the_delivery_and_keeps_it(hook: MakeHook) -> None:
    sent = hook(input="length(body)", dedupeKey="join(',', body)")

    answer = sent.send(7)

    assert answer.status_code == 202
    assert sent.delivery().status == WebhookDelivery.Status.REFUSED
    assert "join()" in sent.delivery().reason


def test_what_had_started_is_delivered_again_beside_the_first(hook: MakeHook) -> None:
    sent = hook("github", input="body")
    sent.send({"n": 1})
    first = sent.delivery()

    again = redeliver(first.pk, now=now())

    assert inputs() == [{"n": 1}, {"n": 1}]
    assert again.redelivery_of == first.pk
    assert again.execution_id != first.execution_id


def test_the_old_secret_is_good_for_its_time_of_grace(hook: MakeHook) -> None:
    sent = hook("github")
    old = sent.secret

    _, new = rotate(sent.webhook.pk, {"graceSeconds": 3_600}, now=now())

    assert sent.send({"n": 1}, headers=sent.signed(b'{"n": 1}', old)).status_code == 202
    assert sent.send({"n": 2}, headers=sent.signed(b'{"n": 2}', new)).status_code == 202
    later = now() + timedelta(minutes=61)
    with telling(lambda: later):
        assert sent.send({"n": 3}, headers=sent.signed(b'{"n": 3}', old)).status_code == 404
        assert sent.send({"n": 4}, headers=sent.signed(b'{"n": 4}', new)).status_code == 202


def test_without_grace_the_old_secret_is_bad_at_once(hook: MakeHook) -> None:
    sent = hook("github")

    rotate(sent.webhook.pk, {"graceSeconds": 0}, now=now())

    assert_nothing_is_told(sent.send({}))


def test_secrets_are_nowhere_in_the_clear(hook: MakeHook, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    sent = hook("stripe", secret="whsec_a-secret-of-the-senders")
    old = sent.webhook.sealed_secret
    rotate(sent.webhook.pk, {"secret": "whsec_another-of-the-senders"}, now=now())

    sent.send({"n": 1})
    sent.send({"n": 2}, headers={"Stripe-Signature": "t=1,v1=00"})
    sent.webhook.refresh_from_db()

    row = str(vars(sent.webhook))
    assert sent.webhook.sealed_old_secret == old
    assert "whsec" not in row + caplog.text + str(sent.delivery().request)


def test_a_secret_whose_key_is_gone_is_no_error_of_the_senders(
    hook: MakeHook, settings: Settings
) -> None:
    sent = hook("github")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", []

    assert_nothing_is_told(sent.send({}))


@pytest.mark.parametrize(
    ("peer", "forwarded", "status"),
    [
        ("203.0.113.7", "", 202),
        ("203.0.114.7", "", 404),
        ("::ffff:203.0.113.7", "", 202),
        ("2001:db8::7", "", 202),
        ("", "", 404),
        # Who is no proxy of ours may claim what they like.
        ("192.0.2.1", "203.0.113.7", 404),
        # A proxy adds who it saw at the end; what stands before is hearsay.
        ("10.0.0.1", "203.0.113.7", 202),
        ("10.0.0.1", "203.0.113.7, 10.0.0.2", 202),
        ("10.0.0.1", "203.0.113.7, 192.0.2.1", 404),
        ("10.0.0.1", "203.0.113.7, nonsense", 404),
        ("10.0.0.1", "2001:db8::7%" + "x" * 500, 202),
        ("2001:db8::7%eth0", "", 202),
        ("10.0.0.1", "", 404),
    ],
)
def test_only_those_on_the_list_may_send(
    hook: MakeHook, settings: Settings, peer: str, forwarded: str, status: int
) -> None:
    settings.SPANE = {**settings.SPANE, "TRUSTED_PROXIES": ["10.0.0.0/8"]}
    sent = hook("github", networks=["203.0.113.0/24", "2001:db8::/32"])

    answer = sent.send({}, REMOTE_ADDR=peer, headers={"X-Forwarded-For": forwarded})

    assert answer.status_code == status


def test_a_proxy_on_a_local_socket_may_be_trusted(hook: MakeHook, settings: Settings) -> None:
    settings.SPANE = {**settings.SPANE, "TRUSTED_PROXIES": ["unix"]}
    sent = hook("github", networks=["203.0.113.7"])

    answer = sent.send({}, REMOTE_ADDR="", headers={"X-Forwarded-For": "203.0.113.7"})

    assert answer.status_code == 202
    assert sent.delivery().address == "203.0.113.7"


def test_handshakes_are_answered_and_start_nothing(hook: MakeHook) -> None:
    slack, github = hook("slack"), hook("github")

    challenge = slack.send({"type": "url_verification", "challenge": "3eZbrw1a"})
    ping = github.send({"zen": "Speak like a human."}, headers={"X-GitHub-Event": "ping"})

    assert (challenge.status_code, challenge.content) == (200, b"3eZbrw1a")
    assert ping.status_code == 200
    assert Execution.objects.count() == WebhookDelivery.objects.count() == 0


def test_a_handshake_that_is_not_signed_is_not_answered(hook: MakeHook) -> None:
    sent = hook("slack")
    body = {"type": "url_verification", "challenge": "3eZbrw1a"}

    assert_nothing_is_told(sent.send(body, headers={"X-Slack-Signature": "v0=00"}))


def test_a_workflow_of_the_tenant_is_meant_or_one_that_all_share(hook: MakeHook) -> None:
    sent = hook("github", tenant="acme")

    sent.send({})

    assert Execution.objects.get().tenant == "acme"


def test_a_request_costs_few_statements(
    hook: MakeHook, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    sent = hook("github")
    sent.send({"n": 0})

    # The webhook, the workflow, the execution, its node, the delivery; and the savepoints.
    with django_assert_max_num_queries(11):
        assert sent.send({"n": 1}).status_code == 202


def test_old_deliveries_go_and_what_they_started_stays(hook: MakeHook, settings: Settings) -> None:
    settings.SPANE = {**settings.SPANE, "WEBHOOK_KEEP_DAYS": 2}
    sent = hook()
    for number in range(3):
        sent.send({"n": number})

    young = prune_deliveries(now=now() + timedelta(days=1))
    old = [prune_deliveries(now=now() + timedelta(days=3), batch=2) for _ in range(3)]

    assert (young, old) == (0, [2, 1, 0])
    assert Execution.objects.count() == 3


def test_the_scheduler_forgets_old_deliveries_in_steps_and_then_rests(
    hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_housekeeping, "BATCH", 2)
    sent, duty = hook(), DeliveryHousekeeping()
    for number in range(3):
        sent.send({"n": number})

    steps = [duty(now() + timedelta(days=31)) for _ in range(2)]
    sent.send({"n": "late"})
    steps.append(duty(now() + timedelta(days=99)))

    assert steps == [True, False, False]
    assert sent.delivery().request["body"] == {"n": "late"}


def test_what_is_deleted_takes_its_deliveries_along(hook: MakeHook) -> None:
    sent, other = hook(), hook()
    sent.send({})
    other.send({})

    delete(sent.webhook.pk, now=now())

    assert sent.send({}).status_code == 404
    assert WebhookDelivery.objects.get().webhook == other.webhook
    assert Execution.objects.count() == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["github", "none"])
def test_many_at_once_with_one_id_are_one_execution(hook: MakeHook, kind: str) -> None:
    sent = hook(kind, dedupeKey="body.id")
    headers = sent.signed(b'{"id": 1}')
    start = threading.Barrier(8)
    answers: list[Any] = []

    def send() -> None:
        start.wait()
        own = Hook(sent.webhook, sent.secret)
        answers.append(own.send(b'{"id": 1}', headers=headers))
        connections.close_all()

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {answer.status_code for answer in answers} == {202}
    assert {answer.json()["executionId"] for answer in answers} == {str(Execution.objects.get().pk)}
    assert sent.delivery().repeats == 7
