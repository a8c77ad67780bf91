"""``delay``: wait, without holding a worker, and hand the input on.

The length is the first of ``duration`` (milliseconds, or ISO 8601 such as ``PT5M``),
``durationSeconds``, ``durationMinutes``, and ``until`` (an ISO 8601 instant) that is given;
zero and instants in the past mean at once.  The first run answers a ``Delay`` that remembers
its end, so that a node which is run again early waits for the same instant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..core.expressions import has_templates
from ..core.json import Json
from ..core.outcome import Delay, Permanent
from .base import Context, Node
from .durations import LENGTH, later, length_of

_MISSING = (
    "Delay node missing duration configuration: give 'duration' (milliseconds, or a text such "
    "as 'PT5M'), 'durationSeconds', 'durationMinutes' or 'until'"
)
_UNITS = {"duration": "milliseconds", "durationSeconds": "seconds", "durationMinutes": "minutes"}
_NUMBER = {"type": ["number", "string"]}


class DelayNode(Node):
    """Waits for a time or until an instant, then hands the input on."""

    type = "delay"
    description = "Waits for a time or until an instant, without holding a worker."
    config = {
        "type": "object",
        "properties": {
            "duration": LENGTH,
            "durationSeconds": _NUMBER,
            "durationMinutes": _NUMBER,
            "until": {"type": "string", "description": "ISO 8601 date and time."},
            "timeZone": {"type": "string", "description": "Of an until without one.  UTC."},
        },
        "additionalProperties": False,
    }

    def check(self, config: Mapping[str, Any]) -> Iterator[str]:
        if not has_templates(dict(config)):
            try:
                _end(config, datetime.now(UTC))
            except Permanent as fault:
                yield str(fault)
        elif not config.keys() & {*_UNITS, "until"}:
            yield _MISSING

    def execute(self, ctx: Context) -> Json | Delay:
        # It runs again when its time has come, or earlier if somebody hurries it.
        if ctx.checkpoint is not None:
            return ctx.input
        until = _end(ctx.config, ctx.now)
        return Delay(until=until, checkpoint={"until": until.isoformat()})


def _end(config: Mapping[str, Any], now: datetime) -> datetime:
    """Return when the wait that begins ``now`` ends.

    Raises:
        Permanent: the config names no end, or none that can be reached.
    """
    for key, unit in _UNITS.items():
        if config.get(key) is not None:
            return later(now, _length(config[key], key, unit), key)
    if config.get("until") is not None:
        return _instant(config["until"], config.get("timeZone", "UTC"))
    raise Permanent(_MISSING)


def _length(value: Json, key: str, unit: str) -> timedelta:
    length = length_of(value, key, unit, takes_text=key == "duration")
    if length < timedelta():
        raise Permanent(f"Delay duration must be positive: '{key}' is {value!r}")
    return length


def _instant(value: Json, zone: Json) -> datetime:
    try:
        until = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise Permanent(
            f"'until' must be a date and time such as '2030-01-31T09:00:00Z', not {value!r}"
        ) from None
    try:
        until = until if until.tzinfo else until.replace(tzinfo=ZoneInfo(zone))
        return until.astimezone(UTC)
    except (TypeError, ValueError, OSError, ZoneInfoNotFoundError, OverflowError):
        raise Permanent(
            f"'timeZone' must be a name such as 'Europe/Berlin', not {zone!r}"
        ) from None
