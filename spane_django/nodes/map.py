"""``map``: run a node, or a workflow, once for each item of a list.

Each item is an execution of its own, which can be watched, retried and replayed.  The results
come in the order of the items; an item that failed within ``toleratedFailures`` is
``{"error": …}`` in its place.  One failure too many ends the map at once, and cancels the items
that have not ended.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..core.expressions import evaluate
from ..core.json import Json
from ..core.outcome import Child, Permanent, StartChildren
from ..core.parts import body_part
from ..core.retry import Retry
from .base import ChildRun, Context, Node
from .config import BODY_OR_WORKFLOW, body_of, expression_faults, one_of
from .sub_workflow import ChildFailed

_TOLERATED = {
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": r"^(100|[0-9]{1,2})%$"},
    ]
}


class MapNode(Node):
    """Runs a node, or a workflow, once for each item of a list."""

    type = "map"
    description = "Runs a node, or a workflow, once for each item of a list."
    retry = Retry(attempts=1)
    config = {
        "type": "object",
        "properties": {
            **BODY_OR_WORKFLOW,
            "items": {"type": "string", "description": "Where the list is in the input; @: it is."},
            "shared": {
                "type": "string",
                "description": "What every item receives beside: {item, index, shared}.",
            },
            "parallelism": {"type": "integer", "minimum": 1, "description": "Items at once."},
            "toleratedFailures": {**_TOLERATED, "description": "A number, or percents: '10%'."},
        },
        "additionalProperties": False,
    }

    def body(self, config: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return body_of(config)

    def starts(self, config: Mapping[str, Any]) -> Iterator[str]:
        yield config.get("workflowId", "")

    def check(self, config: Mapping[str, Any]) -> Iterator[str]:
        yield from one_of(config, "node", "workflowId")
        for key in ("items", "shared"):
            if key in config:
                yield from expression_faults(config[key], key)

    def execute(self, ctx: Context) -> Json | StartChildren:
        if ctx.checkpoint is None:
            return self._start(ctx)
        return _results(ctx.children(), ctx.checkpoint["tolerated"])

    def _start(self, ctx: Context) -> Json | StartChildren:
        items = evaluate(ctx.config.get("items", "@"), ctx.input)
        if not isinstance(items, list):
            raise Permanent(f"a map needs a list of items, not {type(items).__name__}")
        if not items:
            return []
        tolerated = _tolerated(ctx.config.get("toleratedFailures", 0), len(items))
        return StartChildren(
            children=list(_children(ctx, items)),
            parallelism=ctx.config.get("parallelism"),
            failures_tolerated=tolerated,
            checkpoint={"tolerated": tolerated},
        )


def _children(ctx: Context, items: Sequence[Json]) -> Iterator[Child]:
    workflow = ctx.config.get("workflowId", "")
    part = "" if workflow else body_part(ctx.node_id)
    has_shared = "shared" in ctx.config
    shared = evaluate(ctx.config["shared"], ctx.input) if has_shared else None
    for index, item in enumerate(items):
        data = {"item": item, "index": index, "shared": shared} if has_shared else item
        yield Child(workflow=workflow, part=part, input=data, item=index)


def _results(children: Sequence[ChildRun], tolerated: int) -> list[Json]:
    failed = [child for child in children if child.status in ("failed", "cancelled")]
    if len(failed) > tolerated:
        first = failed[0]
        why = f"item {first.item}: {first.error or first.status}"
        raise ChildFailed(
            f"{len(failed):,} of {len(children):,} items failed, {tolerated:,} are tolerated; {why}"
        )
    return [child.output if child.has_completed else _error(child) for child in children]


def _error(child: ChildRun) -> Json:
    return {"error": child.error or child.status}


def _tolerated(given: float | str, count: int) -> int:
    if isinstance(given, int | float):
        return int(given)
    return math.floor(int(given.rstrip("%")) / 100 * count)
