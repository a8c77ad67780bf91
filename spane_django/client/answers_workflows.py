"""What the API answers about workflows and their versions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .answers import Definition, Fault, Json


def _wire(name: str) -> Any:
    """Declare a field whose name on the wire is no name in Python."""
    return field(metadata={"wire": name})


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A workflow, without its definition."""

    workflow_id: str
    name: str
    description: str
    is_enabled: bool
    version: int | None
    tenant: str | None
    created_at: datetime
    published_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeType:
    """A type that nodes may have; `config` is the JSON Schema of theirs."""

    type: str
    description: str
    config: Json
    queue: str | None
    timeout_ms: float | None
    is_pure: bool
    is_transactional: bool
    is_built_in: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTypes:
    """The types that nodes may have."""

    results: list[NodeType]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A version that is current."""

    workflow_id: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What has been imported, or would be."""

    dry_run: bool
    results: list[Registered]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What is wrong with a definition, and what should be looked at."""

    valid: bool
    details: list[Fault]
    warnings: list[Fault]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version without its definition."""

    workflow_id: str
    version: int
    status: str
    is_current: bool
    created_at: datetime
    published_at: datetime | None
    published_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeVersion(Version):
    """A version with its definition."""

    definition: Definition


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedDraft:
    """A draft and what is wrong with it."""

    workflow_id: str
    version: int
    valid: bool
    details: list[Fault]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft(SavedDraft):
    """A draft with its definition."""

    definition: Definition


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An edge between two nodes."""

    source: str = _wire("from")
    target: str = _wire("to")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What has changed, at a JSON Pointer."""

    path: str
    before: Json = None
    after: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedNode:
    """What has changed of a node."""

    id: str
    changes: list[Change]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesDiff:
    """What has become of the nodes."""

    added: list[str]
    removed: list[str]
    changed: list[ChangedNode]


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgesDiff:
    """What has become of the edges."""

    added: list[Edge]
    removed: list[Edge]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """How one version differs from another."""

    before: int = _wire("from")
    after: int = _wire("to")
    nodes: NodesDiff
    edges: EdgesDiff
    options: list[Change]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What a move to another version does to an execution, or has done."""

    execution_id: str
    details: list[Fault]
    from_version: int | None = None
    possible: bool | None = None
    starts: list[str] = field(default_factory=list)
    drops: list[str] = field(default_factory=list)
    moved: bool | None = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """Moves to another version; `next` is the last of them if there are more."""

    to_version: int
    applied: bool
    next: str | None
    executions: list[Move]
