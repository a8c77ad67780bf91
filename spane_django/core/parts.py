"""What runs on its own inside a definition: the parts of a version.

A part is a small definition made of a *body*: what a map or a loop repeats, what undoes a node,
what happens at the end.  Each is published beside the version that it belongs to, so that its
executions are pinned, seen, retried and replayed like any other.

* ``node:<id>``: the body that the node repeats.
* ``undo:<id>``: what undoes the node.
* ``end``: undo what has been done, if anything is to be undone; then what runs finally.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from .definition import Definition

END = "end"
COMPENSATE = "compensate"
FINALLY = "finally"

Raw = Mapping[str, Any]
Part = tuple[str, str, dict[str, Any]]
"""The part's name, the path of its body in the whole, and its own definition."""

# What a part takes over from the whole.
_INHERITED = ("queue", "priority", "saveData")


def body_part(node_id: str) -> str:
    """Return the name of the part that a node repeats."""
    return f"node:{node_id}"


def undo_part(node_id: str) -> str:
    """Return the name of the part that undoes a node."""
    return f"undo:{node_id}"


def parts_of(definition: Definition, bodies: Mapping[str, Raw]) -> Iterator[Part]:
    """Yield the parts of a definition.

    Args:
        bodies: What nodes repeat, by node id: their types know where it stands.
    """
    raw = definition.raw
    for index, node in enumerate(raw["nodes"]):
        key, name = node["id"], f"{raw['name']} · {node['id']}"[:200]
        if key in bodies:
            body = {**bodies[key], "id": key}
            yield body_part(key), f"nodes[{index}].config.node", _single(raw, name, body)
        if "undo" in node:
            body = {**node["undo"], "id": key}
            yield undo_part(key), f"nodes[{index}].undo", _single(raw, f"Undo {name}"[:200], body)
    if definition.has_ending:
        yield END, "finally", _ending(raw, definition.has_undo)


def _single(raw: Raw, name: str, body: Raw) -> dict[str, Any]:
    return _part(raw, name, [{**body, "inputs": [], "outputs": []}])


def _ending(raw: Raw, has_undo: bool) -> dict[str, Any]:
    nodes: list[dict[str, Any]] = []
    if has_undo:
        nodes.append({"id": COMPENSATE, "type": COMPENSATE, "inputs": [], "outputs": []})
    if "finally" in raw:
        nodes.append({"join": "all_done", **raw["finally"], "id": FINALLY, "inputs": []})
    for parent, child in pairwise(nodes):
        parent["outputs"], child["inputs"] = [child["id"]], [parent["id"]]
    nodes[-1]["outputs"] = []
    return _part(raw, f"{raw['name']} · end"[:200], nodes)


def _part(raw: Raw, name: str, nodes: list[dict[str, Any]]) -> dict[str, Any]:
    inherited = {key: raw[key] for key in _INHERITED if key in raw}
    return {
        "id": raw["id"], "name": name, "entryNodeId": nodes[0]["id"], "nodes": nodes, **inherited,
    }  # fmt: skip
