"""Secrets over HTTP: values go in and never come out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from spane_django.engine import vault
from spane_django.models import AuditEntry, Secret

from .conftest import Api, MakeApi, assert_refused, definition, run_flow

VALUE = "sk_live_51H-hunter2"


def send(api: Api, method: str, path: str, body: Any) -> Any:
    headers = {"Authorization": f"Bearer {api.token}"}
    return api.client.generic(
        method, path, json.dumps(body).encode(), "application/json", headers=headers
    )


def test_a_secret_is_stored_listed_replaced_and_deleted(api: Api) -> None:
    made = api.post("/api/secrets", {"name": "stripe", "value": VALUE, "description": "shop"})
    listed = api.get("/api/secrets")
    replaced = send(api, "PUT", "/api/secrets/stripe", {"value": "another-value"})
    described = send(api, "PUT", "/api/secrets/stripe", {"description": "of the shop"})
    read = api.get("/api/secrets/stripe")
    value = vault.open_sealed(Secret.objects.get().sealed)
    deleted = send(api, "DELETE", "/api/secrets/stripe", None)

    assert (made.status_code, made.headers["Location"]) == (201, "/api/secrets/stripe")
    (shown,) = listed.json()["results"]
    assert shown == made.json()
    assert set(shown) == {
        "name", "tenant", "description", "createdAt", "updatedAt", "valueSetAt", "usedBy",
    }  # fmt: skip
    assert shown["valueSetAt"] < replaced.json()["valueSetAt"] == described.json()["valueSetAt"]
    assert read.json()["description"] == "of the shop"
    assert value == "another-value"
    assert (deleted.status_code, api.get("/api/secrets/stripe").status_code) == (204, 404)
    assert [entry.username for entry in AuditEntry.objects.filter(target="stripe")] == [
        "user-0"
    ] * 4
    everything = [made, listed, replaced, described, read]
    assert not any(VALUE in answer.text or "another-v" in answer.text for answer in everything)


def test_who_uses_a_secret_is_told(api: Api) -> None:
    api.post("/api/secrets", {"name": "stripe", "value": VALUE})
    api.post("/api/workflows", definition("a", "b", b={"log": "{{ secrets.stripe }}"}))

    (listed,) = api.get("/api/secrets").json()["results"]

    uses = [{"workflowId": "flow", "version": 1, "paths": ["nodes[1].config"]}]
    assert listed["usedBy"] == api.get("/api/secrets/stripe").json()["usedBy"] == uses


@pytest.mark.parametrize(
    "body",
    [
        {}, [], {"name": "a"}, {"value": VALUE}, {"name": "a b", "value": VALUE},
        {"name": "a", "value": 1}, {"name": "a", "value": ""}, {"name": "a", "value": [VALUE]},
        {"name": "a", "value": VALUE, "tenant": "other"}, {"name": "stripe", "value": VALUE},
        {"name": "a", "value": VALUE * 5_000}, {"name": VALUE + "!", "value": VALUE},
        {"name": "a", "value": {"is": VALUE}}, {"name": "a", "value": VALUE, VALUE: 1},
    ],
)  # fmt: skip
def test_what_is_refused_is_told_without_the_value(api: Api, body: Any) -> None:
    api.post("/api/secrets", {"name": "stripe", "value": "first value"})

    answer = api.post("/api/secrets", body)

    assert_refused(answer)
    assert Secret.objects.count() == 1
    if isinstance(body, dict) and body.get("value") is not None and VALUE not in body:
        assert VALUE not in answer.text.replace(str(body.get("name")), "")


@pytest.mark.parametrize("body", [{}, {"name": "b"}, {"value": None}, {"value": ""}, 7])
def test_a_replacement_that_is_none_is_refused(api: Api, body: Any) -> None:
    api.post("/api/secrets", {"name": "stripe", "value": VALUE})

    assert_refused(send(api, "PUT", "/api/secrets/stripe", body))
    assert vault.open_sealed(Secret.objects.get().sealed) == VALUE


def test_what_is_not_there_is_404(api: Api) -> None:
    for method, body in (("GET", None), ("PUT", {"value": VALUE}), ("DELETE", None)):
        answer = send(api, method, "/api/secrets/nothing", body)

        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_secret")


def test_seeing_names_takes_a_permission_and_gives_no_other(api_of: MakeApi) -> None:
    viewer = api_of("view_secret")

    assert viewer.get("/api/secrets").status_code == 200
    assert viewer.post("/api/secrets", {"name": "a", "value": VALUE}).status_code == 403
    assert send(viewer, "PUT", "/api/secrets/a", {"value": VALUE}).status_code == 403
    assert send(viewer, "DELETE", "/api/secrets/a", None).status_code == 403


def test_nothing_that_the_api_tells_of_an_execution_holds_the_value(api: Api) -> None:
    api.post("/api/secrets", {"name": "stripe", "value": VALUE})
    leaky = {"log": "key {{ secrets.stripe }}", "return": {"echo": "{{ secrets.stripe }}"}}
    done = run_flow(api, definition("a", "b", a=leaky, b={"return": "{{ input }}"}))
    failing = {"fail": "401 for {{ secrets.stripe }}", "retries": 0}
    failed = run_flow(api, definition("a", key="bad", a=failing))

    paths = [f"/api/executions/{one}{part}" for one in (done, failed) for part in
             ("", "/logs", "/trace")]  # fmt: skip
    told = [api.get(path).text for path in [*paths, "/api/dlq", "/api/workflows/flow"]]

    assert all(VALUE not in text for text in told)
    assert "{{ secrets.stripe }}" in told[-1]
    assert json.loads(told[0])["output"] == {"echo": "***"}
    assert "401 for ***" in told[3]
    assert "key ***" in told[1]


def test_validating_warns_of_unknown_secrets_and_of_those_in_clear(api: Api) -> None:
    raw = definition("a", a={"log": "{{ secrets.later }}", "return": {"password": "hunter2"}})

    answer = api.post("/api/workflows/flow/validate", raw).json()

    assert (answer["valid"], answer["details"]) == (True, [])
    assert [(item["path"], item["code"]) for item in answer["warnings"]] == [
        ("nodes[0].config", "unknown_secret"),
        ("nodes[0].config.return.password", "secret_in_clear"),
    ]
    assert "hunter2" not in str(answer)
    assert api.post("/api/workflows", raw).status_code == 201
