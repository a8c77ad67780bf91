"""Signatures as the senders' own documentation has them, and nothing else, are good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spane_django.core.signatures import (
    ALGORITHMS,
    PRESETS,
    Scheme,
    scheme_faults,
    scheme_from,
    sign,
    verify,
)

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECRET = "a-secret-of-some-length"
SCHEMES = [
    *PRESETS.values(),
    *(
        Scheme(header="X-Sign", algorithm=algorithm, encoding=encoding, prefix=f"{algorithm}=")
        for algorithm in ALGORITHMS
        for encoding in ("hex", "base64")
    ),
    Scheme(header="X-Sign", timestamp_header="X-Time", text="{timestamp}:{body}:end"),
]


def lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def check(
    scheme: Scheme, headers: dict[str, str], body: bytes, *secrets: str, at: datetime = NOON
) -> str | None:
    return verify(scheme, headers, body, secrets or (SECRET,), now=at, tolerance=5 * MINUTE)


def test_the_example_of_githubs_documentation_is_good() -> None:
    digest = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = {"x-hub-signature-256": f"sha256={digest}"}
    secret = "It's a Secret to Everybody"

    assert check(PRESETS["github"], headers, b"Hello, World!", secret)


def test_the_example_of_slacks_documentation_is_good() -> None:
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow"
        b"&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner"
        b"&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
        b"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = {
        "x-slack-request-timestamp": "1531420618",
        "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    }
    at = datetime.fromtimestamp(1531420618, UTC)

    assert check(PRESETS["slack"], headers, body, "8f742231b10e8888abcd99yyyzzz85a5", at=at)


def test_stripe_may_sign_with_two_secrets_at_once() -> None:
    scheme = PRESETS["stripe"]
    mine = sign(scheme, b"{}", SECRET, now=NOON)[scheme.header]
    other = mine.partition("v1=")[2].replace("a", "b")

    headers = {"stripe-signature": f"t={int(NOON.timestamp())},v1={other},v0=x,{mine[13:]}"}

    assert check(scheme, headers, b"{}")


@given(st.binary(max_size=200), st.sampled_from(SCHEMES))
def test_what_is_signed_is_good_and_one_bit_less_is_not(body: bytes, scheme: Scheme) -> None:
    headers = lower(sign(scheme, body, SECRET, now=NOON))
    other = bytes([body[0] ^ 1]) + body[1:] if body else b"x"

    assert check(scheme, headers, body)
    assert check(scheme, headers, body, "old-secret", SECRET)
    assert check(scheme, headers, other) is None
    assert check(scheme, headers, body, SECRET + "x") is None
    assert check(scheme, {}, body) is None


@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from(SCHEMES))
def test_no_header_that_nobody_signed_is_good_or_raises(one: str, two: str, scheme: Scheme) -> None:
    headers = {scheme.header.lower(): scheme.prefix + one, "x-time": two}
    headers["x-slack-request-timestamp"] = two

    assert check(scheme, headers, b"body") is None


@pytest.mark.parametrize("scheme", [each for each in SCHEMES if "{timestamp}" in each.text])
def test_a_time_that_is_not_near_is_stale(scheme: Scheme) -> None:
    headers = lower(sign(scheme, b"{}", SECRET, now=NOON))

    assert check(scheme, headers, b"{}", at=NOON + 5 * MINUTE)
    assert check(scheme, headers, b"{}", at=NOON - 5 * MINUTE)
    assert check(scheme, headers, b"{}", at=NOON + 6 * MINUTE) is None
    assert check(scheme, headers, b"{}", at=NOON - 6 * MINUTE) is None


def test_a_time_in_milliseconds_is_understood() -> None:
    scheme = Scheme(header="X-Sign", timestamp_header="X-Time", text="{timestamp}.{body}")
    milliseconds = f"{int(NOON.timestamp() * 1_000)}"
    plain = Scheme(header="X-Sign")

    headers = lower(sign(plain, f"{milliseconds}.body".encode(), SECRET, now=NOON))

    assert check(scheme, {**headers, "x-time": milliseconds}, b"body")


def test_the_digest_is_of_what_was_signed_whichever_secret_signed_it() -> None:
    scheme = PRESETS["github"]
    made = [lower(sign(scheme, b"{}", secret, now=NOON)) for secret in (SECRET, "another")]

    digests = {check(scheme, headers, b"{}", SECRET, "another") for headers in made}

    assert len(digests) == 1
    assert digests != {check(scheme, lower(sign(scheme, b"[]", SECRET, now=NOON)), b"[]")}


def test_upper_case_digits_do_not_make_another_delivery() -> None:
    scheme = PRESETS["github"]
    headers = lower(sign(scheme, b"{}", SECRET, now=NOON))
    upper = {"x-hub-signature-256": "sha256=" + headers["x-hub-signature-256"][7:].upper()}

    assert check(scheme, upper, b"{}") == check(scheme, headers, b"{}")


def test_a_body_cannot_pretend_to_be_the_time() -> None:
    scheme = Scheme(header="X-Sign", timestamp_header="X-Time", text="{timestamp}.{body}")
    seconds = f"{int(NOON.timestamp())}"

    headers = lower(sign(scheme, b"1.2", SECRET, now=NOON))

    assert check(scheme, {**headers, "x-time": f"{seconds}.1"}, b"2") is None


def test_a_scheme_with_a_time_signs_it_by_default() -> None:
    assert scheme_from({"header": "X"}).text == "{body}"
    assert scheme_from({"header": "X", "timestampHeader": "T"}).text == "{timestamp}.{body}"


def test_every_fault_of_a_scheme_is_told() -> None:
    faults = list(scheme_faults({"header": "X", "text": "{timestamp}"}, "signature"))

    assert [(fault.path, fault.code) for fault in faults] == [
        ("signature.text", "no_body"),
        ("signature.text", "no_timestamp"),
    ]
