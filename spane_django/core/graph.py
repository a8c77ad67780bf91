"""How the nodes of a definition hang together: parents, children, order, cycles.

A `Graph` is built once per workflow version and shared by everything that reads it; it is
immutable.  Each question about one node costs no more than that node's edges.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property


class Graph:
    """A directed acyclic graph of node ids.

    Args:
        children: Every node id with the ids that its edges lead to.  Each child must be a key.
    """

    def __init__(self, children: Mapping[str, Sequence[str]]) -> None:
        self.children: dict[str, tuple[str, ...]] = {
            node: tuple(targets) for node, targets in children.items()
        }
        parents: dict[str, list[str]] = {node: [] for node in self.children}
        for node, targets in self.children.items():
            for target in targets:
                parents[target].append(node)
        self.parents: dict[str, tuple[str, ...]] = {
            node: tuple(sources) for node, sources in parents.items()
        }

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """The nodes without parents, which every execution starts with."""
        return tuple(node for node, parents in self.parents.items() if not parents)

    @cached_property
    def leaves(self) -> tuple[str, ...]:
        """The nodes without children, whose data are the execution's output."""
        return tuple(node for node, children in self.children.items() if not children)

    def reachable(self, sources: Iterable[str]) -> set[str]:
        """Return the sources and everything that a path leads to from one of them."""
        seen = set(sources)
        queue = deque(seen)
        while queue:
            fresh = [child for child in self.children[queue.popleft()] if child not in seen]
            seen.update(fresh)
            queue.extend(fresh)
        return seen

    def descendants(self, node: str) -> set[str]:
        """Return everything that a path leads to from ``node``, itself left out."""
        return self.reachable([node]) - {node}

    def exclusive_ancestors(self, node: str) -> set[str]:
        """Return the ancestors of ``node`` that lead to it and nowhere else.

        Of each of them every child is ``node`` or another one of them.
        """
        found: set[str] = set()
        elsewhere: dict[str, int] = {}
        queue = deque([node])
        while queue:
            for parent in self.parents[queue.popleft()]:
                elsewhere[parent] = elsewhere.get(parent, len(self.children[parent])) - 1
                if not elsewhere[parent]:
                    found.add(parent)
                    queue.append(parent)
        return found

    def order(self) -> list[str]:
        """Return the nodes so that each comes after its parents; those of a cycle are missing."""
        missing = {node: len(parents) for node, parents in self.parents.items()}
        queue = deque(self.roots)
        ordered: list[str] = []
        while queue:
            node = queue.popleft()
            ordered.append(node)
            for child in self.children[node]:
                missing[child] -= 1
                if not missing[child]:
                    queue.append(child)
        return ordered

    def layers(self) -> list[list[str]]:
        """Return the nodes by how many steps the longest path to them has; not those of a cycle."""
        layers: list[list[str]] = []
        layer_of: dict[str, int] = {}
        for node in self.order():
            layer = 1 + max((layer_of[parent] for parent in self.parents[node]), default=-1)
            layer_of[node] = layer
            if layer == len(layers):
                layers.append([])
            layers[layer].append(node)
        return layers

    def cycle(self) -> list[str] | None:
        """Return one cycle as ``[a, b, c, a]``, or None if there is none."""
        stuck = set(self.children) - set(self.order())
        if not stuck:
            return None
        # Whatever is stuck either lies on a cycle or behind one, so walking *up* must repeat.
        node, trail = min(stuck), dict[str, int]()
        while node not in trail:
            trail[node] = len(trail)
            node = next(parent for parent in self.parents[node] if parent in stuck)
        walked = list(trail)[trail[node] :]
        return [node, *reversed(walked)]
