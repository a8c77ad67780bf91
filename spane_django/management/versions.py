"""Versions, differences and moves, as JSON in the words of the wire and for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from ..core.diff import Change, Diff, Kind
from ..core.json import Json
from ..engine.moves import Move
from ..models import Workflow, WorkflowVersion
from .base import add_row, coloured, table
from .showing import ago, excerpt

_ADDED, _REMOVED, _CHANGED = "green", "red", "yellow"
_MARKS = {Kind.ADDED: ("+", _ADDED), Kind.REMOVED: ("-", _REMOVED), Kind.CHANGED: ("~", _CHANGED)}


def version_json(version: WorkflowVersion, workflow: Workflow) -> dict[str, Any]:
    """Return a version without its definition."""
    by = version.published_by
    return {
        "workflowId": workflow.key,
        "version": version.number,
        "status": version.status,
        "isCurrent": version.pk == workflow.current_version_id,
        "createdAt": version.created_at,
        "publishedAt": version.published_at,
        "publishedBy": by.get_username() if by else None,
    }


def versions_table(
    versions: Iterable[WorkflowVersion], workflow: Workflow, *, now: datetime
) -> Table:
    made = table("version", "status", "written", "published", "by", "")
    for version in versions:
        is_current = version.pk == workflow.current_version_id
        add_row(
            made, f"v{version.number}", coloured(version.status), ago(version.created_at, now=now),
            ago(version.published_at, now=now), version.published_by,
            Text("current", style=_ADDED) if is_current else "",
        )  # fmt: skip
    return made


def diff_lines(found: Diff) -> Iterator[Text]:
    """Yield a difference line by line: ``+`` is new, ``-`` is gone, ``~`` has changed."""
    for change in found.options:
        yield _line(change)
    for key in found.removed:
        yield Text(f"- node {key}", style=_REMOVED)
    for key, node in found.added.items():
        yield Text(f"+ node {key}{_type_of(node)}", style=_ADDED)
    for key, changes in found.changed.items():
        yield Text(f"~ node {key}", style=_CHANGED)
        for change in changes:
            yield Text("    ") + _line(change)
    for edges, mark, style in (
        (found.edges_removed, "-", _REMOVED),
        (found.edges_added, "+", _ADDED),
    ):
        for one, other in edges:
            yield Text(f"{mark} edge {one} → {other}", style=style)


def move_json(move: Move) -> dict[str, Any]:
    """Return what a move would do."""
    return {
        "executionId": move.execution_id,
        "fromVersion": move.from_number,
        "toVersion": move.to_number,
        "possible": move.is_possible,
        "details": [
            {"path": fault.path, "code": fault.code, "message": fault.message}
            for fault in move.faults
        ],
        "starts": move.starts,
        "drops": move.drops,
    }


def moves_table(moves: Iterable[Move]) -> Table:
    made = table("execution", "from", "", "what would happen")
    for move in moves:
        can = Text("can move", style=_ADDED) if move.is_possible else Text("stays", style=_REMOVED)
        add_row(made, move.execution_id, f"v{move.from_number}", can, excerpt(_told(move)))
    return made


def _told(move: Move) -> str:
    if move.faults:
        return "; ".join(map(str, move.faults))
    parts = []
    if move.starts:
        parts.append(f"starts {', '.join(move.starts)}")
    if move.drops:
        parts.append(f"drops {', '.join(move.drops)}")
    return "; ".join(parts) or "goes on"


def _line(change: Change) -> Text:
    mark, style = _MARKS[change.kind]
    said = {
        Kind.ADDED: _text(change.after),
        Kind.REMOVED: _text(change.before),
        Kind.CHANGED: f"{_text(change.before)} → {_text(change.after)}",
    }
    return Text(f"{mark} {change.path or '/'}: {said[change.kind]}", style=style)


def _text(value: Json) -> str:
    return excerpt(json.dumps(value, ensure_ascii=False))


def _type_of(node: Json) -> str:
    return f" ({node['type']})" if isinstance(node, dict) and "type" in node else ""
