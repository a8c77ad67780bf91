"""What can be seen of an execution at one moment: its rows and what its bodies lived through."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from spane_django.core.json import Json
from spane_django.engine.claim import Claim
from spane_django.engine.inputs import inputs_of
from spane_django.engine.versions import prepared
from spane_django.models import Execution, NodeRun
from tests.scenarios.behaviours import Record, stage

PLAYED = ("task", "limited-task")
NOT_RUN = ("pending", "ready", "cancelled")


@dataclass(frozen=True, kw_only=True)
class NodeView:
    """One node.  Without a row its status is "not_run"."""

    run: NodeRun | None
    records: list[Record]
    parents: tuple[str, ...]

    @property
    def status(self) -> str:
        return self.run.status if self.run else "not_run"

    @property
    def runs(self) -> int:
        """How often its body ran; of node types that leave no records, the attempts."""
        if self.run is None or self.run.node_type in PLAYED:
            return len(self.records)
        return self.run.attempt if self.run.started_at else 0

    @property
    def error(self) -> str:
        return self.run.error_message if self.run else ""

    @property
    def output(self) -> Json:
        return self.run.output if self.run else None

    @property
    def input(self) -> Json:
        """What its last run received."""
        if self.records:
            return self.records[-1].input
        return _received(self.run) if self.run else None


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One execution."""

    row: Execution
    nodes: dict[str, NodeView]

    def records(self) -> list[Record]:
        return [record for node in self.nodes.values() for record in node.records]


def take(execution_id: UUID) -> Snapshot:
    """Look at an execution now."""
    row = Execution.objects.select_related("workflow").get(pk=execution_id)
    runs = {run.node_id: run for run in row.node_runs.all()}
    graph = prepared(row.version_id).graph
    return Snapshot(
        row=row,
        nodes={
            node: NodeView(
                run=runs.get(node),
                records=stage.runs_of(node, execution_id),
                parents=graph.parents[node],
            )
            for node in graph.children
        },
    )


def _received(run: NodeRun) -> Json:
    claim = Claim(
        id=run.pk,
        execution_id=run.execution_id,
        version_id=run.execution.version_id,
        node_id=run.node_id,
        token=run.execution_id,
    )
    return inputs_of([claim])[claim.key]
