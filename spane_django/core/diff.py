"""How two definitions differ, as data.

Nodes are compared by their ids and edges as a set, so that the order in which somebody listed
them tells nothing.  Everything else is compared to the letter: each `Change` names the place as
a JSON Pointer (RFC 6901) and holds what was there before and after.  Lists of the same length are
compared place by place, others as a whole.

A draft may be anything that is JSON: what has no readable id is named by its place, ``#2``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .json import Json

Edge = tuple[str, str]
"""The ids of the nodes that an edge leads from and to."""

_EDGES = ("inputs", "outputs")


class Kind(StrEnum):
    """What happened to a value."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs.  ``before`` and ``after`` are None where there was nothing."""

    path: str
    kind: Kind
    before: Json = None
    after: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """Everything that differs, each in the order of names; empty, it is false.

    Attributes:
        added: Whole nodes, by id.
        removed: Whole nodes, by id.
        changed: What differs in nodes that both have, edges left out.
        options: What differs beside the nodes.
    """

    added: Mapping[str, Json] = field(default_factory=dict)
    removed: Mapping[str, Json] = field(default_factory=dict)
    changed: Mapping[str, list[Change]] = field(default_factory=dict)
    edges_added: list[Edge] = field(default_factory=list)
    edges_removed: list[Edge] = field(default_factory=list)
    options: list[Change] = field(default_factory=list)

    def __bool__(self) -> bool:
        nodes = self.added or self.removed or self.changed
        return bool(nodes or self.edges_added or self.edges_removed or self.options)

    def as_json(self) -> dict[str, Json]:
        """Return it as it goes over the wire; a change has no ``before`` where nothing was."""
        return {
            "nodes": {
                "added": list(self.added.values()),
                "removed": list(self.removed.values()),
                "changed": [
                    {"id": key, "changes": [_shown(change) for change in changes]}
                    for key, changes in self.changed.items()
                ],
            },
            "edges": {
                "added": [{"from": one, "to": other} for one, other in self.edges_added],
                "removed": [{"from": one, "to": other} for one, other in self.edges_removed],
            },
            "options": [_shown(change) for change in self.options],
        }


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> Diff:
    """Return how ``after`` differs from ``before``."""
    old, new = nodes_in(before), nodes_in(after)
    old_edges, new_edges = edges_of(old), edges_of(new)
    changed = {key: list(changes(_inner(old[key]), _inner(new[key]))) for key in old if key in new}
    return Diff(
        added={key: new[key] for key in sorted(new.keys() - old.keys())},
        removed={key: old[key] for key in sorted(old.keys() - new.keys())},
        changed={key: changes for key, changes in sorted(changed.items()) if changes},
        edges_added=sorted(new_edges - old_edges),
        edges_removed=sorted(old_edges - new_edges),
        options=list(changes(_without(before, "nodes"), _without(after, "nodes"))),
    )


def changes(before: Json, after: Json, path: str = "") -> Iterator[Change]:
    """Yield the values in which two differ, each by its place: a JSON Pointer after ``path``."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from _of_key(before, after, key, path)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from changes(one, other, f"{path}/{place}")
    # In Python 1, 1.0 and True are the same; in a definition they are not.
    elif type(before) is not type(after) or before != after:
        yield Change(path, Kind.CHANGED, before, after)


def nodes_in(raw: Mapping[str, Any]) -> dict[str, Json]:
    """Return the nodes of a document by what a difference calls them."""
    listed = raw.get("nodes")
    nodes = listed if isinstance(listed, list) else []
    return {_id(node, place): node for place, node in enumerate(nodes)}


def edges_of(nodes: Mapping[str, Json]) -> set[Edge]:
    """Return the edges that either end of them names; the other end may be missing."""
    edges = {(key, other) for key, node in nodes.items() for other in _ends(node, "outputs")}
    return edges | {(other, key) for key, node in nodes.items() for other in _ends(node, "inputs")}


def _shown(change: Change) -> dict[str, Json]:
    shown: dict[str, Json] = {"path": change.path}
    if change.kind is not Kind.ADDED:
        shown["before"] = change.before
    if change.kind is not Kind.REMOVED:
        shown["after"] = change.after
    return shown


def _id(node: Json, place: int) -> str:
    given = node.get("id") if isinstance(node, dict) else None
    return given if isinstance(given, str) else f"#{place}"


def _ends(node: Json, side: str) -> list[str]:
    given = node.get(side) if isinstance(node, dict) else None
    return [end for end in given if isinstance(end, str)] if isinstance(given, list) else []


def _inner(node: Json) -> Json:
    return _without(node, *_EDGES) if isinstance(node, dict) else node


def _without(raw: Mapping[str, Any], *keys: str) -> dict[str, Json]:
    return {key: value for key, value in raw.items() if key not in keys}


def _of_key(
    before: dict[str, Json], after: dict[str, Json], key: str, path: str
) -> Iterator[Change]:
    here = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
    if key not in after:
        yield Change(here, Kind.REMOVED, before=before[key])
    elif key not in before:
        yield Change(here, Kind.ADDED, after=after[key])
    else:
        yield from changes(before[key], after[key], here)
