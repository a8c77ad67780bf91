"""``wait``: wait for a signal, without holding a worker, and hand its payload on.

The signal is one that is sent to this execution, or, with ``key``, one of that key to whoever
waits for it.  One that was sent before is taken at once.  At the ``deadline`` the node hands
``default`` on; without a default it fails for good.  A signal that is sent later than that is
left to others.

A retry or a rerun waits anew: what an earlier round has taken is gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ..core.json import Json
from ..core.outcome import Failure, Permanent, Result, WaitFor
from .base import Context, Node
from .durations import LENGTH, end_of, length_fault


class WaitNode(Node):
    """Waits for a signal and hands its payload on."""

    type = "wait"
    description = "Waits for a signal and hands its payload on."
    config = {
        "type": "object",
        "properties": {
            "signal": {"type": "string", "minLength": 1, "description": "Its name."},
            "key": {
                "type": ["string", "integer"],
                "description": "Which of them; absent: those sent to this execution.",
            },
            "deadline": LENGTH,
            "default": {"description": "Handed on if none has come in time.  Without: failure."},
        },
        "required": ["signal"],
        "additionalProperties": False,
    }

    def check(self, config: Mapping[str, Any]) -> Iterator[str]:
        if fault := length_fault(config.get("deadline"), "deadline", now=datetime.now(UTC)):
            yield fault
        if "default" in config and config.get("deadline") is None:
            yield "'default' is for when the time is over: give a 'deadline', too"

    def execute(self, ctx: Context) -> Json | Result | WaitFor | Failure:
        arrived = ctx.signal
        if arrived is not None:
            return arrived.payload
        # The checkpoint of an earlier round has nothing to say.
        if ctx.checkpoint is None or ctx.checkpoint["round"] != ctx.round:
            return _wait(ctx, end_of(ctx.config.get("deadline"), "deadline", now=ctx.now))
        # It runs again without a signal when the time is over, or somebody says that it is.
        if "default" in ctx.config:
            return ctx.config["default"]
        message = f"signal '{ctx.config['signal']}' has not come in time"
        return Result.failure(message, type="SignalTimeout")


def _wait(ctx: Context, until: datetime | None) -> WaitFor:
    key = ctx.config.get("key")
    if isinstance(key, bool) or not isinstance(key, str | int | None):
        raise Permanent(f"'key' must be a text or a whole number, not {key!r}")
    if key is None and "key" in ctx.config:
        raise Permanent("'key' is null: the template has found nothing")
    return WaitFor(
        signal=ctx.config["signal"],
        key=None if key is None else str(key),
        until=until,
        checkpoint={"round": ctx.round, "until": until and until.isoformat()},
    )
