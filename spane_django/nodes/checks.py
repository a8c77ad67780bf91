"""What only the node types of this process can say about a definition.

Unknown types, configs that do not fit their type's schema or its own check, templates that do
not parse or that refer to nodes which cannot have finished before.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..core.definition import Definition, NodeDefinition
from ..core.expressions import referenced_results, template_faults
from ..core.graph import Graph
from ..core.schema import Fault, faults_in
from .base import Node, UnknownNodeType, registry


def node_faults(definition: Definition) -> list[Fault]:
    """Return every fault of the definition's nodes, each with its path."""
    faults: list[Fault] = []
    ancestors = _Ancestors(definition)
    for index, raw in enumerate(definition.raw["nodes"]):
        node = NodeDefinition(raw)
        path = f"nodes[{index}]"
        try:
            node_type = registry.get(node.type) if isinstance(raw.get("type"), str) else None
        except UnknownNodeType as error:
            faults.append(Fault(f"{path}.type", "unknown_type", str(error)))
            continue
        if node_type is not None:
            faults += config_faults(node_type, node, f"{path}.config")
            faults += _reference_faults(node, ancestors, f"{path}.config")
    return faults


def config_faults(node_type: Node, node: NodeDefinition, path: str = "config") -> list[Fault]:
    """Return every fault of one node's config under its type."""
    schema = node_type.schema()
    faults = list(faults_in(schema, node.config, path)) if schema is not None else []
    if not faults:
        faults += [Fault(path, "config", message) for message in node_type.check(node.config)]
    return faults + list(template_faults(node.config, path))


class _Ancestors:
    """Which nodes can have finished before another; empty while the edges are at fault."""

    def __init__(self, definition: Definition) -> None:
        ids = set(definition.nodes)
        outputs = {node.id: node.outputs for node in definition.nodes.values()}
        whole = all(set(children) <= ids for children in outputs.values())
        reverse: dict[str, list[str]] = {node: [] for node in ids}
        for node, children in outputs.items():
            for child in children if whole else ():
                reverse[child].append(node)
        self._reverse = Graph(reverse) if whole else None

    def lacks(self, node_id: str, other: str) -> bool:
        return self._reverse is not None and other not in self._reverse.descendants(node_id)


def _reference_faults(node: NodeDefinition, ancestors: _Ancestors, path: str) -> Iterator[Fault]:
    for other in sorted(referenced_results(node.config)):
        if ancestors.lacks(node.id, other):
            message = f"'{other}' is no node that comes before '{node.id}'"
            yield Fault(path, "unknown_reference", message)
