"""Pictures have every node once, in the layer behind all that lead to it, and every edge."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spane_django.core.definition import Definition
from spane_django.core.picture import picture


def definition(children: dict[str, list[str]], **more: dict[str, list[str]]) -> Definition:
    nodes = [
        {
            "id": node,
            "type": "set",
            "outputs": outputs,
            **{key: of[node] for key, of in more.items() if node in of},
        }
        for node, outputs in children.items()
    ]
    return Definition({"id": "w", "name": "W", "nodes": nodes})


def test_a_node_lies_behind_its_longest_path() -> None:
    found = picture(definition({"a": ["b", "d"], "b": ["c"], "c": ["d"], "d": []}))

    assert found["layers"] == [["a"], ["b"], ["c"], ["d"]]
    assert {node["id"]: node["layer"] for node in found["nodes"]} == {
        "a": 0,
        "b": 1,
        "c": 2,
        "d": 3,
    }


def test_edges_that_are_taken_on_errors_say_so() -> None:
    found = picture(definition({"a": ["b", "c"], "b": [], "c": []}, errorOutputs={"a": ["c"]}))

    edges = {(edge["from"], edge["to"]): edge["onError"] for edge in found["edges"]}
    assert edges == {("a", "b"): False, ("a", "c"): True}


@given(st.lists(st.lists(st.integers(0, 30), max_size=3), min_size=1, max_size=15))
def test_every_node_and_edge_is_there_and_boxes_never_overlap(shape: list[list[int]]) -> None:
    size = len(shape)
    children = {
        f"n{place}": sorted({f"n{to}" for to in targets if place < to < size})
        for place, targets in enumerate(shape)
    }

    found = picture(definition(children))

    boxes = found["nodes"]
    assert [box["id"] for box in boxes] == list(children)
    edges = {(edge["from"], edge["to"]) for edge in found["edges"]}
    assert edges == {(node, child) for node, targets in children.items() for child in targets}
    assert sorted(node for layer in found["layers"] for node in layer) == sorted(children)
    for place, box in enumerate(boxes):
        assert 0 <= box["x"] <= found["width"] - box["width"]
        for other in boxes[:place]:
            apart_x = abs(box["x"] - other["x"]) >= box["width"]
            assert apart_x or abs(box["y"] - other["y"]) >= box["height"]
