"""What people type: durations, instants, JSON and ids."""

from __future__ import annotations

import argparse
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from ..clock import now as current_time
from ..engine.control import UnknownExecution
from ..models import Execution
from .base import WrongUse

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])", re.IGNORECASE)
# Shorter prefixes of ids, which begin with the time, would mean whole days.
_SHORTEST_PREFIX = 6
_HEXADECIMAL = re.compile(r"[0-9a-f]+")


def duration(text: str) -> timedelta:
    """Read ``90s``, ``15m``, ``12h``, ``30d``, ``2w`` or a sum of them, such as ``1h30m``."""
    given = text.strip()
    total = timedelta()
    position = 0
    for match in _DURATION.finditer(given):
        if match.start() != position:
            break
        position = match.end()
        total += timedelta(**{_UNITS[match[2].lower()]: float(match[1])})
    if not given or position != len(given):
        raise argparse.ArgumentTypeError(f"'{text}' is no duration: write 90s, 15m, 12h, 30d or 2w")
    return total


def instant(text: str) -> datetime:
    """Read a date or time in ISO 8601 (UTC unless it names a zone), or ``2h`` for so long ago."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        try:
            return current_time() - duration(text)
        except argparse.ArgumentTypeError:
            message = f"'{text}' is no time: write 2025-01-31, 2025-01-31T12:00 or 2h (ago)"
            raise argparse.ArgumentTypeError(message) from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def json_value(text: str) -> Any:
    """Read JSON as it is, of a file (``@file``) or of standard input (``@-``)."""
    source = "the input"
    if text.startswith("@"):
        source = text[1:]
        text = _content(text[1:])
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        message = (
            f"{source} is not JSON: {error.msg} (line {error.lineno}, column {error.colno}).  "
            """Quote it for the shell, as in '{"orderId": 7}', or write @file.json"""
        )
        raise argparse.ArgumentTypeError(message) from None


def execution_of(text: str) -> Execution:
    """Return the execution of an id, or of the beginning of one that belongs to no other.

    Raises:
        WrongUse: it is no id, or the beginning of several.
        UnknownExecution: there is none.
    """
    digits = text.replace("-", "").lower()
    if not _HEXADECIMAL.fullmatch(digits) or not _SHORTEST_PREFIX <= len(digits) <= 32:
        raise WrongUse(
            f"'{text}' is no execution id: give the whole id or at least its first "
            f"{_SHORTEST_PREFIX} digits; manage.py spane_list shows them."
        )
    first, last = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
    executions = Execution.objects.select_related("workflow", "version")
    found = list(executions.filter(pk__gte=first, pk__lte=last).order_by("pk")[:2])
    if not found:
        raise UnknownExecution(f"There is no execution {text}: see manage.py spane_list.")
    if len(found) > 1:
        raise WrongUse(
            f"Several executions begin with {text}, such as {found[0].pk} and {found[1].pk}: "
            "give more digits."
        )
    return found[0]


def _content(name: str) -> str:
    if name == "-":
        return sys.stdin.read()
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"{name} cannot be read: {error}") from None
