"""Reading what node runs receive: one query for all parents, one for all initial data.

A parent's data travel as JSON text until the node that receives them decodes its own copy, so
that no node can change what another one sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from ..core.inputs import node_input
from ..core.json import Json, decode
from ..core.statuses import NodeStatus
from .claim import Claim
from .rows import Key, ParentRow
from .sql import statements
from .versions import prepared


@dataclass(slots=True)
class Received:
    """What one node run receives, still as text.

    Attributes:
        initial_data: The execution's input; None unless the node has no parents.
        parents: The parents that have ended, by id.
    """

    initial_data: str | None
    parents: dict[str, ParentRow]

    def decode(self, claim: Claim) -> Json:
        """Return the node's input, a copy of its own."""
        graph = prepared(claim.version_id).graph
        initial = None if self.initial_data is None else decode(self.initial_data)
        runs = {node_id: _Parent(row) for node_id, row in self.parents.items()}
        return node_input(graph, claim.node_id, initial, runs)


class _Parent:
    """A parent's row, decoded when looked at."""

    def __init__(self, row: ParentRow) -> None:
        self._row = row
        self.status = row.status
        self.error = row.error_message
        self.next_nodes: list[str] | None = decode(row.next_nodes or "null")

    @property
    def data(self) -> Json:
        return None if self._row.output is None else decode(self._row.output)


def receive(
    claims: Sequence[Claim], known: Mapping[Key, ParentRow] | None = None
) -> list[Received]:
    """Return what each claimed node run receives.

    Args:
        known: Parents that need not be read because the caller has just settled them.
    """
    known = known or {}
    wanted: set[Key] = set()
    roots: set[UUID] = set()
    for claim in claims:
        parents = prepared(claim.version_id).graph.parents[claim.node_id]
        wanted |= {(claim.execution_id, parent) for parent in parents}
        if not parents:
            roots.add(claim.execution_id)
    unknown = wanted - known.keys()
    rows = _by_key(statements().parents(unknown)) if unknown else {}
    initial = statements().inputs(roots) if roots else {}
    return [_received(claim, {**rows, **known} if rows else known, initial) for claim in claims]


def inputs_of(claims: Sequence[Claim]) -> dict[Key, Json]:
    """Return the inputs of claimed node runs, decoded."""
    return {
        claim.key: received.decode(claim)
        for claim, received in zip(claims, receive(claims), strict=True)
    }


def parent_row(claim: Claim, output: str, next_nodes: str | None) -> ParentRow:
    """Return what a node run that has just completed hands on."""
    return ParentRow(
        execution_id=claim.execution_id,
        node_id=claim.node_id,
        status=NodeStatus.COMPLETED,
        output=output,
        next_nodes=next_nodes,
        error_message="",
    )


def _by_key(rows: Iterable[ParentRow]) -> dict[Key, ParentRow]:
    return {(row.execution_id, row.node_id): row for row in rows}


def _received(claim: Claim, rows: Mapping[Key, ParentRow], initial: Mapping[UUID, str]) -> Received:
    parents = prepared(claim.version_id).graph.parents[claim.node_id]
    return Received(
        initial_data=None if parents else initial.get(claim.execution_id),
        parents={
            parent: rows[claim.execution_id, parent]
            for parent in parents
            if (claim.execution_id, parent) in rows
        },
    )
