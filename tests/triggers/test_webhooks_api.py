"""Webhooks over the API: made, changed, rotated, deleted; deliveries seen and delivered again."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from spane_django.clock import now
from spane_django.engine.enable import disable, enable
from spane_django.engine.tokens import issue
from spane_django.engine.vault import open_sealed
from spane_django.models import AuditEntry, Execution, Webhook
from tests.api.conftest import Api, MakeApi, MakeUser, api_of, assert_refused, make_user

from .conftest import Hook, MakeHook, inputs

__all__ = ["api_of", "make_user"]  # fixtures

ALL = (
    "view_webhook", "add_webhook", "change_webhook", "delete_webhook", "view_webhookdelivery",
    "redeliver_webhook", "view_payload",
)  # fmt: skip
ROUTE = "/api/triggers/webhooks"


@pytest.fixture
def api(api_of: MakeApi, flow: None) -> Api:
    """A client of a user who may do everything with webhooks."""
    return api_of(*ALL)


def send(api: Api, method: str, path: str, body: Any = None) -> Any:
    return api.client.generic(
        method, path, "" if body is None else json.dumps(body), "application/json",
        headers={"Authorization": f"Bearer {api.token}"},
    )  # fmt: skip


def make(api: Api, **given: Any) -> dict[str, Any]:
    answer = api.post(ROUTE, {"workflowId": "flow", **given})
    assert answer.status_code == 201, answer.content
    made: dict[str, Any] = answer.json()
    return made


def test_a_secret_is_shown_once(api: Api) -> None:
    made = make(api, signature={"kind": "github"})

    shown = api.get(f"{ROUTE}/{made['id']}").json()
    listed = api.get(ROUTE).json()["results"]

    assert len(made["secret"]) >= 43
    assert open_sealed(Webhook.objects.get().sealed_secret) == made["secret"]
    assert "secret" not in shown
    assert made["secret"] not in str([shown, listed])
    assert {**shown, "secret": made["secret"]} == made
    assert listed == [shown]


def test_a_secret_that_was_given_is_not_shown_at_all(api: Api) -> None:
    made = make(api, signature={"kind": "stripe"}, secret="whsec_of-the-senders-own")

    assert "secret" not in made
    assert open_sealed(Webhook.objects.get().sealed_secret) == "whsec_of-the-senders-own"


def test_the_path_of_an_unsigned_webhook_cannot_be_guessed(api: Api) -> None:
    paths = [make(api)["path"], make(api)["path"], make(api, path="shop/orders")["path"]]

    assert len(set(paths)) == 3
    assert all(re.fullmatch(r"(shop/orders/)?[\w-]{32}", path) for path in paths)
    assert paths[2].startswith("shop/orders/")


def test_a_signed_path_may_be_chosen_and_have_many_segments(api: Api) -> None:
    made = make(api, path="shop/orders/new", signature={"kind": "github"})

    assert made["url"] == "http://testserver/api/webhooks/shop/orders/new"


def test_a_webhook_that_is_no_longer_signed_gets_a_path_that_nobody_guesses(api: Api) -> None:
    made = make(api, path="shop", signature={"kind": "github"})

    changed = send(api, "PATCH", f"{ROUTE}/{made['id']}", {"signature": {"kind": "none"}}).json()

    assert re.fullmatch(r"shop/[\w-]{32}", changed["path"])
    assert Webhook.objects.get().sealed_secret == ""


def test_a_webhook_that_is_signed_from_now_on_gets_a_secret(api: Api) -> None:
    made = make(api)

    changed = send(api, "PATCH", f"{ROUTE}/{made['id']}", {"signature": {"kind": "slack"}}).json()

    assert Hook(Webhook.objects.get(), changed["secret"]).send({"n": 1}).status_code == 202


def test_who_may_only_look_is_not_shown_an_unsigned_path(api: Api, api_of: MakeApi) -> None:
    made, signed = make(api), make(api, signature={"kind": "github"})
    onlooker = api_of("view_webhook")

    shown = onlooker.get(f"{ROUTE}/{made['id']}").json()
    listed = onlooker.get(ROUTE).json()

    assert made["path"] not in str([shown, listed])
    assert (shown["url"], shown["curl"]) == (None, None)
    assert onlooker.get(f"{ROUTE}/{signed['id']}").json()["path"] == signed["path"]


def test_a_token_that_may_only_look_is_not_shown_an_unsigned_path(
    api: Api, make_user: MakeUser
) -> None:
    made = make(api)
    token, _ = issue(make_user(*ALL), "look", now=now(), scope="read")

    shown = Api(token).get(f"{ROUTE}/{made['id']}").json()

    assert made["path"] not in str(shown)


def test_what_is_not_named_stays_as_it_is(api: Api) -> None:
    made = make(api, signature={"kind": "github"}, input={"n": "body.n"}, networks=["10.0.0.0/8"])

    changed = send(api, "PATCH", f"{ROUTE}/{made['id']}", {"enabled": False}).json()

    made.pop("secret")
    assert changed == {**made, "enabled": False}


@pytest.mark.parametrize(
    ("given", "paths"),
    [
        ({}, ["workflowId"]),
        ({"workflowId": "flow", "colour": "red"}, ["colour"]),
        ({"workflowId": "flow", "path": "a//b", "methods": ["BREW"]}, ["methods[0]", "path"]),
        ({"workflowId": "flow", "path": "../x y"}, ["path"]),
        ({"workflowId": "flow", "path": "a\n"}, ["path"]),
        ({"workflowId": "flow", "methods": []}, ["methods"]),
        ({"workflowId": "flow", "networks": ["x", "10.0.0.1/8"]}, ["networks[0]", "networks[1]"]),
        ({"workflowId": "flow", "input": {"a": "b[", "c": 7}}, ["input.a", "input.c"]),
        ({"workflowId": "flow", "dedupeKey": "nope("}, ["dedupeKey"]),
        ({"workflowId": "flow", "signature": {"kind": "hmac"}}, ["signature.header"]),
        ({"workflowId": "flow", "signature": {"kind": "github", "header": "X"}}, ["signature"]),
        ({"workflowId": "flow", "signature": {"kind": "hmac", "header": "a b"}}, ["header"]),
        (
            {"workflowId": "flow", "signature": {"kind": "hmac", "header": "X", "text": "$(id)"}},
            ["signature.text"],
        ),
        ({"workflowId": "flow", "secret": "short"}, ["secret"]),
        ({"workflowId": "flow", "secret": "long-enough-but-unsigned"}, ["secret"]),
        ({"workflowId": "flow", "response": {"mode": "wait"}}, ["response.waitSeconds"]),
        ({"workflowId": "flow", "response": {"status": 201}}, ["response.mode"]),
        ({"workflowId": "flow", "response": {"mode": "custom", "status": 500}}, ["status"]),
        ({"workflowId": "flow", "response": {"mode": "custom", "status": "{{ x }}"}}, ["status"]),
        (
            {"workflowId": "flow", "response": {"mode": "custom", "headers": {"Set-Cookie": "a"}}},
            ["response.headers.Set-Cookie"],
        ),
        (
            {"workflowId": "flow", "response": {"mode": "custom", "body": "{{ secret }}"}},
            ["response.body"],
        ),
    ],
)  # fmt: skip
def test_every_fault_of_a_webhook_is_told(
    api: Api, given: dict[str, Any], paths: list[str]
) -> None:
    answer = api.post(ROUTE, given)

    assert answer.status_code == 400
    assert_refused(answer)
    told = [item["path"] + item["message"] for item in answer.json()["error"]["details"]]
    assert all(any(path in each for each in told) for path in paths), told
    assert not Webhook.objects.exists()


@pytest.mark.parametrize("body", [b"[]", b"7", b'"x"', b"null", b"{", b'{"workflowId": []}'])
def test_what_is_no_webhook_is_the_clients_fault(api: Api, body: bytes) -> None:
    assert_refused(api.post(ROUTE, body))


def test_a_workflow_that_does_not_exist_has_no_webhook(api: Api) -> None:
    answer = api.post(ROUTE, {"workflowId": "nothing"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_workflow")


def test_two_webhooks_do_not_have_one_path(api: Api) -> None:
    made = make(api, path="shop", signature={"kind": "github"})
    other = make(api, signature={"kind": "github"})

    answers = [
        api.post(ROUTE, {"workflowId": "flow", "path": "shop", "signature": {"kind": "github"}}),
        send(api, "PATCH", f"{ROUTE}/{other['id']}", {"path": "shop"}),
        send(api, "PATCH", f"{ROUTE}/{made['id']}", {"path": "shop"}),
    ]

    assert [answer.status_code for answer in answers] == [400, 400, 200]
    assert answers[0].json()["error"]["details"][0]["code"] == "taken"


def test_rotating_shows_the_new_secret_once_and_keeps_the_old_one_for_a_day(api: Api) -> None:
    made = make(api, signature={"kind": "github"})

    rotated = api.post(f"{ROUTE}/{made['id']}/rotate").json()

    assert rotated["secret"] != made["secret"]
    assert rotated["oldSecretUntil"] > now().isoformat()
    for secret in (made["secret"], rotated["secret"]):
        sender = Hook(Webhook.objects.get(), secret)
        assert sender.send({"with": secret}).status_code == 202


def test_what_is_not_signed_has_nothing_to_rotate(api: Api) -> None:
    made = make(api)

    answer = api.post(f"{ROUTE}/{made['id']}/rotate")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "unsigned_webhook")


def test_deliveries_are_listed_shown_and_delivered_again(api: Api, hook: MakeHook) -> None:
    sent = hook("github", input="body")
    disable("flow", now=now())
    sent.send({"n": 1})
    enable("flow", now=now())
    sent.send({"n": 2})
    route = f"{ROUTE}/{sent.webhook.pk}/deliveries"

    newest, oldest = api.get(route).json()["results"]
    refused = api.get(f"{route}?status=refused").json()["results"]
    whole = api.get(f"/api/triggers/deliveries/{oldest['id']}").json()
    again = api.post(f"/api/triggers/deliveries/{oldest['id']}/redeliver")

    assert (newest["status"], oldest["status"]) == ("started", "refused")
    assert refused == [oldest]
    assert whole["request"]["body"] == {"n": 1}
    assert again.status_code == 202
    assert again.json()["executionId"] == str(Execution.objects.latest("id").pk)
    assert inputs() == [{"n": 2}, {"n": 1}]


def test_what_still_cannot_start_says_why_and_stays(api: Api, hook: MakeHook) -> None:
    sent = hook("github")
    disable("flow", now=now())
    sent.send({})

    answer = api.post(f"/api/triggers/deliveries/{sent.delivery().pk}/redeliver")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "disabled_workflow")
    assert sent.delivery().status == "refused"


def test_who_may_not_see_payloads_is_not_shown_what_was_sent(
    api_of: MakeApi, hook: MakeHook
) -> None:
    sent = hook("github")
    sent.send({"card": "4111"})

    shown = api_of("view_webhookdelivery").get(f"/api/triggers/deliveries/{sent.delivery().pk}")

    assert (shown.json()["request"], shown.json()["payloadsHidden"]) == (None, True)


def test_deleting_needs_its_own_permission_and_takes_all_along(
    api: Api, api_of: MakeApi, hook: MakeHook
) -> None:
    sent = hook("github")
    sent.send({})
    route = f"{ROUTE}/{sent.webhook.pk}"

    refused = send(api_of("change_webhook"), "DELETE", route)
    gone = send(api, "DELETE", route)

    assert (refused.status_code, gone.status_code) == (403, 204)
    assert api.get(route).status_code == 404


@pytest.mark.parametrize("key", ["0", "x", "9" * 30, "1e3", "-1"])
def test_what_is_not_there_is_not_found(api: Api, key: str) -> None:
    for route in (f"{ROUTE}/{key}", f"{ROUTE}/{key}/deliveries", f"/api/triggers/deliveries/{key}"):
        assert api.get(route).status_code == 404
    assert api.get(f"/api/triggers/deliveries/{uuid4()}").status_code == 404


def test_nobody_comes_in_without_a_token(client: Client, flow: None) -> None:
    answers = [
        client.get(ROUTE),
        client.post(ROUTE, {}, "application/json"),
        client.post(f"{ROUTE}/1/rotate"),
        client.get(f"/api/triggers/deliveries/{uuid4()}"),
        client.post(f"/api/triggers/deliveries/{uuid4()}/redeliver"),
    ]

    assert {answer.status_code for answer in answers} == {401}


def test_what_operators_do_is_in_the_audit_trail_without_secrets(api: Api) -> None:
    made = make(api, signature={"kind": "github"})
    unsigned = make(api)
    route = f"{ROUTE}/{made['id']}"
    send(api, "PATCH", route, {"name": "renamed"})
    rotated = api.post(f"{route}/rotate").json()
    send(api, "DELETE", route)

    entries = list(AuditEntry.objects.filter(verb__endswith="_webhook").order_by("id"))

    verbs = [entry.verb.removesuffix("_webhook") for entry in entries]
    assert verbs == ["create", "create", "change", "rotate", "delete"]
    assert entries[2].after == {"name": "renamed"}
    told = str([vars(entry) for entry in entries])
    assert not any(text in told for text in (made["secret"], rotated["secret"], unsigned["path"]))
