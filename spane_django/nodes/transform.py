"""``transform``: make a new value from the input, without code.

``expression`` makes the value as a whole; ``mapping`` makes an object, one expression per key.
Both read the node's input.  For texts with templates and values from other nodes there is
``set``: a template is filled in before the node runs, so it cannot be told from an expression.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..core.expressions import evaluate
from ..core.json import Json
from .base import Context, Node
from .config import expression_faults, one_of


class TransformNode(Node):
    """Makes a new value from the input by JMESPath expressions."""

    type = "transform"
    description = "Makes a new value from the input by expressions."
    is_pure = True
    config = {
        "type": "object",
        "properties": {
            "expression": {"type": "string", "description": "Makes the whole value."},
            "mapping": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "Makes an object: an expression for each key.",
            },
        },
        "additionalProperties": False,
    }

    def check(self, config: Mapping[str, Any]) -> Iterator[str]:
        yield from one_of(config, "expression", "mapping")
        if "expression" in config:
            yield from expression_faults(config["expression"], "expression")
        for key, expression in config.get("mapping", {}).items():
            yield from expression_faults(expression, f"mapping.{key}")

    def execute(self, ctx: Context) -> Json:
        if "expression" in ctx.config:
            return evaluate(ctx.config["expression"], ctx.input)
        mapping = ctx.config["mapping"].items()
        return {key: evaluate(expression, ctx.input) for key, expression in mapping}
