"""Bodies that are too large, too deep or too many: refused soon, as the client's fault."""

from __future__ import annotations

import json
from time import process_time
from typing import Any

import pytest
from pytest_django import Settings

from spane_django.models import Execution, WorkflowVersion
from spane_django.urls import urlpatterns
from tests.api.conftest import Api, MakeApi, definition

from .conftest import MakeHook, MakeMember

pytestmark = pytest.mark.django_db

SECONDS = 10.0  # of this process's own time
BOMBS = {
    "open arrays": b"[" * 1_000_000,
    "open objects": b'{"a":' * 200_000,
    "nested arrays": b"[" * 100_000 + b"]" * 100_000,
    "nested objects": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "a long number": b"9" * 1_000_000,
    "a long exponent": b"1e" + b"9" * 100_000,
    "a negative exponent": b'{"delay": 1e-' + b"9" * 1_000 + b"}",
    "one name a million times": b"{" + b",".join([b'"a":1'] * 500_000) + b"}",
    "nul": b'{"id": "\\u0000"}',
    "half a character": b'{"id": "\\ud800"}',
    "not utf-8": b'{"id": "\xff\xfe"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "not a number": b'{"priority": NaN}',
    "infinite": b'{"delay": Infinity}',
}
ROUTES = [
    pytest.param(pattern, method, id=f"{method} {pattern.name}")
    for pattern in urlpatterns
    if pattern.name != "inbound"
    for method in pattern.callback.view_class.permissions
    if method in ("POST", "PUT", "PATCH")
]


def path_of(pattern: Any) -> str:
    import re

    return "/" + re.sub(r"<\w+:(\w+)>", "1", pattern.pattern._route)


@pytest.mark.parametrize(("pattern", "method"), ROUTES)
def test_no_body_brings_a_route_down_or_holds_it_up(
    member: MakeMember, pattern: Any, method: str
) -> None:
    anyone, began = member("acme"), process_time()

    answers = {name: anyone.call(method, path_of(pattern), bomb) for name, bomb in BOMBS.items()}

    assert {name: a.status_code for name, a in answers.items() if a.status_code >= 500} == {}
    assert all(len(answer.content) < 100_000 for answer in answers.values())
    assert process_time() - began < SECONDS


def test_a_body_that_says_it_is_too_large_is_not_read(api_of: MakeApi, settings: Settings) -> None:
    settings.SPANE = {
        **settings.SPANE, "MAX_PAYLOAD_BYTES": 10_000, "MAX_DEFINITION_BYTES": 10_000,
    }  # fmt: skip
    api = api_of("publish_workflow", "run_workflow")

    answer = api.post("/api/workflows", b"[" + b"1," * 100_000 + b"1]")

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize(
    "change",
    [
        {"nodes": [{"id": f"n{i}", "type": "task", "inputs": [], "outputs": []}
                   for i in range(6_000)]},
        {"description": "x" * 5_000_000},
        {"nodes": [{"id": "a", "type": "task", "inputs": [], "outputs": ["a"] * 50_000}]},
        {"metadata": {str(i): i for i in range(200_000)}},
        {"inputSchema": {"enum": list(range(300_000))}},
    ],
    ids=["many nodes", "a long text", "many edges", "many keys", "a large schema"],
)  # fmt: skip
def test_a_definition_is_bounded(api_of: MakeApi, change: dict[str, Any]) -> None:
    api, began = api_of("publish_workflow"), process_time()

    answer = api.post("/api/workflows", {**definition("a"), **change})

    assert answer.status_code in (201, 413, 422)
    assert len(answer.content) < 1_000_000
    assert process_time() - began < SECONDS


def test_what_a_definition_nests_is_bounded_as_bodies_are(api_of: MakeApi) -> None:
    deep: Any = "x"
    for _ in range(90):
        deep = {"a": [deep]}
    api = api_of("publish_workflow")

    assert api.post("/api/workflows", definition("a", a={"return": deep})).status_code == 400
    assert not WorkflowVersion.objects.exists()


@pytest.mark.parametrize("bomb", BOMBS)
def test_no_delivery_brings_a_webhook_down(hook: MakeHook, bomb: str) -> None:
    sent, began = hook("github"), process_time()

    answer = sent.send(BOMBS[bomb])

    assert answer.status_code in (202, 400, 413)
    assert process_time() - began < SECONDS
    assert Execution.objects.count() == (answer.status_code == 202)


def test_an_error_repeats_no_more_than_its_beginning(api_of: MakeApi) -> None:
    api: Api = api_of("publish_workflow", "run_workflow")
    api.post("/api/workflows", {**definition("a"), "inputSchema": {"type": "integer"}})

    answer = api.post("/api/workflows/flow/execute", {"initialData": ["x" * 1_000_000] * 3})

    assert answer.status_code == 400
    assert len(json.dumps(answer.json())) < 10_000
