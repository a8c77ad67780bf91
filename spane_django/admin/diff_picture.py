"""The picture of how two versions differ: all nodes and edges of both in one graph.

What is new is green, solid and marked ``+``; what is gone red, dashed and ``−``; what has changed
amber, dotted and ``~``: always a sign and a word as well as a colour.  In a large graph only what
differs is drawn, with its neighbours, unless somebody asks for all of it.

Two versions that contradict each other may hold a cycle between them, and a draft may be anything
that is JSON: edges that the layout cannot place lead straight from box to box, those that lead
nowhere are not drawn.  A difference itself, as data, is `core.diff`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

from django.utils.translation import gettext as _

from ..core.diff import Diff, Edge, edges_of, nodes_in
from ..core.fold import Folded
from ..core.graph import Graph
from ..core.layout import BOX_HEIGHT, BOX_WIDTH, Layout, Point, lay_out
from .picture import (
    HINT_CHARACTERS,
    LABEL_CHARACTERS,
    MOST_BOXES,
    Box,
    Line,
    Picture,
    UrlOf,
    cut,
    folded_graph,
    path,
)
from .present import ICONS, WORDS

MOST_WHOLE = 60
"""Of a graph with more nodes, those that are the same everywhere around them are left out."""

# Room for a line that leads back, above the boxes.
_RISE = 28.0


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture, and how many nodes are the same in both and were left out of it."""

    picture: Picture
    left_out: int = 0


def picture_between(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    found: Diff,
    *,
    url_of: UrlOf,
    group_url_of: UrlOf,
    opened: Sequence[str] = (),
    draws_all: bool = False,
) -> Drawn:
    """Return the picture of a difference; of a definition with itself, that of the definition.

    Args:
        found: What differs between them.
        url_of: The address behind a node, by its id.
        group_url_of: The address behind a box for several, by the id of the first.
        opened: Groups whose nodes are drawn one by one.
        draws_all: Draw everything, however much it is.
    """
    whole = _both(before, after, found)
    shown = whole if draws_all or len(whole.types) <= MOST_WHOLE or not found else whole.near()
    left_out = len(whole.types) - len(shown.types)
    straight = shown.contradictory()
    folded = folded_graph(shown.graph(straight), shown.likeness(), opened)
    if len(folded.graph.children) > MOST_BOXES and not draws_all:
        return Drawn(Picture(0, 0, 0, 0, [], [], hidden=len(folded.graph.children)), left_out)
    layout = lay_out(folded.graph)
    boxes = [
        _box(node, corner, folded.members.get(node, (node,)), shown, (url_of, group_url_of))
        for node, corner in layout.boxes.items()
    ]
    picture = Picture(
        width=int(layout.width),
        height=int(layout.height) + 1,
        box_width=int(BOX_WIDTH),
        box_height=int(BOX_HEIGHT),
        boxes=boxes,
        lines=_lines(layout, folded, shown, straight),
    )
    return Drawn(picture, left_out)


@dataclass(frozen=True, slots=True)
class _Both:
    """The nodes and edges of two definitions.

    Attributes:
        types: By node, its type.
        marked: Nodes that differ, with what has become of them.
        edges: With what has become of each; "": nothing.
    """

    types: dict[str, str]
    marked: dict[str, str]
    edges: dict[Edge, str]

    def near(self) -> _Both:
        """Return what differs, with what is next to it."""
        ends = chain.from_iterable(edge for edge, kind in self.edges.items() if kind)
        core = {*self.marked, *ends}
        kept = core.union(*(edge for edge in self.edges if not core.isdisjoint(edge)))
        types = {node: kind for node, kind in self.types.items() if node in kept}
        edges = {edge: kind for edge, kind in self.edges.items() if kept.issuperset(edge)}
        return _Both(types, self.marked, edges)

    def graph(self, without: set[Edge]) -> Graph:
        """Return the graph of all edges but these."""
        children: dict[str, list[str]] = {node: [] for node in self.types}
        for edge in self.edges:
            if edge not in without:
                children[edge[0]].append(edge[1])
        return Graph(children)

    def contradictory(self) -> set[Edge]:
        """Return edges without which there is no cycle: those that are gone before any other."""
        graph = self.graph(set())
        stuck = set(self.types).difference(graph.order())
        found = {
            edge for edge, kind in self.edges.items()
            if kind == "removed" and stuck.issuperset(edge)
        }  # fmt: skip
        while cycle := self.graph(found).cycle():
            found.add(list(pairwise(cycle))[-1])
        return found

    def likeness(self) -> dict[str, str]:
        """Return what tells nodes apart that must not stand behind one box."""
        around: dict[str, list[str]] = {node: [] for node in self.types}
        for (parent, child), kind in sorted(self.edges.items()):
            if kind:
                around[parent].append(f"{kind} to {child}")
                around[child].append(f"{kind} from {parent}")
        return {
            node: f"{kind} {self.marked.get(node, '')} {around[node]}"
            for node, kind in self.types.items()
        }


def _both(before: Mapping[str, Any], after: Mapping[str, Any], found: Diff) -> _Both:
    old, new = nodes_in(before), nodes_in(after)
    nodes = {**new, **{key: node for key, node in old.items() if key not in new}}
    kinds = (("added", found.edges_added), ("removed", found.edges_removed))
    changed = {edge: kind for kind, edges in kinds for edge in edges}
    edges = {
        edge: changed.get(edge, "")
        for edge in sorted(edges_of(old) | edges_of(new))
        if edge[0] in nodes and edge[1] in nodes and edge[0] != edge[1]
    }
    marked = {
        key: kind
        for kind in ("added", "removed", "changed")
        for key in getattr(found, kind)
    }  # fmt: skip
    types = {key: str(node.get("type", "")) if isinstance(node, dict) else ""
             for key, node in nodes.items()}  # fmt: skip
    return _Both(types, marked, edges)


def _box(
    node: str, corner: Point, members: Sequence[str], both: _Both, urls: tuple[UrlOf, UrlOf]
) -> Box:
    kind, mark = both.types[node], both.marked.get(node, "")
    is_group = len(members) > 1
    name = f"{node} … {members[-1]}" if is_group else node
    said = f"{WORDS[mark]} · {kind}" if mark else kind
    return Box(
        node_id=node,
        x=f"{corner[0]:.0f}",
        y=f"{corner[1]:.0f}",
        label=cut(f"{len(members)} × {kind}" if is_group else name, LABEL_CHARACTERS),
        title=f"{name} ({kind}): {WORDS[mark] if mark else _('the same')}",
        status=mark,
        icon=ICONS[mark] if mark else "",
        said=cut(said if mark or not is_group else name, HINT_CHARACTERS),
        url=urls[is_group](node),
        is_group=is_group,
    )


def _lines(layout: Layout, folded: Folded, both: _Both, straight: set[Edge]) -> list[Line]:
    first = {node: group for group, nodes in folded.members.items() for node in nodes}
    kinds = {
        (first.get(edge[0], edge[0]), first.get(edge[1], edge[1])): kind
        for edge, kind in both.edges.items()
    }
    lines = [_line(edge, points, kinds[edge]) for edge, points in layout.lines.items()]
    direct = {(first.get(one, one), first.get(other, other)) for one, other in straight}
    corners = layout.boxes
    return lines + [
        _line(edge, _straight(corners[edge[0]], corners[edge[1]]), kinds[edge])
        for edge in sorted(direct.difference(layout.lines))
    ]


def _straight(start: Point, end: Point) -> list[Point]:
    """Return a line from the top of one box over to the top of another."""
    above = min(start[1], end[1]) - _RISE / 2
    return [
        (start[0] + BOX_WIDTH, start[1] + BOX_HEIGHT / 4),
        (start[0] + BOX_WIDTH, above),
        (end[0], above),
        (end[0], end[1] + BOX_HEIGHT / 4),
    ]


def _line(edge: Edge, points: Sequence[Point], kind: str) -> Line:
    middle = len(points) // 2
    (x, y), (to_x, to_y) = points[middle - 1], points[middle]
    return Line(
        path=path(points),
        kind=kind,
        mark=ICONS[kind] if kind else "",
        said=f"{edge[0]} → {edge[1]}: {WORDS[kind]}" if kind else "",
        x=f"{(x + to_x) / 2:.0f}",
        y=f"{(y + to_y) / 2:.0f}",
    )
