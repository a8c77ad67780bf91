"""A worker that lives in the test: it claims, runs and settles when told, on the test's clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from spane_django.core.json import Json
from spane_django.core.outcome import Outcome, Result
from spane_django.engine.claim import Claim, Want, claim
from spane_django.engine.finished import Finished
from spane_django.engine.inputs import receive
from spane_django.engine.publish import publish
from spane_django.engine.run import Work, run
from spane_django.engine.settle import Settlement, settle
from spane_django.engine.start import StartOptions, start
from spane_django.engine.versions import prepared
from spane_django.engine.workers import beat, enlist
from spane_django.models import Execution, NodeRun, WorkflowVersion

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)

Edges = Mapping[str, Sequence[str]]


def after(seconds: float) -> datetime:
    """Return an instant so many seconds after the one at which every test begins."""
    return NOON + timedelta(seconds=seconds)


def definition(
    edges: Edges,
    *,
    types: Mapping[str, str] | None = None,
    nodes: Mapping[str, Mapping[str, Any]] | None = None,
    **workflow: Any,
) -> dict[str, Any]:
    """Return the JSON of a workflow.

    Args:
        edges: Each node with its children; nodes without children may be left out.
        types: Of nodes that are not ``call``.
        nodes: What else the definition says of a node, such as its ``config``.
    """
    children = {node: list(targets) for node, targets in edges.items()}
    for targets in edges.values():
        children |= {target: [] for target in targets if target not in children}
    parents = {node: [other for other in children if node in children[other]] for node in children}
    listed = [
        {
            "id": node,
            "type": (types or {}).get(node, "call"),
            "config": {},
            "inputs": parents[node],
            "outputs": children[node],
            **(nodes or {}).get(node, {}),
        }
        for node in children
    ]
    entry = next((node for node in children if not parents[node]), "none")
    return {"id": "w", "name": "W", "entryNodeId": entry, "nodes": listed, **workflow}


class Machine:
    """A worker and its clock.

    Attributes:
        now: The instant of everything that it does; only the test moves it.
    """

    def __init__(self, queue: str = "spane") -> None:
        self.queue = queue
        self.now = NOON
        self.id = enlist("test", queue, pid=1, now=self.now)

    def wait(self, seconds: float) -> None:
        """Let time pass while the worker lives."""
        self.now += timedelta(seconds=seconds)
        beat(self.id, now=self.now)

    def publish(self, edges: Edges, **more: Any) -> WorkflowVersion:
        return publish(definition(edges, **more), now=self.now)

    def start(self, data: Json = None, *, workflow: str = "w", **options: Any) -> UUID:
        return start(workflow, data, now=self.now, options=StartOptions(**options)).pk

    def begin(self, edges: Edges, data: Json = None, **more: Any) -> UUID:
        """Publish and start."""
        self.publish(edges, **more)
        return self.start(data, workflow=more.get("id", "w"))

    def want(self, room: int = 100, *, fill: bool = True, yields: bool = False) -> Want:
        return Want(worker_id=self.id, queue=self.queue, room=room, fill=fill, yields=yields)

    def claim(self, room: int = 100) -> list[Claim]:
        return claim(self.want(room), now=self.now)

    def claim_one(self) -> Claim:
        (only,) = self.claim()
        return only

    def run(self, claims: Sequence[Claim]) -> list[Finished]:
        """Run the nodes of claims, here and now."""
        return [run(work, clock=lambda: self.now) for work in self.works(claims)]

    def works(self, claims: Sequence[Claim]) -> list[Work]:
        """Return claims with all that their nodes need."""
        return [
            Work(claim=one, received=received, node=prepared(one.version_id).nodes[one.node_id])
            for one, received in zip(claims, receive(claims), strict=True)
        ]

    def finish(self, one: Claim, outcome: Outcome | None = None, output: str = "null") -> Finished:
        """Return the end of an attempt whose node has not run."""
        return Finished(
            claim=one,
            outcome=Result() if outcome is None else outcome,
            output=output,
            started_at=self.now,
            finished_at=self.now,
        )

    def settle(self, finished: Sequence[Finished], *, want: Want | None = None) -> Settlement:
        return settle(finished, now=self.now, want=want)

    def step(self, room: int = 100) -> list[str]:
        """Claim, run and settle what is ready now; return the nodes."""
        claims = self.claim(room)
        self.settle(self.run(claims))
        return [one.node_id for one in claims]

    def drain(self) -> list[str]:
        """Work until nothing is ready at this instant; return the nodes in the order of work."""
        worked: list[str] = []
        while nodes := self.step():
            worked += nodes
        return worked


def execution(execution_id: UUID) -> Execution:
    return Execution.objects.get(pk=execution_id)


def status(execution_id: UUID) -> str:
    return execution(execution_id).status


def statuses(execution_id: UUID) -> dict[str, str]:
    """Return the status of every node that has a run."""
    runs = NodeRun.objects.filter(execution_id=execution_id)
    return dict(runs.values_list("node_id", "status"))


def node_run(execution_id: UUID, node_id: str) -> NodeRun:
    return NodeRun.objects.get(execution_id=execution_id, node_id=node_id)


def outputs(execution_id: UUID) -> dict[str, Json]:
    """Return what every completed node handed on."""
    runs = NodeRun.objects.completed().filter(execution_id=execution_id)
    return dict(runs.values_list("node_id", "output"))
