"""Pictures of workflows: where the boxes and the lines go."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from spane_django.core.fold import MOST_ALIKE, fold
from spane_django.core.graph import Graph
from spane_django.core.layout import BOX_HEIGHT, BOX_WIDTH, ROW_GAP, Layout, lay_out

SIZE = 9


@st.composite
def acyclic_graphs(draw: st.DrawFn) -> Graph:
    """Edges lead to later nodes only, and the nodes are told in any order."""
    ids = [f"n{index}" for index in range(draw(st.integers(0, SIZE)))]
    children = {
        node: [other for other in ids[index + 1 :] if draw(st.integers(0, 3)) == 0]
        for index, node in enumerate(ids)
    }
    return Graph({node: children[node] for node in draw(st.permutations(ids))})


def chain(length: int) -> dict[str, list[str]]:
    ids = [f"n{index}" for index in range(length)]
    return {node: ids[index + 1 : index + 2] for index, node in enumerate(ids)}


@given(acyclic_graphs())
def test_every_node_has_a_box_and_no_two_boxes_overlap(graph: Graph):
    layout = lay_out(graph)

    assert layout.boxes.keys() == graph.children.keys()
    for (left, top), (other_left, other_top) in combinations(layout.boxes.values(), 2):
        beside = abs(left - other_left) >= BOX_WIDTH
        apart = abs(top - other_top) >= BOX_HEIGHT + ROW_GAP - 0.001
        assert beside or apart


@given(acyclic_graphs())
def test_every_edge_has_a_line_that_leads_from_box_to_box_and_to_the_right(graph: Graph):
    layout = lay_out(graph)

    edges = {(parent, child) for parent, targets in graph.children.items() for child in targets}
    assert layout.lines.keys() == edges
    for (parent, child), line in layout.lines.items():
        assert line[0][0] == layout.boxes[parent][0] + BOX_WIDTH
        assert line[-1][0] == layout.boxes[child][0]
        assert all(one[0] <= other[0] for one, other in pairwise(line))


@given(acyclic_graphs())
def test_everything_lies_within_the_picture(graph: Graph):
    layout = lay_out(graph)

    points = [*layout.boxes.values(), *(point for line in layout.lines.values() for point in line)]
    assert all(0 <= x <= layout.width and -0.001 <= y <= layout.height + 0.001 for x, y in points)
    assert all(x + BOX_WIDTH <= layout.width for x, _ in layout.boxes.values())


@given(acyclic_graphs())
def test_the_same_graph_gives_the_same_picture(graph: Graph):
    assert lay_out(graph) == lay_out(Graph(graph.children))


def test_a_chain_is_a_straight_line():
    layout = lay_out(Graph(chain(6)))

    assert len({top for _, top in layout.boxes.values()}) == 1


def test_a_parent_stands_in_the_middle_of_its_children():
    layout = lay_out(Graph({"a": ["b", "c", "d"], "b": [], "c": [], "d": []}))

    assert layout.boxes["a"][1] == layout.boxes["c"][1]


def test_two_branches_that_need_not_cross_do_not():
    graph = Graph({"a": ["c"], "b": ["d"], "d": ["z"], "c": ["y"], "y": [], "z": []})

    layout = lay_out(graph)

    assert crossings(layout) == 0


def test_a_root_stands_right_before_what_it_leads_to():
    graph = Graph({"a": ["b"], "b": ["c"], "late": ["c"], "c": []})

    layout = lay_out(graph)

    assert layout.boxes["late"][0] == layout.boxes["b"][0]


def test_a_shortcut_over_a_very_long_chain_runs_around_it():
    children = chain(60)
    children["n0"].append("n59")

    layout = lay_out(Graph(children))

    lowest = max(top for _, top in layout.boxes.values()) + BOX_HEIGHT
    assert max(y for _, y in layout.lines["n0", "n59"]) > lowest


def test_nodes_without_edges_stand_in_rows_instead_of_one_long_column():
    layout = lay_out(Graph({f"n{index}": [] for index in range(40)}))

    assert len({left for left, _ in layout.boxes.values()}) > 5
    assert len({top for _, top in layout.boxes.values()}) > 2


def test_without_nodes_there_is_nothing_to_draw():
    assert lay_out(Graph({})) == Layout()


def test_a_wide_fan_is_folded_into_one_box():
    branches = [f"m{index}" for index in range(MOST_ALIKE + 1)]
    graph = Graph({"a": branches, **{node: ["z"] for node in branches}, "z": []})

    folded = fold(graph, {})

    assert folded.graph.children == {"a": ("m0",), "m0": ("z",), "z": ()}
    assert folded.members == {"m0": tuple(branches)}


def test_few_branches_and_branches_of_other_types_are_drawn_one_by_one():
    branches = [f"m{index}" for index in range(MOST_ALIKE + 1)]
    graph = Graph({"a": branches, **{node: ["z"] for node in branches}, "z": []})

    folded = fold(graph, {"m0": "http"})

    assert folded.graph is graph
    assert folded.members == {}


@given(acyclic_graphs(), st.integers(1, 3))
def test_folding_loses_no_node_and_no_edge(graph: Graph, most: int):
    folded = fold(graph, {}, most=most)

    behind = {node: folded.members.get(node, (node,)) for node in folded.graph.children}
    assert sorted(node for nodes in behind.values() for node in nodes) == sorted(graph.children)
    unfolded = {
        (parent, child)
        for group, targets in folded.graph.children.items()
        for target in targets
        for parent in behind[group]
        for child in behind[target]
    }
    assert unfolded == {(node, child) for node, found in graph.children.items() for child in found}


def crossings(layout: Layout) -> int:
    """Count the pairs of straight lines between the same two columns that cross."""
    ends = [(line[0], line[-1]) for line in layout.lines.values()]
    return sum(
        (one[0][1] - other[0][1]) * (one[1][1] - other[1][1]) < 0
        for one, other in combinations(ends, 2)
        if one[0][0] == other[0][0] and one[1][0] == other[1][0]
    )
