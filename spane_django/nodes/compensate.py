"""``compensate``: undo what an execution had done before it failed, the last first.

The engine puts this node before everything else that follows a failed execution; definitions
do not use it.  Each undo is an execution of its own, so that one that fails can be seen and
retried; the rest waits for it.
"""

from __future__ import annotations

from ..core.json import Json
from ..core.outcome import Child, StartChildren
from ..core.parts import undo_part
from ..core.retry import Retry
from .base import Context, Node
from .sub_workflow import output_of


class CompensateNode(Node):
    """Undoes the completed nodes of a failed execution in reverse order."""

    type = "compensate"
    description = "Undoes the completed nodes of a failed execution; the engine adds it."
    retry = Retry(attempts=1)
    config = {"type": "object", "additionalProperties": False}

    def execute(self, ctx: Context) -> Json | StartChildren:
        steps = ctx.input["steps"]
        done = -1 if ctx.checkpoint is None else ctx.checkpoint["step"]
        if done >= 0:
            (latest,) = ctx.children(first=done)[-1:]
            output_of(latest, f"undo {steps[done]['nodeId']}")
        if done + 1 < len(steps):
            return self._undo(ctx, steps[done + 1], done + 1)
        account = {key: value for key, value in ctx.input.items() if key != "steps"}
        return {**account, "undone": [step["nodeId"] for step in steps]}

    def _undo(self, ctx: Context, step: dict[str, Json], place: int) -> StartChildren:
        data = {
            "nodeId": step["nodeId"],
            "output": step["output"],
            "executionId": ctx.input["executionId"],
            "input": ctx.input["input"],
        }
        child = Child(part=undo_part(str(step["nodeId"])), input=data, item=place)
        return StartChildren(children=[child], checkpoint={"step": place})
