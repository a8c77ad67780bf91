"""Configs of ``http`` that describe no request are refused, and no message holds a secret."""

from __future__ import annotations

import traceback

import pytest

from spane_django.core.outcome import NodeError, Permanent
from spane_django.nodes.http import HttpNode

URL = "https://api.example.com/x"


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({}, "give one of 'url' and 'endpoint'"),
        ({"url": URL, "endpoint": URL}, "give one of 'url' and 'endpoint'"),
        ({"url": "/api/accounts"}, "must be absolute"),
        ({"url": "ftp://example.com/x"}, "must be absolute"),
        ({"url": "file:///etc/passwd"}, "must be absolute"),
        ({"url": "http://"}, "must be absolute"),
        ({"url": "http://[::1"}, "must be absolute"),
        ({"url": 7}, "7 is not of type 'string'"),
        ({"url": URL, "method": "CONNECT"}, "'method' is one of GET"),
        ({"url": URL, "json": 1, "body": "x"}, "give one of 'json' and 'body'"),
        ({"url": URL, "headers": {"a b": "x"}}, "the header 'a b' cannot be set"),
        ({"url": URL, "headers": {"Content-Length": "5"}}, "'Content-Length' cannot be set"),
        ({"url": URL, "headers": {"X": None}}, "is not of type 'string', 'number'"),
        ({"url": URL, "headers": {"X": "a\r\nEvil: 1"}}, "the header 'X' holds characters"),
        ({"url": URL, "query": {"a": {"b": 1}}}, "'query' is an object of texts"),
        ({"url": URL, "expectedStatus": ["ok"]}, "'expectedStatus' holds statuses"),
        ({"url": URL, "expectedStatus": [99]}, "'expectedStatus' holds statuses"),
        ({"url": URL, "maxResponseBytes": 0}, "less than the minimum"),
        ({"url": URL, "verify": False}, "'verify' was unexpected"),
    ],
)
def test_a_config_that_is_no_request_is_refused(faults, config, part):
    assert part in "; ".join(faults(HttpNode, config))


@pytest.mark.parametrize(
    "config",
    [
        {"url": "{{ input.url }}"},
        {"endpoint": "https://x.example/{{ input.id }}", "headers": {"X": "{{ input.key }}"}},
        {"url": URL, "headers": "{{ input.headers }}", "query": "{{ input.query }}"},
        {"url": URL, "method": "POST", "json": "{{ input }}", "expectedStatus": "{{ input.s }}"},
    ],
)
def test_templates_are_checked_when_they_are_filled_in(faults, config):
    assert faults(HttpNode, config) == []


def test_everything_that_is_wrong_is_listed_when_the_node_runs(context, run):
    config = {
        "url": "nowhere",
        "headers": {"X-Key": "s3cret\n", "Y": ["s3cret"]},
        "query": "s3cret",
        "body": {"a": "s3cret"},
        "expectedStatus": "fine",
    }

    with pytest.raises(Permanent) as raised:
        run(HttpNode(), context(config))

    assert str(raised.value).split("; ") == [
        "the address must be absolute: https://host/path",
        "the header 'X-Key' holds characters that headers cannot, such as line breaks",
        "the header 'Y' must be a text or a number",
        "'query' is an object of texts, numbers, booleans, or lists of these",
        "'body' is a text",
        "hand other values to 'json'",
        "'expectedStatus' holds statuses such as 200 and classes such as '2xx'",
    ]


@pytest.mark.parametrize("status", [404, 503, 302])
def test_no_failure_tells_a_secret(context, run, server, allow, status):
    allow("127.0.0.1")
    server.reply("/s3cret-path", status=status, location="http://s3cret:s3cret@127.0.0.1:1/s3cret")
    url = server.url("/s3cret-path?key=s3cret").replace("http://", "http://s3cret:s3cret@")
    config = {"url": url, "headers": {"X-Key": "s3cret"}, "query": {"k": "s3cret"}}

    with pytest.raises(NodeError) as raised:
        run(HttpNode(), context(config))

    assert "s3cret" not in "".join(traceback.format_exception_only(raised.value))
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    assert f"GET http://127.0.0.1:{server.port}: " in str(raised.value)
