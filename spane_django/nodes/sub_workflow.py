"""``sub-workflow``: run another workflow and go on with what it came to.

No worker is held while the child runs.  Mappings are ``{target: source}`` over the keys of an
object: what the source lacks is left out, what is no object passes unmapped, and without a
mapping everything passes.  A child that fails or is cancelled is a failure of this node, whose
own retry policy (one attempt unless it says otherwise) starts a fresh child.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..core.json import Json
from ..core.outcome import Child, StartChildren
from ..core.retry import Retry
from .base import ChildRun, Context, Node
from .config import WORKFLOW_ID

_MAPPING = {"type": "object", "additionalProperties": {"type": "string"}}


class ChildFailed(Exception):
    """An execution that the node waited for has not completed."""


class SubWorkflowNode(Node):
    """Runs another workflow and hands on what it came to."""

    type = "sub-workflow"
    description = "Runs another workflow and goes on with what it came to."
    retry = Retry(attempts=1)
    config = {
        "type": "object",
        "properties": {
            "workflowId": WORKFLOW_ID,
            "inputMapping": {**_MAPPING, "description": "The child's keys from the input's."},
            "outputMapping": {**_MAPPING, "description": "This node's keys from the child's."},
            "onParentClose": {
                "enum": ["cancel", "abandon"],
                "description": "Of a child that still runs when its parent has ended.",
            },
        },
        "required": ["workflowId"],
        "additionalProperties": False,
    }

    def starts(self, config: Mapping[str, Any]) -> Iterator[str]:
        yield config.get("workflowId", "")

    def execute(self, ctx: Context) -> Json | StartChildren:
        workflow = ctx.config["workflowId"]
        children = ctx.children()
        if not children:
            child = Child(
                workflow=workflow,
                input=mapped(ctx.input, ctx.config.get("inputMapping")),
                follows_parent=ctx.config.get("onParentClose", "cancel") == "cancel",
            )
            return StartChildren(children=[child], checkpoint={"workflowId": workflow})
        return mapped(output_of(children[0], workflow), ctx.config.get("outputMapping"))


def output_of(child: ChildRun, workflow: str) -> Json:
    """Return what a child came to.

    Raises:
        ChildFailed: it has not completed.
    """
    if child.has_completed:
        return child.output
    ending = "was cancelled" if child.status == "cancelled" else "failed"
    why = f": {child.error}" if child.error else ""
    raise ChildFailed(f"Sub-workflow '{workflow}' {ending}{why}")


def mapped(data: Json, mapping: Mapping[str, str] | None) -> Json:
    """Return an object with other keys; what is no object as it is."""
    if mapping is None or not isinstance(data, dict):
        return data
    return {target: data[source] for target, source in mapping.items() if source in data}
