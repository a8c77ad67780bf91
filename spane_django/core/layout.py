"""Where the boxes and lines of a workflow's picture go: layers, from left to right.

The steps are those of Sugiyama, Tagawa and Toda (1981): every node gets a layer behind those of
its parents, long edges get a bend in each layer that they cross, the order within the layers is
swept while fewer edges cross, and then each box moves as near to its neighbours as the order
allows.  The last step is an isotonic regression per layer, which is exact and linear.

Nothing here knows what a node means.  The same graph gives the same picture; it is computed once
per version.  An edge over very many layers gets no bends, as a chain with shortcuts would need
the square of its length: it is led around below.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from .graph import Graph

BOX_WIDTH, BOX_HEIGHT = 168.0, 44.0
LAYER_GAP, ROW_GAP = 72.0, 20.0
_BEND_HEIGHT = 4.0
_BEND_WEIGHT = 4.0  # a long line is drawn straight before a box stands in the middle
_MOST_BENDS = 24  # an edge over more layers is led around
_SWEEPS = 12
_RELAXATIONS = 8
# Parts that do not hang together stand side by side up to this width, then in the next row.
_ROW_WIDTH = 2_400.0

Point = tuple[float, float]
Edge = tuple[str, str]
Place = str | tuple[str, str, int]
"""A node, or the bend of an edge in a layer."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A picture; lengths are pixels at full size, and y grows downwards.

    Attributes:
        boxes: By node, the upper left corner of its box.
        lines: By edge, the points that its line passes from the one box to the other.
    """

    width: float = 0.0
    height: float = 0.0
    boxes: dict[str, Point] = field(default_factory=dict)
    lines: dict[Edge, list[Point]] = field(default_factory=dict)


def lay_out(graph: Graph) -> Layout:
    """Return the picture of a graph without cycles."""
    parts = [_picture(part) for part in _connected(graph)]
    parts.sort(key=lambda part: len(part.boxes) == 1)
    return _together(parts)


@dataclass(slots=True)
class _Layers:
    """What stands in each layer, from the top, and what it is connected to.

    Attributes:
        before: By place, those in the layer before it that lead to it.
        behind: By place, those in the next layer that it leads to.
        around: Edges without bends.
    """

    rows: list[list[Place]]
    before: dict[Place, list[Place]] = field(default_factory=lambda: defaultdict(list))
    behind: dict[Place, list[Place]] = field(default_factory=lambda: defaultdict(list))
    around: list[Edge] = field(default_factory=list)


def _picture(graph: Graph) -> Layout:
    layer_of = _layer_of(graph)
    layers = _with_bends(graph, layer_of)
    _sort(layers)
    middle = _align(layers)
    x_of = {node: layer * (BOX_WIDTH + LAYER_GAP) for node, layer in layer_of.items()}
    top = min(middle[node] for node in x_of) - BOX_HEIGHT / 2
    boxes = {node: (x_of[node], middle[node] - BOX_HEIGHT / 2 - top) for node in graph.children}
    lines = {
        (parent, child): _line(boxes, parent, child, bends, middle, top)
        for (parent, child), bends in _bends(graph, layer_of, layers).items()
    }
    height = max(corner[1] for corner in boxes.values()) + BOX_HEIGHT
    for edge in layers.around:
        height += ROW_GAP
        lines[edge] = _line_around(boxes, edge, height)
    lowest = max([height, *(point[1] for line in lines.values() for point in line)])
    highest = min([0.0, *(point[1] for line in lines.values() for point in line)])
    width = max(x_of.values()) + BOX_WIDTH
    return _moved(Layout(width, lowest - highest, boxes, lines), 0.0, -highest)


def _layer_of(graph: Graph) -> dict[str, int]:
    """Return the layer of each node: behind all parents, and roots right before a child."""
    layers: dict[str, int] = {}
    for node in graph.order():
        layers[node] = max((layers[parent] + 1 for parent in graph.parents[node]), default=0)
    for root in graph.roots:
        layers[root] = min((layers[child] - 1 for child in graph.children[root]), default=0)
    return layers


def _with_bends(graph: Graph, layer_of: Mapping[str, int]) -> _Layers:
    layers = _Layers([[] for _ in range(max(layer_of.values()) + 1)])
    for node in graph.order():
        layers.rows[layer_of[node]].append(node)
    for parent, children in graph.children.items():
        for child in children:
            if layer_of[child] - layer_of[parent] > _MOST_BENDS:
                layers.around.append((parent, child))
                continue
            bends = _bends_of(parent, child, layer_of)
            for bend in bends:
                layers.rows[bend[2]].append(bend)
            passed: list[Place] = [parent, *bends, child]
            for one, other in pairwise(passed):
                layers.behind[one].append(other)
                layers.before[other].append(one)
    return layers


def _bends_of(parent: str, child: str, layer_of: Mapping[str, int]) -> list[tuple[str, str, int]]:
    return [(parent, child, layer) for layer in range(layer_of[parent] + 1, layer_of[child])]


def _bends(
    graph: Graph, layer_of: Mapping[str, int], layers: _Layers
) -> dict[Edge, list[tuple[str, str, int]]]:
    around = set(layers.around)
    return {
        (parent, child): _bends_of(parent, child, layer_of)
        for parent, children in graph.children.items()
        for child in children
        if (parent, child) not in around
    }


def _sort(layers: _Layers) -> None:
    """Put each layer into an order in which few edges cross: barycentres, to and fro."""
    best, fewest = [list(row) for row in layers.rows], _crossings(layers)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        forward = sweep % 2 == 0
        near = layers.before if forward else layers.behind
        for above, row in pairwise(layers.rows if forward else reversed(layers.rows)):
            position = {place: index for index, place in enumerate(above)}
            _by_barycentre(row, near, position)
        crossings = _crossings(layers)
        if crossings < fewest:
            best, fewest = [list(row) for row in layers.rows], crossings
    layers.rows[:] = best


def _by_barycentre(
    row: list[Place], near: Mapping[Place, Sequence[Place]], position: Mapping[Place, int]
) -> None:
    """Sort a layer by the mean position of the neighbours; who has none keeps the place."""
    weights: dict[Place, float] = {}
    for index, place in enumerate(row):
        neighbours = near.get(place, ())
        weights[place] = (
            sum(position[other] for other in neighbours) / len(neighbours)
            if neighbours
            else index * len(position) / len(row)
        )
    row.sort(key=weights.__getitem__)


def _crossings(layers: _Layers) -> int:
    """Count the pairs of edges between neighbouring layers that cross."""
    total = 0
    for row, following in pairwise(layers.rows):
        position = {place: index for index, place in enumerate(following)}
        seen: list[int] = []
        for place in row:
            ends = sorted(position[other] for other in layers.behind.get(place, ()))
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def _align(layers: _Layers) -> dict[Place, float]:
    """Return how high each place stands: near its neighbours, in order and apart."""
    middle: dict[Place, float] = {}
    for row in layers.rows:
        middle.update(zip(row, _offsets(row), strict=True))
    for turn in range(_RELAXATIONS):
        forward = turn % 2 == 0
        for row in layers.rows if forward else reversed(layers.rows):
            near = _neighbours(layers, is_last=turn >= _RELAXATIONS - 2, forward=forward)
            wanted = [_wanted(place, near, middle) for place in row]
            middle.update(zip(row, _apart(row, wanted), strict=True))
    return middle


def _neighbours(
    layers: _Layers, *, is_last: bool, forward: bool
) -> tuple[Mapping[Place, Sequence[Place]], ...]:
    """Return which sides count: at the end both, so that boxes stand between their neighbours."""
    if is_last:
        return layers.before, layers.behind
    return (layers.before,) if forward else (layers.behind,)


def _wanted(
    place: Place,
    near: Iterable[Mapping[Place, Sequence[Place]]],
    middle: Mapping[Place, float],
) -> float:
    heights = [middle[other] for side in near for other in side.get(place, ())]
    return sum(heights) / len(heights) if heights else middle[place]


def _offsets(row: Sequence[Place]) -> list[float]:
    """Return how far each place stands from the first one if all stand as close as may be."""
    gaps = ((_height(one) + _height(other)) / 2 + ROW_GAP for one, other in pairwise(row))
    return list(accumulate(gaps, initial=0.0))[: len(row)]


def _apart(row: Sequence[Place], wanted: Sequence[float]) -> list[float]:
    """Return the heights nearest to the wanted ones that keep the order and the gaps.

    Isotonic regression by pooling adjacent violators (Barlow et al., 1972): what would overlap
    becomes one block that stands at the weighted mean of what its members want.
    """
    offsets = _offsets(row)
    blocks: list[tuple[float, float, int]] = []
    for place, height, offset in zip(row, wanted, offsets, strict=True):
        weight = 1.0 if isinstance(place, str) else _BEND_WEIGHT
        total, count = weight * (height - offset), 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / weight:
            before = blocks.pop()
            total, weight, count = total + before[0], weight + before[1], count + before[2]
        blocks.append((total, weight, count))
    levels = [total / weight for total, weight, count in blocks for _ in range(count)]
    return [level + offset for level, offset in zip(levels, offsets, strict=True)]


def _height(place: Place) -> float:
    return BOX_HEIGHT if isinstance(place, str) else _BEND_HEIGHT


def _line(
    boxes: Mapping[str, Point],
    parent: str,
    child: str,
    bends: Sequence[tuple[str, str, int]],
    middle: Mapping[Place, float],
    top: float,
) -> list[Point]:
    step = BOX_WIDTH + LAYER_GAP
    passed = [
        (bend[2] * step + side, middle[bend] - top) for bend in bends for side in (0.0, BOX_WIDTH)
    ]
    return [_exit(boxes[parent]), *passed, _entry(boxes[child])]


def _line_around(boxes: Mapping[str, Point], edge: Edge, below: float) -> list[Point]:
    start, end = _exit(boxes[edge[0]]), _entry(boxes[edge[1]])
    return [start, (start[0] + LAYER_GAP, below), (end[0] - LAYER_GAP, below), end]


def _exit(corner: Point) -> Point:
    return corner[0] + BOX_WIDTH, corner[1] + BOX_HEIGHT / 2


def _entry(corner: Point) -> Point:
    return corner[0], corner[1] + BOX_HEIGHT / 2


def _connected(graph: Graph) -> list[Graph]:
    """Return the parts that hang together, in the order of their first nodes."""
    part_of: dict[str, int] = {}
    parts: list[dict[str, Sequence[str]]] = []
    for node in graph.children:
        if node not in part_of:
            part_of |= dict.fromkeys(_around(graph, node), len(parts))
            parts.append({})
        parts[part_of[node]][node] = graph.children[node]
    return [Graph(children) for children in parts]


def _around(graph: Graph, node: str) -> set[str]:
    """Return what edges lead to from a node, whichever way they go."""
    seen, ahead = {node}, [node]
    while ahead:
        at = ahead.pop()
        fresh = {*graph.children[at], *graph.parents[at]} - seen
        seen |= fresh
        ahead += fresh
    return seen


def _together(parts: Sequence[Layout]) -> Layout:
    x = y = width = lowest = 0.0
    boxes: dict[str, Point] = {}
    lines: dict[Edge, list[Point]] = {}
    for part in parts:
        if x and x + part.width > _ROW_WIDTH:
            x, y = 0.0, lowest + 2 * ROW_GAP
        placed = _moved(part, x, y)
        boxes |= placed.boxes
        lines |= placed.lines
        width, lowest = max(width, x + part.width), max(lowest, y + part.height)
        x += part.width + LAYER_GAP
    return Layout(width, lowest, boxes, lines)


def _moved(layout: Layout, x: float, y: float) -> Layout:
    return Layout(
        layout.width,
        layout.height,
        {node: (left + x, top + y) for node, (left, top) in layout.boxes.items()},
        {edge: [(px + x, py + y) for px, py in line] for edge, line in layout.lines.items()},
    )
