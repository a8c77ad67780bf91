"""``condition``: go on with one of two branches.

The expression reads the input, which is handed on as it is.  JMESPath decides what is true:
all but null, false, the empty text, the empty list and the empty object; 0 is true.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..core.expressions import evaluate, is_true
from ..core.outcome import Result
from .base import Context, Node
from .config import NODE_IDS, expression_faults, node_ids, one_of


class ConditionNode(Node):
    """Goes on with one of two branches, as an expression on the input says."""

    type = "condition"
    description = "Goes on with one of two branches."
    is_pure = True
    config = {
        "type": "object",
        "properties": {
            "expression": {"type": "string"},
            "then": {**NODE_IDS, "description": "Where to go on if it is true."},
            "else": {**NODE_IDS, "description": "Where to go on if not; nowhere by default."},
            "trueBranch": {**NODE_IDS, "description": "Another name of then."},
            "falseBranch": {**NODE_IDS, "description": "Another name of else."},
        },
        "required": ["expression"],
        "additionalProperties": False,
    }

    def check(self, config: Mapping[str, Any]) -> Iterator[str]:
        yield from expression_faults(config["expression"], "expression")
        if not config.keys() & {"then", "else", "trueBranch", "falseBranch"}:
            yield "name a branch: 'then', 'else' or both, with the ids of nodes"
        for name, other in (("then", "trueBranch"), ("else", "falseBranch")):
            if name in config and other in config:
                yield from one_of(config, name, other)

    def execute(self, ctx: Context) -> Result:
        holds = is_true(evaluate(ctx.config["expression"], ctx.input))
        names = ("then", "trueBranch") if holds else ("else", "falseBranch")
        chosen = [node_id for name in names for node_id in node_ids(ctx.config.get(name))]
        return Result(data=ctx.input, next_nodes=chosen)
