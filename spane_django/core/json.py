"""What counts as JSON here, and how a value becomes text that any database will store.

A value that Python's encoder takes may still be refused by PostgreSQL (a NUL character, half
of a surrogate pair), and would then spoil the whole batch that it is written with.  So the
check is made once, where the value is made: :func:`encode`.
"""

from __future__ import annotations

import json
from typing import Any

Json = Any
"""A JSON value: None, bool, int, float, str, list or dict with string keys."""


# Whoever reads it back may stand deep in Python's stack of 1,000 frames, which decoding shares.
MAX_DEPTH = 200
# What clients may send: deeper than any sensible document, far from where recursive code ends.
MAX_SENT_DEPTH = 100
_LARGEST_INTEGER = 2**64


class UnstorableValue(ValueError):
    """The value cannot be stored as JSON."""


def encode(value: Json, *, limit_bytes: int | None = None) -> str:
    """Return ``value`` as compact JSON text that PostgreSQL and SQLite both store.

    Args:
        limit_bytes: The most that the text may measure in UTF-8; None means no limit.

    Raises:
        UnstorableValue: it is not JSON (sets, NaN, other objects, cycles), nests too deep,
            holds a NUL character or half a surrogate pair, or is larger than the limit.
    """
    try:
        text = _compact(value)
        size = len(text.encode())
    except RecursionError:
        raise UnstorableValue("the value nests too deeply to be stored as JSON") from None
    except UnicodeEncodeError:
        raise UnstorableValue("the value holds half of a surrogate pair in a string") from None
    except (TypeError, ValueError) as error:
        raise UnstorableValue(f"the value is not JSON: {error}") from None
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_deep(value):
        raise UnstorableValue(f"the value nests too deeply: more than {MAX_DEPTH} levels")
    if "\\u0000" in text and _has_nul(value):
        raise UnstorableValue("the value holds a NUL character, which PostgreSQL cannot store")
    if limit_bytes is not None and size > limit_bytes:
        raise UnstorableValue(f"the value measures {size:,} bytes; the limit is {limit_bytes:,}")
    return text


# Made once: `json.dumps` makes an encoder for every call that wants anything but its defaults.
_compact = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def decode(text: str | bytes) -> Json:
    """Return the value of JSON text."""
    return json.loads(text)


def parse(body: bytes) -> Json:
    """Return the value of JSON that a client sent, if any database stores it.

    Raises:
        UnstorableValue: it is not JSON by the letter, nests deeper than `MAX_SENT_DEPTH`, or holds
            what cannot be kept: NaN, NUL, half a surrogate pair, an integer beyond 64 bits.
    """
    try:
        value = json.loads(body.decode(), parse_int=_integer)
    except RecursionError:
        raise UnstorableValue("the body nests too deeply") from None
    except ValueError as error:
        raise UnstorableValue(f"the body cannot be accepted: {error}") from None
    encode(value)
    if not is_within_depth(value, MAX_SENT_DEPTH):
        raise UnstorableValue(f"the body nests deeper than {MAX_SENT_DEPTH} levels")
    return value


def is_within_depth(value: Json, limit: int) -> bool:
    """Say whether containers nest at most ``limit`` deep."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        if not level:
            return True
        level = [
            child
            for container in level
            for child in (container.values() if isinstance(container, dict) else container)
            if isinstance(child, dict | list)
        ]
    return not level


def printable(text: str) -> str:
    """Return ``text`` with what no text column stores (NUL, lone surrogates) made visible."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()


def _integer(text: str) -> int:
    number = int(text)
    if abs(number) >= _LARGEST_INTEGER:
        raise ValueError("an integer has more than 64 bits: send it as a string")
    return number


def _is_deep(value: Json) -> bool:
    stack = [(value, 1)] if isinstance(value, dict | list | tuple) else []
    while stack:
        item, depth = stack.pop()
        if depth > MAX_DEPTH:
            return True
        inner = item.values() if isinstance(item, dict) else item
        stack += [(part, depth + 1) for part in inner if isinstance(part, dict | list | tuple)]
    return False


def _has_nul(value: Json) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(item) for key, item in value.items())
    return isinstance(value, list | tuple) and any(_has_nul(item) for item in value)
