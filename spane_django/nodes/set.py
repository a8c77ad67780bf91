"""``set``: put values, usually templates, into the input object.

The values win over keys of the same name; objects inside are replaced, not merged.
"""

from __future__ import annotations

from ..core.json import Json
from ..core.outcome import Permanent
from .base import Context, Node
from .config import ANY_OBJECT


class SetNode(Node):
    """Puts values into the input object and hands it on."""

    type = "set"
    description = "Puts values into the input and hands it on."
    is_pure = True
    config = {
        "type": "object",
        "properties": {"values": ANY_OBJECT},
        "required": ["values"],
        "additionalProperties": False,
    }

    def execute(self, ctx: Context) -> Json:
        given = {} if ctx.input is None else ctx.input
        if not isinstance(given, dict):
            raise Permanent(f"values are set in an object, but the input is {_kind(given)}")
        return {**given, **ctx.config["values"]}


def _kind(value: Json) -> str:
    return "a list" if isinstance(value, list) else f"a single value ({type(value).__name__})"
