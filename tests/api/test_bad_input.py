"""Nothing that a client sends is our fault: every answer is in the 400s, in the one shape.

The test client raises what a view lets through, so an error of ours fails the test with its
traceback.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from pytest_django import Settings

from spane_django.core.json import MAX_SENT_DEPTH as MAX_DEPTH
from spane_django.models import Execution, Workflow

from .conftest import Api, assert_refused, definition, run_flow

EXECUTE = "/api/workflows/flow/execute"


def nested(depth: int) -> bytes:
    return b'{"initialData":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


BODIES = {
    "cut off": b'{"initialData": ',
    "empty text": b" ",
    "invalid UTF-8": b'{"initialData": "\xff\xfe"}',
    "UTF-16": json.dumps({"initialData": 1}).encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"initialData": 1}',
    "half a surrogate pair": b'{"initialData": "\\ud800"}',
    "half a pair as a key": b'{"initialData": {"\\udfff": 1}}',
    "NUL": b'{"initialData": "a\\u0000b"}',
    "NUL as a key": b'{"initialData": {"\\u0000": 1}}',
    "raw control character": b'{"initialData": "a\x01b"}',
    "NaN": b'{"initialData": NaN}',
    "Infinity": b'{"initialData": [-Infinity]}',
    "infinite by its exponent": b'{"initialData": 1e400}',
    "integer of 65 bits": b'{"initialData": 18446744073709551616}',
    "integer of 5,000 digits": b'{"initialData": ' + b"9" * 5_000 + b"}",
    "deep": nested(MAX_DEPTH + 1),
    "very deep": nested(900),
    "without end": nested(200_000),
    "deep objects": b'{"initialData":' * 100_000,
    "two values": b"{} {}",
    "comment": b"{} // no",
    "null": b"null",
    "list": b"[]",
    "string": b'"x"',
    "number": b"7",
    "unknown key": b'{"initalData": {}, "raeson": "typo"}',
}
POSTS = (
    "/api/workflows",
    "/api/workflows/flow/execute",
    *(f"/api/executions/{{id}}/{verb}" for verb in ("pause", "resume", "cancel", "retry")),
    "/api/executions/{id}/replay",
    "/api/dlq/1/retry",
    "/api/dlq/1/discard",
)


PRIORITIES: tuple[Any, ...] = ("5", 0, 11, 5.5, True, None, [], 2**63, -(2**63))
DELAYS: tuple[Any, ...] = ("5", -1, True, None, {}, 10**18, 1e300, -0.001)
OPTIONS = [{"priority": value} for value in PRIORITIES] + [{"delay": value} for value in DELAYS]


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_bad_body_is_refused_everywhere_and_changes_nothing(api: Api, body: bytes) -> None:
    execution_id = run_flow(api, definition("a"))

    for path in POSTS:
        assert_refused(api.post(path.format(id=execution_id), body))

    assert Execution.objects.count() == 1
    assert Workflow.objects.count() == 1


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_check_of_a_bad_body_says_what_is_wrong(api: Api, body: bytes) -> None:
    answer = api.post("/api/workflows/flow/validate", body)

    if answer.status_code == 200:
        assert answer.json()["valid"] is False
        assert answer.json()["details"]
    else:
        assert_refused(answer)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_an_option_of_the_wrong_type_or_size_is_refused(api: Api, options: Any) -> None:
    api.post("/api/workflows", definition("a"))

    answer = api.post(EXECUTE, options)

    assert_refused(answer)
    assert [item["path"] for item in answer.json()["error"]["details"]] == list(options)
    assert not Execution.objects.exists()


@pytest.mark.parametrize("reason", [7, None, ["x"], "x" * 1_001, "a\x00b", "\ud800"])
def test_a_reason_is_a_text(api: Api, reason: object) -> None:
    api.post("/api/workflows", definition("a"))
    execution_id = api.post(EXECUTE).json()["executionId"]

    answer = api.post(f"/api/executions/{execution_id}/cancel", {"reason": reason})

    assert_refused(answer)
    assert (answer.status_code, Execution.objects.get().status) == (400, "running")


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded",
        "application/xml", "nonsense", "application/x-www-form-urlencoded; charset=hex",
    ],
)  # fmt: skip
def test_another_content_type_is_refused(api: Api, content_type: str) -> None:
    answer = api.post(EXECUTE, b'{"initialData": 1}', content_type=content_type)

    assert_refused(answer)
    assert answer.status_code == 415


@pytest.mark.parametrize("charset", ["hex", "utf-16", "rot13", "nonsense", "latin-1"])
def test_json_is_utf_8_whatever_charset_is_named(api: Api, charset: str) -> None:
    api.post("/api/workflows", definition("a"))

    answer = api.post(
        EXECUTE, {"initialData": "é"}, content_type=f"application/json; charset={charset}"
    )

    assert answer.status_code == 202
    assert Execution.objects.get().input == "é"


def test_a_body_beyond_every_limit_is_refused_before_it_is_parsed(
    api: Api, settings: Settings
) -> None:
    settings.SPANE = {
        **settings.SPANE, "MAX_PAYLOAD_BYTES": 1_000, "MAX_DEFINITION_BYTES": 1_000,
    }  # fmt: skip
    limit = 1_000 + 65_536

    over = api.post(EXECUTE, b"[" * (limit + 1))
    within = api.post(EXECUTE, b"[" * limit)

    assert (over.status_code, over.json()["error"]["code"]) == (413, "payload_too_large")
    assert (within.status_code, within.json()["error"]["code"]) == (400, "parse_error")


def test_an_input_beyond_its_limit_is_refused(api: Api, settings: Settings) -> None:
    api.post("/api/workflows", definition("a"))
    settings.SPANE = {**settings.SPANE, "MAX_PAYLOAD_BYTES": 1_000}

    answer = api.post(EXECUTE, {"initialData": "x" * 1_000})

    assert_refused(answer)
    assert answer.json()["error"]["details"][0]["path"] == "initialData"


@pytest.mark.parametrize("part", ["%00", "a%00b", "%ff%fe", "%ed%a0%80", "a" * 5_000, "..", "%2e"])
def test_an_id_that_is_none_is_not_found(api: Api, part: str) -> None:
    answers = [
        api.get(f"/api/workflows/{part}"),
        api.post(f"/api/workflows/{part}/execute", {}),
        api.get(f"/api/executions/{part}"),
        api.post(f"/api/executions/{part}/cancel"),
        api.post(f"/api/dlq/{part}/retry"),
    ]

    assert {answer.status_code for answer in answers} == {404}


@pytest.mark.parametrize(
    "query",
    ["cursor=x", "cursor=cD14", "cursor=cD0lMDA=", "cursor=cD05OTk5OTk5OTk5OTk5OTk5OTk5OTk5OQ==",
     "cursor=bz05OTk5OTk5OTk5OTk5OTk5OTk5", "cursor=%ff", "cursor=" + "A" * 3_000,
     "limit=-1", "limit=x", "limit=" + "9" * 50],
)  # fmt: skip
def test_a_cursor_that_somebody_made_up_harms_nothing(api: Api, query: str) -> None:
    assert api.get(f"/api/dlq?{query}").status_code == 400
