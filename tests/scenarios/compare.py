"""How values are compared and differences told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from spane_django.core.json import Json

Differences = Iterator[str]


def same(one: Json, other: Json) -> bool:
    """Say whether two values are the same JSON; unlike in Python, 0 is not false."""
    return text_of(one) == text_of(other)


def contains(value: Json, wanted: Json) -> bool:
    """Say whether ``value`` has everything that ``wanted`` has, at every depth."""
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(
            key in value and contains(value[key], part) for key, part in wanted.items()
        )
    return same(value, wanted)


def unless(fine: bool, what: str, found: Any, wanted: Any = None) -> Differences:
    """Yield a difference if there is one."""
    if not fine:
        yield f"{what} is {brief(found)}" + ("" if wanted is None else f", not {brief(wanted)}")


def text_of(value: Json) -> str:
    """Return a value as JSON that is the same for the same value."""
    return json.dumps(value, sort_keys=True)


def brief(value: Any) -> str:
    """Return a value as a text that fits into a sentence."""
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}…"
