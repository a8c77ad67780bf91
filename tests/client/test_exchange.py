"""When a call is tried again, and when not."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from spane_django.client import (
    ApiError,
    ServerError,
    TooManyRequests,
    Tries,
    Unreachable,
)
from spane_django.client.answers import Status
from spane_django.client.errors import Unreadable
from spane_django.client.exchange import Call

from .conftest import Server

STARTED = httpx.Response(202, json={"executionId": "e1"})
STATUS: dict[str, Any] = {
    "executionId": "e1", "workflowId": "flow", "status": "running", "reason": "",
    "createdAt": "2025-08-29T09:30:00Z", "startAt": None, "startedAt": None, "deadlineAt": None,
    "finishedAt": None, "durationMs": None,
}  # fmt: skip


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client has waited, in seconds: nobody does in these tests."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


def busy(status: int = 503, **headers: str) -> httpx.Response:
    error = {"code": "busy", "message": "come again", "details": []}
    return httpx.Response(status, json={"error": error}, headers=headers)


def test_a_start_is_tried_again_with_the_same_key(waits: list[float]) -> None:
    server = Server(httpx.ReadTimeout("slow"), busy(502), STARTED)

    assert server.client().start("flow").execution_id == "e1"

    keys = {request.headers["Idempotency-Key"] for request in server.requests}
    assert (len(server.requests), len(keys)) == (3, 1)
    assert 0.25 <= waits[0] <= 0.5
    assert 0.5 <= waits[1] <= 1.0


def test_a_verb_that_may_have_been_done_is_not_tried_again() -> None:
    for failure in (httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("gone"), busy(503)):
        server = Server(failure)

        with pytest.raises((Unreachable, ServerError)):
            server.client().cancel("e1")

        assert len(server.requests) == 1


def test_a_verb_that_never_arrived_is_tried_again() -> None:
    for failure in (httpx.ConnectError("refused"), httpx.ConnectTimeout("slow"), busy(429)):
        server = Server(failure, httpx.Response(200, json=STATUS))

        assert server.client().cancel("e1").status == "running"


def test_the_server_says_how_long_to_wait(waits: list[float]) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=10), usegmt=True)
    answer = httpx.Response(200, json=STATUS)
    server = Server(busy(429, **{"Retry-After": "7"}), busy(503, **{"Retry-After": soon}), answer)

    server.client().send(Call(method="GET", path="/x", answer=Status))

    assert waits[0] == 7.0
    assert 8.0 <= waits[1] <= 10.0


def test_a_server_that_wants_too_much_patience_is_given_up(waits: list[float]) -> None:
    server = Server(busy(429, **{"Retry-After": "3600"}))

    with pytest.raises(TooManyRequests) as refused:
        server.client().start("flow")

    assert refused.value.retry_after == 3600.0
    assert waits == []


def test_tries_come_to_an_end() -> None:
    server = Server(*[httpx.ConnectError("refused") for _ in range(3)])

    with pytest.raises(Unreachable) as lost:
        server.client(Tries(most=3)).start("flow")

    assert isinstance(lost.value.__cause__, httpx.ConnectError)


def test_a_refusal_of_somebody_on_the_way_is_an_error_as_well() -> None:
    server = Server(httpx.Response(413, text="<html>nginx</html>"))

    with pytest.raises(ApiError) as refused:
        server.client().register({"id": "x"})

    assert (refused.value.status, refused.value.code) == (413, "http")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"executionId": {}}', b"null", b"{}"])
def test_an_answer_that_is_none_is_unreadable(body: bytes) -> None:
    server = Server(httpx.Response(202, content=body))

    with pytest.raises(Unreadable):
        server.client().start("flow")


def test_a_field_that_a_newer_server_adds_is_passed_over() -> None:
    server = Server(httpx.Response(202, json={"executionId": "e1", "mood": "good"}))

    assert server.client().start("flow").execution_id == "e1"


def test_links_of_pages_do_not_lead_the_token_elsewhere() -> None:
    page: dict[str, Any] = {
        "results": [],
        "next": "https://evil.example/api/audit?cursor=abc",
        "previous": None,
    }
    server = Server(
        httpx.Response(200, json=page), httpx.Response(200, json={**page, "next": None})
    )

    assert list(server.client().audit(verb="cancel")) == []

    assert [request.url.host for request in server.requests] == ["testserver"] * 2
    assert dict(server.requests[1].url.params) == {"verb": "cancel", "cursor": "abc"}


def frame(number: int, name: str = "log") -> str:
    return f'id: c{number}\nevent: {name}\ndata: {{"n": {number}}}\n\n'


def told(*frames: str) -> httpx.Response:
    return httpx.Response(200, text="".join(frames), headers={"Content-Type": "text/event-stream"})


def test_a_stream_that_breaks_off_is_taken_up_where_it_was(waits: list[float]) -> None:
    page = {
        "results": [{"id": "c3", "event": "log", "data": {"n": 3}}],
        "cursor": "c3", "hasMore": False, "hasEnded": False,
    }  # fmt: skip
    server = Server(
        told("retry: 1500\n\n", frame(1), ": still here\n\n", frame(2), "id: c3\nevent: log\n"),
        httpx.ReadTimeout("silence"),
        httpx.Response(200, json=page),
        busy(429),
        httpx.Response(200, json={**page, "results": []}),
        told(frame(4, "end")),
    )

    heard = list(server.client().events("e1"))

    assert [event.data["n"] for event in heard] == [1, 2, 3, 4]
    last = [request.headers.get("Last-Event-ID") for request in server.requests]
    assert [last[0], last[1], last[3], last[5]] == [None, "c2", "c3", "c3"]
    assert waits == [1.5, 1.5, 1.5]


def test_a_stream_that_one_may_not_hear_is_an_error() -> None:
    server = Server(busy(403))

    with pytest.raises(ApiError):
        list(server.client().events("e1"))
