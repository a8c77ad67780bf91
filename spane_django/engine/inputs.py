"""Reading what node runs receive: one query for all parents, one for all initial data.

A parent's data travel as JSON text until the node that receives them decodes its own copy, so
that no node can change what another one sees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from ..core.inputs import node_input
from ..core.json import Json, decode, encode
from ..core.statuses import NodeStatus
from ..models import NodeRun
from . import tracing
from .claim import Claim
from .db import steadily
from .payloads import composed, load_text
from .rows import Key, ParentRow
from .sql import statements
from .versions import prepared

ReadText = Callable[[str], Json]


@dataclass(slots=True)
class Received:
    """What one node run receives, still as text.

    Attributes:
        initial_data: The execution's input; None unless the node has no parents.
        parents: The parents that have ended, by id.
        given: What an operator gave it instead; None: nothing.
        traceparent: The trace of its execution; None where nothing is traced.
    """

    initial_data: str | None
    parents: dict[str, ParentRow]
    given: str | None = None
    traceparent: str | None = None

    def decode(self, claim: Claim) -> Json:
        """Return the node's input, a copy of its own, large payloads loaded."""
        return self._read(claim, load_text)

    def stored(self, claim: Claim) -> Json:
        """Return the node's input as a column holds it: large payloads stay where they are."""
        data = self._read(claim, decode)
        several = len(prepared(claim.version_id).graph.parents[claim.node_id]) > 1
        return composed(data) if several and self.given is None else data

    def _read(self, claim: Claim, read_text: ReadText) -> Json:
        if self.given is not None:
            return read_text(self.given)
        graph = prepared(claim.version_id).graph
        initial = None if self.initial_data is None else read_text(self.initial_data)
        runs = {node_id: _Parent(row, read_text) for node_id, row in self.parents.items()}
        return node_input(graph, claim.node_id, initial, runs)


class _Parent:
    """A parent's row, decoded when looked at."""

    def __init__(self, row: ParentRow, read_text: ReadText) -> None:
        self._row = row
        self._read_text = read_text
        self.status = row.status
        self.error = row.error_message
        self.next_nodes: list[str] | None = decode(row.next_nodes) if row.next_nodes else None

    @property
    def data(self) -> Json:
        return None if self._row.output is None else self._read_text(self._row.output)


def receive(
    claims: Sequence[Claim], known: Mapping[Key, ParentRow] | None = None
) -> list[Received]:
    """Return what each claimed node run receives.

    Args:
        known: Parents that need not be read because the caller has just settled them.
    """
    return steadily(lambda: _receive(claims, known or {}))


def _receive(claims: Sequence[Claim], known: Mapping[Key, ParentRow]) -> list[Received]:
    received = [Received(initial_data=None, parents={}) for _ in claims]
    unknown: list[tuple[Key, Received]] = []
    roots: list[tuple[UUID, Received]] = []
    for claim, one in zip(claims, received, strict=True):
        parents = prepared(claim.version_id).graph.parents[claim.node_id]
        for parent in parents:
            key = (claim.execution_id, parent)
            if (row := known.get(key)) is not None:
                one.parents[parent] = row
            else:
                unknown.append((key, one))
        if not parents:
            roots.append((claim.execution_id, one))
    _read_parents(unknown)
    _read_initial_data(roots)
    _give(claims, received)
    tracing.give(claims, received)
    return received


def inputs_of(claims: Sequence[Claim]) -> dict[Key, Json]:
    """Return the inputs of claimed node runs as columns hold them: not loaded."""
    return {
        claim.key: received.stored(claim)
        for claim, received in zip(claims, receive(claims), strict=True)
    }


def input_of(run: NodeRun) -> Json:
    """Return what a node run received, or would receive now, as columns hold it: not loaded.

    Args:
        run: With its execution.
    """
    claim = Claim(
        id=run.pk,
        execution_id=run.execution_id,
        version_id=run.execution.version_id,
        node_id=run.node_id,
        token=_NO_TOKEN,
        attempt=run.attempt,
    )
    return inputs_of([claim])[claim.key]


# Of a claim that nobody holds: it is read with, never written.
_NO_TOKEN = UUID(int=0)


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


def _give(claims: Sequence[Claim], received: Sequence[Received]) -> None:
    """Note what operators gave; only what runs again can have been given anything."""
    again = {
        claim.id: one for claim, one in zip(claims, received, strict=True) if claim.attempt > 1
    }
    if again:
        runs = NodeRun.objects.filter(id__in=again, given_input__isnull=False)
        for run in runs.only("given_input"):
            again[run.pk].given = encode((run.given_input or {})["value"])


def _read_parents(unknown: Sequence[tuple[Key, Received]]) -> None:
    if not unknown:
        return
    found = statements().parents({key for key, _ in unknown})
    rows = {(row.execution_id, row.node_id): row for row in found}
    for key, one in unknown:
        if key in rows:
            one.parents[key[1]] = rows[key]


def _read_initial_data(roots: Sequence[tuple[UUID, Received]]) -> None:
    if not roots:
        return
    inputs = statements().inputs({key for key, _ in roots})
    for key, one in roots:
        one.initial_data = inputs.get(key)
