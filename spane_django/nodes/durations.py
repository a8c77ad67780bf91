"""Lengths of time in configs: a number of a unit, or ISO 8601 such as ``PT5M``."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.dateparse import parse_duration

from ..core.expressions import has_templates
from ..core.json import Json
from ..core.outcome import Permanent
from ..core.schema import Schema

LENGTH: Schema = {
    "type": ["number", "string"],
    "description": "Milliseconds, or ISO 8601 such as PT5M.",
}


def length_of(value: Json, key: str, unit: str = "milliseconds", *, takes_text: bool) -> timedelta:
    """Return the length that a config gives under ``key``; it may be negative.

    Args:
        takes_text: Whether ISO 8601 is taken beside numbers.

    Raises:
        Permanent: it is no length.
    """
    # Of Django's spellings only ISO 8601 is taken: "5" would be seconds.
    if takes_text and isinstance(value, str) and value.lstrip("-+").startswith("P"):
        length = parse_duration(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        length = _times(value, unit)
    else:
        length = None
    if length is None:
        also = " or a text such as 'PT5M'" if takes_text else ""
        raise Permanent(f"'{key}' must be a number of {unit}{also}, not {value!r}")
    return length


def later(now: datetime, length: timedelta, key: str) -> datetime:
    """Return the instant ``length`` after ``now``.

    Raises:
        Permanent: it lies outside of the calendar.
    """
    try:
        return now + length
    except OverflowError:
        raise Permanent(f"'{key}' is too long") from None


def end_of(value: Json, key: str, *, now: datetime) -> datetime | None:
    """Return when a time ends that begins ``now``; None is none.

    Raises:
        Permanent: it is no length, is negative, or has no end that can be reached.
    """
    if value is None:
        return None
    length = length_of(value, key, takes_text=True)
    if length < timedelta():
        raise Permanent(f"'{key}' must not be negative: it is {value!r}")
    return later(now, length, key)


def length_fault(value: Json, key: str, *, now: datetime) -> str | None:
    """Return what is wrong with a length that stands in a config; a template is told later."""
    try:
        if not has_templates(value):
            end_of(value, key, now=now)
    except Permanent as fault:
        return str(fault)
    return None


def _times(value: float, unit: str) -> timedelta:
    try:
        return timedelta(**{unit: value})
    except OverflowError:
        return timedelta.max if value > 0 else timedelta.min
