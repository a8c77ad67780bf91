"""Folding: nodes that a picture need not show one by one stand behind a single box.

Nodes are alike if they have the same type, the same parents and the same children, such as the
thousand branches of a wide fan.  More of them than people care to see become one group, named
after its first node.  Folding changes a picture, never what runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .graph import Graph

# So many like nodes are still drawn one by one.
MOST_ALIKE = 12


@dataclass(frozen=True, slots=True)
class Folded:
    """A graph of what is drawn.

    Attributes:
        graph: Nodes and groups; a group has the id of its first node.
        members: Of each group, the nodes behind it, in their order.
    """

    graph: Graph
    members: dict[str, tuple[str, ...]]


def fold(graph: Graph, types: Mapping[str, str], *, most: int = MOST_ALIKE) -> Folded:
    """Put more than ``most`` nodes that are alike behind one.

    Args:
        types: By node; what is missing here is of one type.
    """
    alike: dict[object, list[str]] = {}
    for node, children in graph.children.items():
        likeness = (types.get(node, ""), frozenset(graph.parents[node]), frozenset(children))
        alike.setdefault(likeness, []).append(node)
    # Nodes without any edge have nothing in common but that.
    groups = [
        nodes
        for nodes in alike.values()
        if len(nodes) > most and (graph.parents[nodes[0]] or graph.children[nodes[0]])
    ]
    if not groups:
        return Folded(graph, {})
    first = {node: nodes[0] for nodes in groups for node in nodes}
    shown = {
        node: tuple(dict.fromkeys(first.get(child, child) for child in targets))
        for node, targets in graph.children.items()
        if first.get(node, node) == node
    }
    return Folded(Graph(shown), {nodes[0]: tuple(nodes) for nodes in groups})
