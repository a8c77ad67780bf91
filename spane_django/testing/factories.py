"""Workflows made for a test of how things hang together, when what nodes do is beside the point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from ..authoring import Workflow
from ..authoring.options import WorkflowOptions
from ..core.json import Json
from ..nodes.base import Context, Node, registry


class HandOn(Node):
    """Hands its input on."""

    type = "test-step"
    description = "Hands its input on; made for tests."

    def execute(self, ctx: Context) -> Json:
        return ctx.input


def make_workflow(
    edges: Mapping[str, Sequence[str]],
    *,
    id: str = "test-workflow",
    nodes: Mapping[str, Mapping[str, Any]] | None = None,
    **options: Unpack[WorkflowOptions],
) -> Workflow:
    """Make and publish a workflow whose nodes hand their input on.

    Args:
        edges: Each node with its children; one without children may be left out if it is a
            child: ``{"a": ["b", "c"]}``.
        nodes: What else is said of a node, as ``Workflow.add`` takes it:
            ``{"b": {"type": "delay", "config": {...}, "join": "any"}}``.

    The options are those of a `Workflow`.

    Raises:
        InvalidDefinition: every fault is listed.
    """
    if HandOn.type not in registry:
        registry.register(HandOn, built_in=True)
    workflow = Workflow(id, **options)
    names = dict.fromkeys([*edges, *(child for children in edges.values() for child in children)])
    steps = {}
    for name in names:
        said = {"type": HandOn.type, **(nodes or {}).get(name, {})}
        steps[name] = workflow.add(name, **said)
    for name, children in edges.items():
        steps[name] >> [steps[child] for child in children]
    workflow.publish()
    return workflow
