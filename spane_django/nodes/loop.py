"""``loop``: run a node, or a workflow, again and again, each time on what it came to before.

``while`` is asked before each turn and ``until`` after it, both of the data that go round: the
input at first, then the latest turn's output.  Each turn is an execution of its own.  A loop that
has not ended after ``maxTurns`` fails: a condition that never comes true must not run for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from ..core.expressions import evaluate
from ..core.json import Json
from ..core.outcome import Child, Delay, Permanent, StartChildren
from ..core.parts import body_part
from ..core.retry import Retry
from .base import Context, Node
from .config import BODY_OR_WORKFLOW, body_of, expression_faults, one_of
from .sub_workflow import output_of


class LoopNode(Node):
    """Repeats a node, or a workflow, while or until a condition holds."""

    type = "loop"
    description = "Repeats a node, or a workflow, while or until a condition holds."
    retry = Retry(attempts=1)
    config = {
        "type": "object",
        "properties": {
            **BODY_OR_WORKFLOW,
            "while": {"type": "string", "description": "Asked before each turn."},
            "until": {"type": "string", "description": "Asked after each turn."},
            "maxTurns": {"type": "integer", "minimum": 1, "maximum": 10_000},
            "pause": {"type": "number", "minimum": 0, "description": "Milliseconds between turns."},
        },
        "additionalProperties": False,
    }

    def body(self, config: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return body_of(config)

    def starts(self, config: Mapping[str, Any]) -> Iterator[str]:
        yield config.get("workflowId", "")

    def check(self, config: Mapping[str, Any]) -> Iterator[str]:
        yield from one_of(config, "node", "workflowId")
        yield from one_of(config, "while", "until")
        for key in ("while", "until"):
            if key in config:
                yield from expression_faults(config[key], key)

    def execute(self, ctx: Context) -> Json | StartChildren | Delay:
        turn = (ctx.checkpoint or {}).get("turn", -1)
        if turn < 0:
            return self._next(ctx, ctx.input, 0)
        (latest,) = ctx.children(first=turn)[-1:]
        data = output_of(latest, ctx.config.get("workflowId") or ctx.node_id)
        if "until" in ctx.config and evaluate(ctx.config["until"], data):
            return data
        if ctx.config.get("pause") and not ctx.checkpoint.get("hasPaused"):
            until = ctx.now + timedelta(milliseconds=ctx.config["pause"])
            return Delay(until, {"turn": turn, "hasPaused": True})
        return self._next(ctx, data, turn + 1)

    def _next(self, ctx: Context, data: Json, turn: int) -> Json | StartChildren:
        if "while" in ctx.config and not evaluate(ctx.config["while"], data):
            return data
        most = ctx.config.get("maxTurns", 100)
        if turn >= most:
            raise Permanent(f"the loop has not ended after {most:,} turns (maxTurns)")
        workflow = ctx.config.get("workflowId", "")
        part = "" if workflow else body_part(ctx.node_id)
        child = Child(workflow=workflow, part=part, input=data, item=turn)
        return StartChildren(children=[child], checkpoint={"turn": turn})
