"""Order, cycles and reachability of graphs."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from spane_django.core.graph import Graph

IDS = [f"n{index}" for index in range(7)]
any_graphs = st.fixed_dictionaries(
    {node: st.lists(st.sampled_from(IDS), unique=True, max_size=4) for node in IDS}
).map(Graph)


def walks(graph: Graph, start: str) -> set[str]:
    """Return what can be walked to from ``start``, by trying."""
    seen: set[str] = set()
    ahead = list(graph.children[start])
    while ahead:
        node = ahead.pop()
        if node not in seen:
            seen.add(node)
            ahead += graph.children[node]
    return seen


def test_parents_mirror_children_in_the_order_of_the_nodes():
    graph = Graph({"a": ["c"], "b": ["c", "d"], "c": ["d"], "d": []})

    assert graph.parents == {"a": (), "b": (), "c": ("a", "b"), "d": ("b", "c")}
    assert (graph.roots, graph.leaves) == (("a", "b"), ("d",))


@given(any_graphs)
def test_in_order_each_node_comes_after_its_parents(graph: Graph):
    order = graph.order()

    for place, node in enumerate(order):
        assert set(graph.parents[node]) <= set(order[:place])


@given(any_graphs)
def test_only_what_lies_on_or_behind_a_cycle_is_missing_from_the_order(graph: Graph):
    on_cycles = {node for node in IDS if node in walks(graph, node)}
    behind = set().union(*(walks(graph, node) for node in on_cycles))

    assert set(graph.order()) == set(IDS) - on_cycles - behind
    assert len(graph.order()) == len(set(graph.order()))


@given(any_graphs)
def test_a_cycle_that_is_named_is_one_and_is_named_if_there_is_one(graph: Graph):
    cycle = graph.cycle()

    assert (cycle is None) == (len(graph.order()) == len(IDS))
    if cycle:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        assert all(after in graph.children[before] for before, after in pairwise(cycle))


def test_a_node_that_is_its_own_child_is_a_cycle():
    assert Graph({"a": ["a"]}).cycle() == ["a", "a"]


@given(any_graphs, st.sampled_from(IDS))
def test_descendants_are_what_can_be_walked_to(graph: Graph, node: str):
    assert graph.descendants(node) == walks(graph, node) - {node}
    assert graph.reachable([node]) == walks(graph, node) | {node}


def test_exclusive_ancestors_lead_to_a_node_and_nowhere_else():
    graph = Graph(
        {"r": ["a", "b", "x"], "a": ["c"], "b": ["c", "x"], "c": ["j"], "x": ["j"], "j": ["k"],
         "k": []}
    )  # fmt: skip

    assert graph.exclusive_ancestors("j") == {"r", "a", "b", "c", "x"}
    assert graph.exclusive_ancestors("c") == {"a"}
    assert graph.exclusive_ancestors("r") == set()


@given(any_graphs, st.sampled_from(IDS))
def test_exclusive_ancestors_are_all_that_have_no_child_elsewhere(graph: Graph, node: str):
    ahead = {key: [child for child in graph.children[key] if child > key] for key in IDS}

    found = Graph(ahead).exclusive_ancestors(node)

    for key in set(IDS) - {node}:
        leads_home = bool(ahead[key]) and set(ahead[key]) <= found | {node}
        assert (key in found) == leads_home
