"""``switch``: go on with the branches of the case that matches.

The expression reads the input, which is handed on as it is.  Cases are compared with the text
of its value: ``1`` for the number 1, ``true`` for true, ``null`` for nothing found.  If no case
matches, ``default`` does; without one the node goes on nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..core.expressions import evaluate
from ..core.json import Json, encode
from ..core.outcome import Result
from .base import Context, Node
from .config import NODE_IDS, expression_faults, node_ids


class SwitchNode(Node):
    """Goes on with the branches of the case that an expression's value matches."""

    type = "switch"
    description = "Goes on with the branches of the case that matches."
    is_pure = True
    config = {
        "type": "object",
        "properties": {
            "expression": {"type": "string"},
            "cases": {"type": "object", "additionalProperties": NODE_IDS},
            "default": {**NODE_IDS, "description": "Where to go on if no case matches."},
        },
        "required": ["expression", "cases"],
        "additionalProperties": False,
    }

    def check(self, config: Mapping[str, Any]) -> Iterator[str]:
        return expression_faults(config["expression"], "expression")

    def execute(self, ctx: Context) -> Result:
        value = _text(evaluate(ctx.config["expression"], ctx.input))
        chosen = ctx.config["cases"].get(value, ctx.config.get("default"))
        return Result(data=ctx.input, next_nodes=node_ids(chosen))


def _text(value: Json) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # JSON knows one kind of number: 1.0 is 1
    return value if isinstance(value, str) else encode(value)
