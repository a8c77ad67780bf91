"""``http`` sends what its config says, follows redirects, and keeps to its deadline."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from spane_django.core.outcome import NodeError, Permanent
from spane_django.nodes.http import HttpNode


@pytest.fixture(autouse=True)
def _the_server_may_be_called(allow):
    allow("127.0.0.1/32")


@pytest.fixture
def call(context, run):
    """Run the node with a config and return its answer."""

    def of(config, **differs):
        return run(HttpNode(), context(config, **differs))

    return of


def test_a_request_is_sent_as_the_config_says(call, server):
    server.reply("/orders", b"made", status=201)

    call(
        {
            "endpoint": server.url("/orders?fixed=1"),
            "method": "post",
            "headers": {"Authorization": "Bearer t", "X-Count": 3},
            "query": {"tag": ["a", "b"], "page": 2, "none": None},
            "json": {"name": "Ada"},
            "timeout": 5_000,
        }
    )

    [request] = server.requests
    assert (request["method"], request["path"]) == (
        "POST",
        "/orders?fixed=1&tag=a&tag=b&page=2",
    )
    assert json.loads(request["body"]) == {"name": "Ada"}
    assert request["headers"]["content-type"] == "application/json"
    assert (request["headers"]["authorization"], request["headers"]["x-count"]) == ("Bearer t", "3")
    assert request["headers"]["host"] == f"127.0.0.1:{server.port}"


def test_requests_that_change_something_carry_the_key_of_the_node(call, context, server):
    server.reply("/")
    url = server.url("/")
    key = context({}).idempotency_key

    call({"url": url, "method": "PUT", "body": "text"}, attempt=2)
    call({"url": url, "method": "POST", "headers": {"idempotency-KEY": "mine"}})
    call({"url": url})

    sent = [request["headers"].get("idempotency-key") for request in server.requests]
    assert sent == [key, "mine", None]
    assert server.requests[0]["body"] == b"text"


def test_redirects_are_followed(call, server):
    server.reply("/old", status=302, location="/new")
    server.reply("/new", b"here")

    assert call({"url": server.url("/old")})["body"] == "here"


def test_redirects_may_be_results_instead(call, server):
    server.reply("/old", status=302, location="/new")
    config = {"url": server.url("/old"), "followRedirects": False, "expectedStatus": ["3xx"]}

    assert call(config)["headers"]["location"] == "/new"


def test_redirects_end_after_five_hops(call, server):
    server.reply("/loop", status=302, location="/loop")

    with pytest.raises(Permanent, match="more than 5 redirects"):
        call({"url": server.url("/loop")})

    assert len(server.requests) == 6


def test_a_redirect_to_another_origin_gets_no_secrets(call, server, allow):
    allow("127.0.0.1/32", "localhost")
    server.reply("/old", status=307, location=server.url("/new", host="localhost"))
    server.reply("/new")
    secrets = {"Authorization": "Bearer s3cret", "X-Api-Key": "s3cret", "Accept": "text/plain"}

    call({"url": server.url("/old"), "method": "POST", "headers": secrets, "json": {"a": 1}})

    first, second = (request["headers"] for request in server.requests)
    assert (first["authorization"], first["x-api-key"]) == ("Bearer s3cret", "s3cret")
    assert "s3cret" not in str(second)
    assert second["host"] == f"localhost:{server.port}"
    assert (second["accept"], second["content-type"]) == ("text/plain", "application/json")
    assert server.requests[1]["body"] == b'{"a":1}'


def test_a_body_that_drips_past_the_deadline_is_given_up(call, server):
    def dripping(handler):
        handler.send_response(200)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        while not server.stopping.wait(0.02):
            handler.wfile.write(b"x")

    server.routes["/"] = dripping
    began = datetime.now(UTC)

    with pytest.raises(NodeError, match="no complete response within") as raised:
        call({"url": server.url("/")}, deadline=began + timedelta(seconds=0.3))

    assert raised.value.is_retryable
    assert datetime.now(UTC) - began < timedelta(seconds=5)


def test_a_server_that_is_not_there_may_be_tried_again(call, server):
    url = server.url("/private/path?key=s3cret")
    server.close()

    with pytest.raises(NodeError, match=r"GET http://127.0.0.1:\d+: cannot connect") as raised:
        call({"url": url})

    assert raised.value.is_retryable


def test_hundreds_of_calls_are_under_way_at_once(context, server):
    together = threading.Barrier(100, timeout=20)

    def meet(handler):
        together.wait()
        handler.send_response(204)
        handler.end_headers()

    server.routes["/"] = meet

    async def everybody():
        calls = (HttpNode().execute(context({"url": server.url("/")})) for _ in range(100))
        return await asyncio.gather(*calls)

    assert [answer["status"] for answer in asyncio.run(everybody())] == [204] * 100
