"""Whether an execution can go on in another version of its workflow, and what would follow.

What has begun must be in the new version, too, with the same type (a mapping tells of nodes that
have another id there), whatever a node chose must still lead somewhere, and nothing may be
running just now.  What was inserted before nodes that have begun is passed over.  The fate of all
other nodes is decided afresh by `core.replan`.

Here it is only looked at; `migrate` does it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from ..core.plan import Ended, Progress
from ..core.replan import passed_over, replan
from ..core.schema import Fault, faults_in
from ..core.statuses import ExecutionStatus, NodeStatus
from ..models import Execution, NodeRun
from ..models.payloads import load
from .versions import PreparedVersion, prepared

Rename = Mapping[str, str]
"""Ids of nodes in the old version with their ids in the new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What moving an execution would do.

    Attributes:
        from_number: The version that it runs now.
        faults: Why it cannot be moved; without any, it can.
        starts: Nodes that would be ready at once and have not begun.
        drops: Nodes that have not begun and do not exist there.
    """

    execution_id: UUID
    from_number: int
    to_number: int
    faults: list[Fault] = field(default_factory=list)
    starts: list[str] = field(default_factory=list)
    drops: list[str] = field(default_factory=list)

    @property
    def is_possible(self) -> bool:
        return not self.faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """An execution with all that its move takes.

    Attributes:
        begun: Runs that have begun, by their ids in the new version.
        idle: Runs that have not begun: they are made anew.
        progress: The fate of what has not begun; None if it cannot be moved or has not started.
    """

    execution: Execution
    target: PreparedVersion
    rename: Rename
    begun: dict[str, NodeRun]
    idle: list[NodeRun]
    faults: list[Fault]
    progress: Progress | None

    @property
    def ended(self) -> dict[str, NodeRun]:
        """Runs with a result."""
        return {key: run for key, run in self.begun.items() if run.status in _HAS_RESULT}

    @property
    def active(self) -> dict[str, NodeRun]:
        """Runs that are under way."""
        return {key: run for key, run in self.begun.items() if run.status in _IS_ACTIVE}

    @property
    def undone(self) -> dict[str, NodeRun]:
        """Runs that had begun when they were cancelled: their fate is open again."""
        kept = _HAS_RESULT | _IS_ACTIVE
        return {key: run for key, run in self.begun.items() if run.status not in kept}

    @property
    def failures(self) -> int:
        return sum(run.status == NodeStatus.FAILED for run in self.begun.values())

    @property
    def is_halted(self) -> bool:
        """Whether nothing may be released: it has failed, or is to fail at the first failure."""
        return _is_halted(self.execution, self.failures, self.target)

    def told(self) -> Move:
        known = self.target.nodes
        return Move(
            execution_id=self.execution.pk,
            from_number=self.execution.version.number,
            to_number=self.target.number,
            faults=self.faults,
            starts=list(self.progress.released) if self.progress else [],
            drops=[run.node_id for run in self.idle if run.node_id not in known],
        )


def examine(
    execution: Execution, runs: Sequence[NodeRun], target: PreparedVersion, rename: Rename
) -> Examined:
    """Look at an execution and all of its runs as they stand."""
    begun = [run for run in runs if _has_begun(run)]
    by_id = {rename.get(run.node_id, run.node_id): run for run in begun}
    faults = [
        *_execution_faults(execution, target),
        *_run_faults(begun, target, rename),
        *_choice_faults(by_id, target, rename),
    ]
    progress = None
    if not faults and execution.started_at is not None:
        progress = _progress(execution, by_id, target, rename)
        faults += _order_faults(by_id, target, progress)
    return Examined(
        execution=execution,
        target=target,
        rename=rename,
        begun=by_id,
        idle=[run for run in runs if not _has_begun(run)],
        faults=faults,
        progress=None if faults else progress,
    )


def chosen(run: NodeRun, rename: Rename) -> list[str] | None:
    """Return the children that a run chose, by their new ids; None: all."""
    if run.next_nodes is None:
        return None
    return [rename.get(node, node) for node in run.next_nodes]


_HAS_RESULT = frozenset({NodeStatus.COMPLETED, NodeStatus.FAILED})
_IS_ACTIVE = frozenset({NodeStatus.READY, NodeStatus.RUNNING, NodeStatus.WAITING})
_MOVABLE = frozenset(
    {
        ExecutionStatus.PENDING,
        ExecutionStatus.RUNNING,
        ExecutionStatus.PAUSED,
        ExecutionStatus.FAILED,
    }
)


def _has_begun(run: NodeRun) -> bool:
    # One that an operator completed, or that was taken over, has a result and was never started.
    return run.started_at is not None or run.attempt > 1 or run.status in _HAS_RESULT


def _is_halted(execution: Execution, failures: int, target: PreparedVersion) -> bool:
    is_failed = execution.status == ExecutionStatus.FAILED
    return is_failed or bool(failures and target.definition.is_fail_fast)


def _progress(
    execution: Execution, begun: Mapping[str, NodeRun], target: PreparedVersion, rename: Rename
) -> Progress:
    ended = {}
    for key, run in begun.items():
        if run.status in _HAS_RESULT:
            children = chosen(run, rename)
            picked = None if children is None else frozenset(children)
            ended[key] = Ended(key, NodeStatus(run.status), picked)
    active = [key for key, run in begun.items() if run.status in _IS_ACTIVE]
    known = {rename.get(key, key) for key in prepared(execution.version_id).nodes}
    passed = passed_over(target.graph, known, begun)
    failures = sum(end.status is NodeStatus.FAILED for end in ended.values())
    skipped = {key: Ended(key, NodeStatus.SKIPPED) for key in passed}
    is_halted = _is_halted(execution, failures, target)
    progress = replan(target.graph, ended | skipped, active, target.joins, is_halted=is_halted)
    progress.skipped += passed
    return progress


def _execution_faults(execution: Execution, target: PreparedVersion) -> Iterator[Fault]:
    if execution.status not in _MOVABLE:
        yield Fault("", "ended", f"it is {execution.status}: a replay starts it anew")
    if execution.version_id == target.id:
        yield Fault("", "same_version", f"it runs version {target.number} already")
    schema = target.definition.input_schema
    if schema and execution.cleared_at is None:
        yield from faults_in(schema, load(execution.input), "input")


def _run_faults(
    begun: Sequence[NodeRun], target: PreparedVersion, rename: Rename
) -> Iterator[Fault]:
    counts = Counter(rename.get(run.node_id, run.node_id) for run in begun)
    for run in begun:
        new = rename.get(run.node_id, run.node_id)
        path = f"nodes.{run.node_id}"
        if run.status == NodeStatus.RUNNING:
            message = "it is running: pause the execution and wait for it, or try again"
            yield Fault(path, "node_running", message)
        if new not in target.nodes:
            message = f"it has begun, and version {target.number} has no node '{new}': map it"
            yield Fault(path, "node_missing", message)
        elif target.nodes[new].type != run.node_type:
            there = target.nodes[new].type
            message = f"it is of type '{run.node_type}', in version {target.number} of '{there}'"
            yield Fault(path, "node_type", message)
        if counts[new] > 1:
            message = f"another node is to be '{new}', too: map them to different nodes"
            yield Fault(path, "node_twice", message)


def _choice_faults(
    begun: Mapping[str, NodeRun], target: PreparedVersion, rename: Rename
) -> Iterator[Fault]:
    """Yield what would be lost: a branch that was taken, has not begun, and is no branch there."""
    for key, run in begun.items():
        children = target.graph.children.get(key, ())
        for child in chosen(run, rename) or ():
            if child not in children and child not in begun:
                message = f"it chose '{child}', to which version {target.number} has no edge"
                yield Fault(f"nodes.{run.node_id}", "edge_missing", message)


def _order_faults(
    begun: Mapping[str, NodeRun], target: PreparedVersion, progress: Progress
) -> Iterator[Fault]:
    """Yield what would be decided before the only node that leads to it.

    Nothing looks at such a node when that one ends (see `plan.touched`): it would run again.
    """
    undone = {key for key, run in begun.items() if run.status not in _HAS_RESULT | _IS_ACTIVE}
    decided = {*begun, *progress.skipped, *progress.blocked, *progress.lost} - undone
    active = {key for key, run in begun.items() if run.status in _IS_ACTIVE}
    for key in target.graph.children:
        parents = target.graph.parents[key]
        if key in decided and key not in target.joins and len(parents) == 1:
            (parent,) = parents
            if parent in active or parent not in decided:
                message = (
                    f"in version {target.number} it comes after '{parent}', which has not ended"
                )
                yield Fault(f"nodes.{key}", "node_too_early", message)
