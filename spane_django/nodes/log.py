"""``log``: write a line to the execution's log and hand the input on."""

from __future__ import annotations

from ..core.json import Json, encode
from .base import Context, Node

LEVELS = ("debug", "info", "warning", "error")


class LogNode(Node):
    """Writes a line to the execution's log."""

    type = "log"
    description = "Writes a line to the execution's log."
    config = {
        "type": "object",
        "properties": {
            "message": {"type": "string"},
            "level": {"enum": [*LEVELS], "default": "info"},
        },
        "required": ["message"],
        "additionalProperties": False,
    }

    def execute(self, ctx: Context) -> Json:
        message = ctx.config["message"]
        write = getattr(ctx.log, ctx.config.get("level", "info"))
        write(message if isinstance(message, str) else encode(message))
        return ctx.input
