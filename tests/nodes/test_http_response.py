"""What an ``http`` node makes of a response, and how much of it it reads."""

from __future__ import annotations

import gzip
import tracemalloc
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from spane_django.core.outcome import NodeError, Permanent, RetryAfter
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


def test_a_json_response_becomes_a_value(call, server):
    server.reply("/items", b'{"items": [1, "\xc3\xa9"]}', content_type="application/json; x=y")

    answer = call({"url": server.url("/items")})

    assert answer["status"] == 200
    assert answer["body"] == {"items": [1, "é"]}
    assert answer["headers"]["content-type"] == "application/json; x=y"


@pytest.mark.parametrize(
    ("kind", "body", "read"),
    [
        ("text/plain; charset=latin-1", b"\xe9", "é"),
        ("text/plain; charset=none-such", b"\xc3\xa9", "é"),
        ("text/plain", b"\xff!", "\ufffd!"),
        ("application/problem+json", b'{"a":1}', {"a": 1}),
        ("application/json", b"", None),
        ("text/html", b"", ""),
    ],
)
def test_other_bodies_are_texts(call, server, kind, body, read):
    server.reply("/", body, content_type=kind)

    assert call({"url": server.url("/")})["body"] == read


def test_headers_of_the_connection_and_cookies_are_dropped(call, server):
    server.reply("/", set_cookie="id=1", connection="close", keep_alive="9", X_Kept="yes")

    headers = call({"url": server.url("/")})["headers"]

    assert headers["x-kept"] == "yes"
    assert not headers.keys() & {"set-cookie", "connection", "keep-alive", "transfer-encoding"}


@pytest.mark.parametrize(
    ("status", "expected", "error"),
    [
        (204, {}, None),
        (404, {}, Permanent),
        (400, {}, Permanent),
        (304, {}, Permanent),
        (408, {}, NodeError),
        (429, {}, NodeError),
        (500, {}, NodeError),
        (503, {}, NodeError),
        (404, {"expectedStatus": [200, 404]}, None),
        (404, {"expectedStatus": ["2xx", "4xx"]}, None),
        (503, {"expectedStatus": 503}, None),
        (200, {"expectedStatus": ["201"]}, Permanent),
    ],
)
def test_a_status_is_a_result_a_failure_or_final(call, server, status, expected, error):
    server.reply("/", status=status)
    config = {"url": server.url("/"), **expected}

    if error is None:
        assert call(config)["status"] == status
    else:
        with pytest.raises(NodeError, match=f"status {status}") as raised:
            call(config)
        assert type(raised.value) is error


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("7", 7, 7),
        ("0", 0, 0),
        ("9" * 5_000, 86_400, 86_400),
        # Written when the tests are collected, compared when this one runs.
        pytest.param(
            format_datetime(datetime.now(UTC) + timedelta(hours=12), usegmt=True),
            39_600,
            43_200,
            id="in twelve hours",
        ),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("Fri, 31 Dec 9999 23:59:59 -0000", 86_400, 86_400),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_service_may_ask_to_wait(call, server, status, value, least, most):
    server.reply("/", status=status, retry_after=value)

    with pytest.raises(RetryAfter) as raised:
        call({"url": server.url("/")})

    assert least <= raised.value.retry_after.total_seconds() <= most
    assert raised.value.is_retryable


@pytest.mark.parametrize("value", ["soon", "-5", "", "1.5"])
def test_an_unreadable_wait_leaves_the_policy_in_charge(call, server, value):
    server.reply("/", status=503, retry_after=value)

    with pytest.raises(NodeError) as raised:
        call({"url": server.url("/")})

    assert type(raised.value) is NodeError
    assert raised.value.retry_after is None


def test_gzip_is_understood(call, server):
    server.reply("/", gzip.compress(b"hello" * 1_000), content_encoding="gzip")

    assert call({"url": server.url("/")})["body"] == "hello" * 1_000


TWICE = gzip.compress(gzip.compress(b"hello", mtime=0), mtime=0)


@pytest.mark.parametrize(
    ("body", "coding", "error"),
    [
        (gzip.compress(b"hello", mtime=0)[:-9], "gzip", "damaged"),
        (gzip.compress(b"a", mtime=0) + gzip.compress(b"b", mtime=0), "gzip", "damaged"),
        (b"no gzip", "gzip", "damaged"),
        (
            gzip.compress(gzip.compress(b"hello", mtime=0), mtime=0),
            "gzip, gzip",
            "encoded in a way nobody asked for",
        ),
        (b"x", "br", "encoded in a way nobody asked for"),
    ],
)
def test_a_body_that_cannot_be_decoded_is_no_result(call, server, body, coding, error):
    server.reply("/", body, content_encoding=coding)

    with pytest.raises(NodeError, match=error):
        call({"url": server.url("/")})


def test_a_response_that_lies_about_being_json_may_be_tried_again(call, server):
    server.reply("/", b"<html>", content_type="application/json")

    with pytest.raises(NodeError, match="says it is JSON and is not") as raised:
        call({"url": server.url("/")})

    assert raised.value.is_retryable


def test_a_body_as_large_as_the_limit_is_read_and_a_larger_one_is_not(call, server):
    server.reply("/", b"x" * 1_000)
    url = server.url("/")

    assert len(call({"url": url, "maxResponseBytes": 1_000})["body"]) == 1_000
    with pytest.raises(Permanent, match="larger than 999 bytes"):
        call({"url": url, "maxResponseBytes": 999})


def test_the_limit_comes_from_the_settings(call, server, settings):
    settings.SPANE = {**settings.SPANE, "HTTP_MAX_RESPONSE_BYTES": 10}
    server.reply("/", b"x" * 11)

    with pytest.raises(Permanent, match="larger than 10 bytes"):
        call({"url": server.url("/")})


def test_a_body_without_end_is_cut_off_whatever_its_headers_say(call, server):
    def endless(handler):
        handler.send_response(200)
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        while not server.stopping.is_set():
            handler.wfile.write(b"400\r\n" + b"x" * 1_024 + b"\r\n")

    server.routes["/"] = endless

    with pytest.raises(Permanent, match="larger than 1,048,576 bytes"):
        call({"url": server.url("/")})


def test_a_gzip_bomb_never_unfolds(call, server):
    server.reply("/", gzip.compress(b"\0" * 200_000_000), content_encoding="gzip")
    tracemalloc.start()

    with pytest.raises(Permanent, match="larger than 1,048,576 bytes"):
        call({"url": server.url("/")})

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16_000_000
