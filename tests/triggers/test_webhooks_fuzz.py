"""Nothing that anybody sends is our fault: the test client raises what a view lets through."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import MakeHook

TYPES = [
    "application/json", "application/x-www-form-urlencoded", "text/plain", "application/a+json",
    "application/json; charset=\"", "text/plain; charset=utf-7", "", ";", "multipart/form-data",
]  # fmt: skip
# What a server lets through in a header, and in a query.
PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)
BODIES = st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode())
EVERYTHING = {
    "mapping": {"id": "body.id", "n": "length(body)", "q": "query", "h": "headers"},
    "response": {
        "mode": "custom", "status": "{{ input.q.status }}",
        "headers": {"X-Echo": "{{ input.q.x }}", "Content-Type": "{{ input.id }}"},
        "body": "{{ input }}",
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", ["none", "github", "stripe", "slack"])
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_whatever_is_sent_the_answer_is_below_500(
    hook: MakeHook, kind: str, data: st.DataObject
) -> None:
    sent = hook(
        kind, methods=["POST", "GET"], input=EVERYTHING["mapping"], response=EVERYTHING["response"],
        dedupeKey=data.draw(st.sampled_from(["body", "query.x", "join(',', body)"])),
    )  # fmt: skip
    headers = data.draw(
        st.dictionaries(st.sampled_from(["X-Forwarded-For", "X-Id", "Cookie"]), PRINTABLE)
    )
    if data.draw(st.booleans()):
        names = ("X-Hub-Signature-256", "Stripe-Signature", "X-Slack-Signature")
        headers |= {name: data.draw(PRINTABLE) for name in names}

    answer = sent.send(
        data.draw(BODIES),
        content_type=data.draw(st.sampled_from(TYPES)),
        method=data.draw(st.sampled_from(["POST", "GET", "PUT", "BREW"])),
        headers=headers,
        QUERY_STRING=data.draw(PRINTABLE),
    )

    assert answer.status_code < 500
