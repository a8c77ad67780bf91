"""The parts of versions: checked with the whole, and published beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..conf import settings
from ..core.definition import Definition, Limits, read
from ..core.expressions import has_templates
from ..core.ids import serial
from ..core.parts import parts_of
from ..core.schema import Fault
from ..models import WorkflowVersion
from ..nodes.base import registry
from ..nodes.checks import node_faults
from .naming import named


def bodies_of(definition: Definition) -> dict[str, Mapping[str, Any]]:
    """Return what nodes repeat, by node id, as far as this process knows their types."""
    bodies = {}
    for node in definition.nodes.values():
        body = registry.get(node.type).body(node.config) if node.type in registry else None
        if isinstance(body, Mapping):
            bodies[node.id] = body
    return bodies


def part_faults(definition: Definition) -> Iterator[Fault]:
    """Yield the faults of the parts, with their paths in the whole."""
    limits = Limits(nodes=settings.MAX_NODES, size_bytes=settings.MAX_DEFINITION_BYTES)
    for name, path, raw in parts_of(definition, bodies_of(definition)):
        part, faults = read(raw, limits=limits)
        if part is not None:
            faults += node_faults(part)
        place = len(raw["nodes"]) - 1
        yield from (_moved(fault, f"nodes[{place}]", path) for fault in faults)
        if part is not None and any(_repeats(node) for node in part.nodes.values()):
            message = "a node that repeats another cannot itself be a body: use a sub-workflow"
            yield Fault(path, "nested_body", f"{message} ({name})")


def recursion_faults(definition: Definition, *, among: str | None) -> Iterator[Fault]:
    """Yield a fault for each node through which a workflow would start itself again.

    Args:
        among: Also by way of other workflows, as they are published now for this tenant; None:
            of none.
    """
    for index, node in enumerate(definition.raw["nodes"]):
        for started in _starts(node):
            if started == definition.id:
                trail = [started]
            else:
                trail = _way_back(started, definition.id, among) if among is not None else []
            if trail:
                way = " → ".join([definition.id, *trail])
                message = f"the workflow would start itself for ever: {way}"
                yield Fault(f"nodes[{index}].config", "recursion", message)


def write_parts(version: WorkflowVersion) -> None:
    """Insert the parts of a version that is being published, in the caller's transaction."""
    definition = Definition(version.definition)
    WorkflowVersion.objects.bulk_create(
        WorkflowVersion(
            id=serial(),
            workflow_id=version.workflow_id,
            number=version.number,
            part=name,
            status=version.status,
            definition=raw,
            content_hash=version.content_hash,
            published_at=version.published_at,
            published_by_id=version.published_by_id,
        )
        for name, _, raw in parts_of(definition, bodies_of(definition))
    )


def _moved(fault: Fault, of_part: str, of_whole: str) -> Fault:
    return replace(fault, path=fault.path.replace(of_part, of_whole, 1) or of_whole)


def _repeats(node: Any) -> bool:
    return node.type in registry and registry.get(node.type).body(node.config) is not None


def _starts(node: Mapping[str, Any]) -> list[str]:
    """Return the workflows that a node, as JSON, names to be started."""
    config = node.get("config") or {}
    if str(node.get("type")) not in registry:
        return []
    known = registry.get(node["type"])
    found = [key for key in known.starts(config) if isinstance(key, str) and not has_templates(key)]
    body = known.body(config)
    return found + (_starts(body) if isinstance(body, Mapping) else [])


def _way_back(start: str, goal: str, tenant: str) -> list[str]:
    """Return the workflows from ``start`` to ``goal``, as published now; [] if none leads there."""
    trails, seen = [[start]], {start}
    while trails:
        trail = trails.pop()
        if trail[-1] == goal:
            return trail
        found = named(trail[-1], tenant).select_related("current_version").first()
        if found is None or found.current_version is None:
            continue
        for node in found.current_version.definition["nodes"]:
            fresh = [key for key in _starts(node) if key not in seen]
            seen.update(fresh)
            trails += [[*trail, key] for key in fresh]
    return []
