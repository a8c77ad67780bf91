"""Opening executions again: their node runs as the plan says, their counts, their dead letters.

`plan.reopen` and `rewind.rewind` decide what becomes of every node; here it becomes rows, under
the lock of the execution.  The verbs that lead here are in `retry`, `rerun` and `operate`.

* A node that runs again does so with a fresh budget of attempts; the number of the attempt goes on.
* A node that is undone loses its result; one that was under way is taken from its worker, whose
  answer is refused.
* A dead letter of a node that runs again is marked as dealt with, never deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from django.db.models import QuerySet

from ..core.errors import SpaneError
from ..core.json import Json
from ..core.plan import Ended, Progress, reopen
from ..core.rewind import Rewound, rewind
from ..core.statuses import (
    ExecutionEvent,
    ExecutionStatus,
    NodeEvent,
    NodeStatus,
    after_execution,
    after_node,
)
from ..models import Approval, DeadLetter, Execution, NodeRun
from .cancelling import UPSTREAM_FAILED
from .clear import require_data
from .control import locked
from .db import on_commit
from .followup import close, follow_up
from .pausing import let_in_again
from .release import run_row
from .sequels import require_not_undone
from .sql import statements
from .versions import PreparedVersion, prepared
from .wake import wake, wake_on_commit

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


class UnknownNodeRun(SpaneError):
    """The execution has no run of this node."""


class UnknownDeadLetter(SpaneError):
    """There is no such dead letter."""


class NothingToRetry(UnknownDeadLetter):
    """The execution has no open dead letter, so there is nothing to retry."""


@dataclass(slots=True)
class Standing:
    """An execution and all of its node runs, as they stand under its lock."""

    execution: Execution
    version: PreparedVersion
    runs: dict[str, NodeRun]

    def run(self, node_id: str) -> NodeRun:
        """Return the run of a node.

        Raises:
            UnknownNodeRun: there is none.
        """
        if node_id not in self.runs:
            raise UnknownNodeRun(f"execution {self.execution.pk} has no run of node '{node_id}'")
        return self.runs[node_id]

    @property
    def ended(self) -> dict[str, Ended]:
        """The nodes that have ended, by id."""
        final = {key: run for key, run in self.runs.items() if NodeStatus(run.status).is_final}
        return {key: _ended(run) for key, run in final.items()}

    @property
    def active(self) -> list[str]:
        """The nodes that are ready, running or waiting."""
        return [key for key, run in self.runs.items() if run.status in _ACTIVE]


def standing(execution_id: UUID) -> Standing:
    """Lock an execution and read how it stands, inside the caller's transaction.

    Locks:
        The execution, then its node runs, so that no worker claims one meanwhile.

    Raises:
        UnknownExecution: there is none.
        ClearedData: its data are gone.
        AlreadyUndone: its work has been undone.
    """
    execution = locked(execution_id)
    return as_it_stands(execution, execution.node_runs.select_for_update(of=("self",)))


def as_it_stands(execution: Execution, runs: QuerySet[NodeRun]) -> Standing:
    """Return how an execution stands that can go on, by what is to be read of its node runs.

    Raises:
        ClearedData: its data are gone.
        AlreadyUndone: its work has been undone.
    """
    require_data(execution)
    require_not_undone(execution)
    return Standing(
        execution=execution,
        version=prepared(execution.version_id),
        runs={run.node_id: run for run in runs.defer("output", "checkpoint").order_by("id")},
    )


def locked_run(execution: Execution, node_id: str) -> NodeRun:
    """Return the run of a node under its lock, so that no worker claims it meanwhile.

    Raises:
        UnknownNodeRun: there is none.
    """
    runs = execution.node_runs.select_for_update(of=("self",)).filter(node_id=node_id)
    run = runs.first()
    if run is None:
        raise UnknownNodeRun(f"execution {execution.pk} has no run of node '{node_id}'")
    return run


def run_again(found: Standing, node_id: str, *, now: datetime) -> None:
    """Make a node that has ended ready; what has run behind it stays as it is.

    Raises:
        UnknownNodeRun, IllegalTransition: nothing has changed.
    """
    first = found.run(node_id)
    after_node(NodeStatus(first.status), NodeEvent.RERUN)
    version = found.version
    progress = reopen(version.graph, found.ended, found.active, version.joins, node_id)
    _Change(found, now).apply([node_id], set(), progress)


def run_anew(
    found: Standing, node_ids: Collection[str], *, now: datetime, given: Json = None
) -> list[str]:
    """Make nodes that have ended ready and undo all that lies behind them; return what is undone.

    Args:
        given: What these nodes receive, as `NodeRun.given_input` holds it; None: what their
            parents hand on.

    Raises:
        UnknownNodeRun, IllegalTransition: nothing has changed.
    """
    back = going_back(found, node_ids)
    for node_id in back.first:
        _give(found.runs[node_id], given)
    _Change(found, now).apply(back.first, back.undone, back.progress)
    return sorted(back.undone)


def going_back(found: Standing, node_ids: Collection[str]) -> Rewound:
    """Return what becomes of an execution if these nodes run anew; change nothing.

    Raises:
        UnknownNodeRun, IllegalTransition: a node cannot.
    """
    for node_id in node_ids:
        after_node(NodeStatus(found.run(node_id).status), NodeEvent.RERUN)
    version = found.version
    return rewind(version.graph, found.ended, found.active, version.joins, node_ids)


def resolve_letters(
    execution: Execution,
    node_ids: Iterable[str],
    resolution: DeadLetter.Resolution,
    *,
    now: datetime,
    by: AbstractBaseUser | None,
) -> None:
    """Mark the open dead letters of nodes as dealt with."""
    letters = execution.dead_letters.filter(node_id__in=list(node_ids), resolved_at=None)
    letters.update(resolved_at=now, resolution=resolution, resolved_by=by.pk if by else None)


class _Change:
    """Writes what becomes of the nodes of an execution that is opened again."""

    def __init__(self, found: Standing, now: datetime) -> None:
        self._found = found
        self._now = now
        self._active = 0
        self._failed = 0

    def apply(self, first: list[str], undone: set[str], progress: Progress) -> None:
        runs = self._found.runs
        for key in first:
            self._mark_parents(key)
            self._failed -= runs[key].status == NodeStatus.FAILED
        for key in undone:
            self._undo(runs[key])
        for key in (*first, *progress.released):
            self._make_ready(runs[key])
        for key in (*progress.skipped, *progress.waiting):
            if key in runs:  # of what waits, only what has been arrived at before has a row
                self._undecide(runs[key], progress)
        for key in undone.intersection(progress.blocked):
            self._block(runs[key])
        self._lose(progress.lost)
        self._abandon(undone)
        self._reopen()
        let_in_again(self._found.execution)
        wake_on_commit(runs[key].queue for key in (*first, *progress.released))

    def _mark_parents(self, node_id: str) -> None:
        """Let a parent that may yet run for the first time find this node decided.

        `plan.touched` looks at an only child of one that has never run without need to ask.
        """
        for parent in self._found.version.graph.parents[node_id]:
            run = self._found.runs.get(parent)
            if run is not None and run.attempt == 1 and run.status in _NEVER_RUN:
                run.attempt = 2
                run.save(update_fields=["attempt"])

    def _undo(self, run: NodeRun) -> None:
        """Take back what a node has come to, or what it is about."""
        _give(run, None)
        self._failed -= run.status == NodeStatus.FAILED
        self._active -= run.status in _ACTIVE
        _forget(run)
        run.status = after_node(NodeStatus(run.status), NodeEvent.RESET).value
        run.save(update_fields=[*_FORGOTTEN, "status"])

    def _abandon(self, undone: set[str]) -> None:
        """Close what nodes that are undone have begun: children, and questions to people."""
        ids = [self._found.runs[key].pk for key in undone]
        now = self._now
        asked = Approval.objects.open().filter(node_run__in=ids)
        asked.update(status=Approval.Status.CANCELLED, decided_at=now)
        children = Execution.objects.unfinished().filter(parent_run__in=ids, follows_parent=True)
        if left := list(children.order_by("id").values_list("id", flat=True)):
            on_commit(lambda: wake(follow_up(close(left, now=now), now=now)))

    def _make_ready(self, run: NodeRun) -> None:
        status = NodeStatus(run.status)
        event = NodeEvent.RELEASED if status is NodeStatus.PENDING else NodeEvent.RERUN
        _forget(run)
        run.status = after_node(status, event).value
        run.is_held = run.is_limited or self._found.execution.status == ExecutionStatus.PAUSED
        run.available_at = self._now
        run.save(update_fields=[*_FORGOTTEN, "status", "is_held", "available_at"])
        self._active += 1

    def _undecide(self, run: NodeRun, progress: Progress) -> None:
        """Store what a node has seen that is not decided any more, or that it is skipped."""
        if run.status != NodeStatus.PENDING:
            _forget(run)
            run.status = after_node(NodeStatus(run.status), NodeEvent.RESET).value
        arrivals = progress.waiting.get(run.node_id)
        if arrivals is None:
            run.status = after_node(NodeStatus.PENDING, NodeEvent.PRUNED).value
            run.reason, run.finished_at = "no branch that was taken leads here", self._now
        else:
            run.open_edges, run.live_edges = arrivals.open, arrivals.live
            run.broken_edges = arrivals.broken
        run.save(update_fields=[*_FORGOTTEN, "status", "open_edges", "live_edges", "broken_edges"])

    def _block(self, run: NodeRun) -> None:
        """Cancel what is undone, but which something else that failed still keeps from running."""
        run.status = after_node(NodeStatus(run.status), NodeEvent.BLOCKED).value
        run.reason, run.finished_at = UPSTREAM_FAILED, self._now
        run.save(update_fields=["status", "reason", "finished_at"])

    def _lose(self, lost: dict[str, str]) -> None:
        """Cancel what a join goes on without, even before anything has led to it."""
        found, missing = self._found, []
        for key, join in lost.items():
            run = found.runs.get(key)
            reason = f"'{join}' went on without it"
            if run is None:
                missing.append(
                    run_row(
                        found.version,
                        found.execution.pk,
                        key,
                        priority=found.execution.priority,
                        key=found.execution.lane_key,
                        now=self._now,
                        status=NodeStatus.CANCELLED,
                    )
                )
                missing[-1].reason = reason
            elif not NodeStatus(run.status).is_final:
                self._active -= run.status in _ACTIVE
                run.status = after_node(NodeStatus(run.status), NodeEvent.CANCELLED).value
                run.claim_token, run.is_held = None, False
                run.reason, run.finished_at = reason, self._now
                run.save()
        if missing:
            statements().put(missing, worker_id=None, token=uuid4(), now=self._now)

    def _reopen(self) -> None:
        execution = self._found.execution
        status = ExecutionStatus(execution.status)
        if status.is_final:
            execution.status = after_execution(status, ExecutionEvent.REOPENED).value
            execution.finished_at, execution.reason, execution.deadline_at = None, "", None
        execution.active_nodes += self._active
        execution.failed_nodes += self._failed
        execution.save(
            update_fields=[
                "status", "finished_at", "reason", "deadline_at", "active_nodes", "failed_nodes",
            ]
        )  # fmt: skip


def _give(run: NodeRun, given: Json) -> None:
    run.given_input = given
    if given is not None and run.started_at is None:
        # Only of a later attempt is it asked whether it was given an input (see `inputs`).
        run.attempt = max(run.attempt, 2)


def _forget(run: NodeRun) -> None:
    """Let a node begin afresh: nothing of its last end is left but its history."""
    run.attempt += run.started_at is not None or run.status in _HAS_RUN
    run.failures = run.losses = 0
    run.claim_token = run.checkpoint = run.output = run.next_nodes = None
    run.started_at = run.finished_at = run.available_at = None
    run.is_held = False
    run.reason = run.error_type = run.error_message = ""
    run.signal_name = run.signal_key = ""


_FORGOTTEN = (
    "attempt", "failures", "losses", "claim_token", "checkpoint", "given_input", "output",
    "next_nodes", "started_at", "finished_at", "available_at", "is_held", "reason", "error_type",
    "error_message", "signal_name", "signal_key",
)  # fmt: skip

_ACTIVE = frozenset({NodeStatus.READY, NodeStatus.RUNNING, NodeStatus.WAITING})
_HAS_RUN = frozenset({NodeStatus.COMPLETED, NodeStatus.FAILED})
_NEVER_RUN = frozenset({NodeStatus.SKIPPED, NodeStatus.CANCELLED})


def _ended(run: NodeRun) -> Ended:
    chosen = None if run.next_nodes is None else frozenset(run.next_nodes)
    return Ended(run.node_id, NodeStatus(run.status), chosen)
