"""How calls are written: from names and values in Python to those of the wire."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from .answers import Json
from .exchange import IDEMPOTENCY_KEY
from .reading import wire_name

NOTHING: Any = object()
"""Of an argument that may be null: it was not given."""


def given(**values: Any) -> dict[str, Any]:
    """Return what was given, as it goes over the wire."""
    return {
        wire_name(name): _sent(value)
        for name, value in values.items()
        if value is not None and value is not NOTHING
    }


def ids(**values: object) -> dict[str, str]:
    """Return what stands in the path."""
    return {wire_name(name): str(value) for name, value in values.items()}


def payload(name: str, value: Json) -> dict[str, Json]:
    """Return a value that may be null, if it was given."""
    return {} if value is NOTHING else {name: value}


def once(key: str | None) -> dict[str, str]:
    """Return the header with which what is sent twice is done once.

    Args:
        key: None: a new one, so that the call can be tried again.
    """
    return {IDEMPOTENCY_KEY: key or uuid4().hex}


def flags(**values: bool) -> dict[str, str]:
    """Return what is true, as a query has it."""
    return {name: "true" for name, value in values.items() if value}


def _sent(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value / timedelta(milliseconds=1) if isinstance(value, timedelta) else value
