"""Signatures of requests: whether somebody who shares a secret sent a body, and when.

A `Scheme` says how a sender signs: an HMAC over a text that holds the body as it was sent, byte
by byte, and often the time.  The rules:

* every secret that is good is tried, and every comparison takes the same time;
* a time that is signed must be near ours, in the past or ahead, or the request is stale;
* what was signed has a digest, by which a request that comes again is known whatever else of it
  was changed: headers and the query are not signed.

The presets are those of GitHub, Stripe and Slack; everybody else's is written down as JSON.

See: RFC 2104; docs.github.com "Validating webhook deliveries"; docs.stripe.com/webhooks
"Verify manually"; api.slack.com "Verifying requests from Slack".
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from .schema import Fault, Schema

ALGORITHMS = ("sha256", "sha512", "sha384", "sha1")
BODY, TIME = "{body}", "{timestamp}"

_HEADER = {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9-]{0,99}$"}
# Nothing that a shell would take for more than text: it is shown in commands to copy.
_TEXT = {"type": "string", "maxLength": 100, "pattern": r"^[A-Za-z0-9 :;,._/|={}-]*$"}
SCHEME: Schema = {
    "type": "object",
    "properties": {
        "header": {**_HEADER, "description": "Holds the signature."},
        "algorithm": {"enum": list(ALGORITHMS), "default": "sha256"},
        "encoding": {"enum": ["hex", "base64"], "default": "hex"},
        "prefix": {**_TEXT, "description": "Stands before the signature, such as 'sha256='."},
        "timestampHeader": {**_HEADER, "description": "Holds seconds since 1970; is signed."},
        "text": {**_TEXT, "description": "What is signed, with {body} and {timestamp}."},
    },
    "required": ["header"],
    "additionalProperties": False,
}

_MOST_SIGNATURES = 8
# Later than the year 5000 in seconds: it is in milliseconds.
_MILLISECONDS_FROM = 100_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """How a sender signs.

    Attributes:
        header: Holds the signature, after ``prefix``.
        text: What is signed; ``{body}`` and ``{timestamp}`` stand for these.
        timestamp_header: Holds the time; empty: none is signed, or it is one of the items.
        items: Names of the time and of the signatures in a header such as ``t=1,v1=…``.
    """

    header: str
    algorithm: str = "sha256"
    encoding: str = "hex"
    prefix: str = ""
    timestamp_header: str = ""
    text: str = BODY
    items: tuple[str, str] | None = None


PRESETS: Mapping[str, Scheme] = {
    "github": Scheme(header="X-Hub-Signature-256", prefix="sha256="),
    "stripe": Scheme(header="Stripe-Signature", text=f"{TIME}.{BODY}", items=("t", "v1")),
    "slack": Scheme(
        header="X-Slack-Signature",
        prefix="v0=",
        timestamp_header="X-Slack-Request-Timestamp",
        text=f"v0:{TIME}:{BODY}",
    ),
}


def scheme_from(raw: Mapping[str, Any]) -> Scheme:
    """Read the JSON of a scheme that `scheme_faults` finds nothing wrong with."""
    timestamp_header = raw.get("timestampHeader", "")
    return Scheme(
        header=raw["header"],
        algorithm=raw.get("algorithm", "sha256"),
        encoding=raw.get("encoding", "hex"),
        prefix=raw.get("prefix", ""),
        timestamp_header=timestamp_header,
        text=raw.get("text") or (f"{TIME}.{BODY}" if timestamp_header else BODY),
    )


def scheme_faults(raw: Mapping[str, Any], path: str) -> Iterator[Fault]:
    """Yield what is wrong with a scheme of the right shape."""
    text = raw.get("text")
    if not isinstance(text, str):
        return
    if text.count(BODY) != 1:
        yield Fault(f"{path}.text", "no_body", f"the text that is signed holds {BODY} once")
    if (TIME in text) != bool(raw.get("timestampHeader")):
        message = f"{TIME} in the text and a timestampHeader go together: give both or neither"
        yield Fault(f"{path}.text", "no_timestamp", message)


def verify(
    scheme: Scheme,
    headers: Mapping[str, str],
    body: bytes,
    secrets: Sequence[str],
    *,
    now: datetime,
    tolerance: timedelta,
) -> str | None:
    """Return the digest of what was signed; None if the signature or the time is not good.

    Args:
        headers: By names in lower case.
        secrets: All that are good now.
        tolerance: How far a signed time may be from ours.
    """
    timestamp, given = _sent(scheme, headers)
    text = _signed_text(scheme, timestamp, body)
    expected = [hmac.digest(secret.encode(), text, scheme.algorithm) for secret in secrets]
    # A list, so that no comparison is left out because another was good.
    fits = [hmac.compare_digest(mine, theirs) for mine in expected for theirs in given]
    if not any(fits) or (TIME in scheme.text and not _is_near(timestamp, now, tolerance)):
        return None
    return sha256(text).hexdigest()


def sign(scheme: Scheme, body: bytes, secret: str, *, now: datetime) -> dict[str, str]:
    """Return the headers that a sender adds: for tests, and for who calls such a webhook."""
    timestamp = str(int(now.timestamp())) if TIME in scheme.text else ""
    made = hmac.digest(secret.encode(), _signed_text(scheme, timestamp, body), scheme.algorithm)
    text = made.hex() if scheme.encoding == "hex" else base64.b64encode(made).decode()
    if scheme.items is not None:
        return {scheme.header: f"{scheme.items[0]}={timestamp},{scheme.items[1]}={text}"}
    own = {scheme.timestamp_header: timestamp} if scheme.timestamp_header else {}
    return {scheme.header: scheme.prefix + text, **own}


def _sent(scheme: Scheme, headers: Mapping[str, str]) -> tuple[str, list[bytes]]:
    """Return the time as it was sent, and the signatures."""
    value = headers.get(scheme.header.lower(), "")
    if scheme.items is None:
        found = [value.removeprefix(scheme.prefix)] if value.startswith(scheme.prefix) else []
        return headers.get(scheme.timestamp_header.lower(), ""), _decoded(scheme, found)
    pairs = [item.strip().partition("=") for item in value.split(",")]
    named = [(name, text) for name, _, text in pairs]
    times = [text for name, text in named if name == scheme.items[0]]
    found = [text for name, text in named if name == scheme.items[1]]
    return times[0] if len(times) == 1 else "", _decoded(scheme, found[:_MOST_SIGNATURES])


def _decoded(scheme: Scheme, texts: Sequence[str]) -> list[bytes]:
    found = []
    for text in texts:
        try:
            is_hex = scheme.encoding == "hex"
            found.append(bytes.fromhex(text) if is_hex else base64.b64decode(text, validate=True))
        except (ValueError, binascii.Error):
            continue
    return found


def _signed_text(scheme: Scheme, timestamp: str, body: bytes) -> bytes:
    before, _, after = scheme.text.partition(BODY)
    filled = [part.replace(TIME, timestamp).encode() for part in (before, after)]
    return filled[0] + body + filled[1]


def _is_near(timestamp: str, now: datetime, tolerance: timedelta) -> bool:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 15):
        return False
    number = int(timestamp)
    seconds = number / 1_000 if number >= _MILLISECONDS_FROM else number
    return abs(now.timestamp() - seconds) <= tolerance.total_seconds()
