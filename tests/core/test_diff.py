"""How definitions differ: told completely, each place by its path, whatever the order."""

from __future__ import annotations

from copy import deepcopy
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from spane_django.core.diff import Change, Diff, Kind, diff

scalars = st.none() | st.booleans() | st.integers(0, 3) | st.floats(0, 3) | st.sampled_from("ab/~")
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xy/~"), inner, max_size=3)
    ),
    max_leaves=6,
)
names = st.sampled_from(["n1", "n2", "n3", "n4"])


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    ids = sorted(draw(st.sets(names)))
    edges = draw(st.sets(st.tuples(names, names)))
    nodes = [
        {
            "id": node,
            "config": draw(values),
            "inputs": sorted(one for one, other in edges if other == node and one in ids),
            "outputs": sorted(other for one, other in edges if one == node and other in ids),
        }
        for node in ids
    ]
    return {**draw(st.dictionaries(st.sampled_from(["name", "timeout"]), values)), "nodes": nodes}


def put(document: Any, change: Change) -> Any:
    """Return a document with a change made: the reader of paths, written apart."""
    if not change.path:
        return deepcopy(change.after)
    keys = [key.replace("~1", "/").replace("~0", "~") for key in change.path[1:].split("/")]
    place = document
    for key in keys[:-1]:
        place = place[int(key)] if isinstance(place, list) else place[key]
    last = int(keys[-1]) if isinstance(place, list) else keys[-1]
    if change.kind is Kind.REMOVED:
        del place[last]
    else:
        place[last] = deepcopy(change.after)
    return document


def apply(found: Diff, before: dict[str, Any]) -> dict[str, Any]:
    """Return what a difference makes of a definition, its nodes and edges sorted."""
    document = deepcopy(before)
    nodes = {node["id"]: node for node in document.pop("nodes")} | deepcopy(dict(found.added))
    edges = {(key, other) for key, node in nodes.items() for other in node["outputs"]}
    edges = (edges | set(found.edges_added)) - set(found.edges_removed)
    for key in found.removed:
        del nodes[key]
    for key, changes in found.changed.items():
        for change in changes:
            put(nodes[key], change)
    for key, node in nodes.items():
        node["inputs"] = sorted(one for one, other in edges if other == key)
        node["outputs"] = sorted(other for one, other in edges if one == key)
    for change in found.options:
        put(document, change)
    return {**document, "nodes": [nodes[key] for key in sorted(nodes)]}


@given(definitions(), definitions())
def test_a_difference_tells_everything(before: dict[str, Any], after: dict[str, Any]):
    made = apply(diff(before, after), before)

    assert repr(_sorted(made)) == repr(_sorted(after))


@given(definitions(), st.integers())
def test_equals_do_not_differ_in_whatever_order(raw: dict[str, Any], seed: int):
    other = deepcopy(raw)
    Random(seed).shuffle(other["nodes"])
    for node in other["nodes"]:
        Random(seed).shuffle(node["outputs"])

    assert not diff(raw, other)
    assert diff(raw, other) == Diff()


@given(definitions(), definitions())
def test_the_way_back_is_the_mirror(before: dict[str, Any], after: dict[str, Any]):
    there, back = diff(before, after), diff(after, before)

    assert (back.added, back.removed) == (there.removed, there.added)
    assert (back.edges_added, back.edges_removed) == (there.edges_removed, there.edges_added)
    assert [change.path for change in back.options] == [change.path for change in there.options]
    assert {key: len(changes) for key, changes in back.changed.items()} == {
        key: len(changes) for key, changes in there.changed.items()
    }


@given(values, values)
def test_a_draft_may_be_anything(nodes: Any, other: Any):
    assert not diff({"nodes": nodes}, {"nodes": deepcopy(nodes)})
    diff({"nodes": nodes}, {"nodes": other})


def test_changes_are_named_by_where_they_are():
    before = {"id": "a", "config": {"url": "x", "headers": [{"k": 1}], "a/b": 1}}
    after = {"id": "a", "config": {"headers": [{"k": 2}], "a/b": True, "new": None}}

    found = diff({"nodes": [before]}, {"nodes": [after]})

    assert found.changed["a"] == [
        Change("/config/a~1b", Kind.CHANGED, 1, True),
        Change("/config/headers/0/k", Kind.CHANGED, 1, 2),
        Change("/config/new", Kind.ADDED),
        Change("/config/url", Kind.REMOVED, "x"),
    ]


def test_over_the_wire_a_change_has_no_before_where_nothing_was():
    before = {"name": "w", "nodes": [{"id": "a", "x": None, "outputs": ["b"]}, {"id": "b"}]}
    after = {"key": None, "nodes": [{"id": "a", "x": 1}, {"id": "c", "inputs": ["a"]}]}

    assert diff(before, after).as_json() == {
        "nodes": {
            "added": [{"id": "c", "inputs": ["a"]}],
            "removed": [{"id": "b"}],
            "changed": [{"id": "a", "changes": [{"path": "/x", "before": None, "after": 1}]}],
        },
        "edges": {"added": [{"from": "a", "to": "c"}], "removed": [{"from": "a", "to": "b"}]},
        "options": [{"path": "/key", "after": None}, {"path": "/name", "before": "w"}],
    }


def _sorted(value: Any) -> Any:
    """Return a document with its keys in order, so that texts can be compared: 1 is not True."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
