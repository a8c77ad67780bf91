"""What an execution did, told from its rows: the log, the trace, the output.

Nothing here is stored twice.  That a node was executed, failed or was skipped is read off its
node run and its attempts; only what nodes wrote themselves are rows of the log.

* An attempt that failed is an `Attempt` row; the one that runs, waits or succeeded is the node
  run itself.  `_tries` puts the two together, and both the log and the trace are made of them.
* A node that failed and became data has failed; of one that waited, the last stretch is known.

Each function costs the same few queries, whatever the size of the execution.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from ..core.definition import Definition
from ..core.json import Json
from ..core.statuses import ExecutionStatus, NodeStatus
from .payloads import load

if TYPE_CHECKING:
    from .execution import Execution
    from .history import LogLine
    from .node_run import NodeRun

# The most stored lines that a log is made of; the rest are counted in a last entry.
MAX_LINES = 10_000

_RUN_COLUMNS = (
    "execution_id", "node_id", "node_type", "status", "reason", "attempt", "available_at",
    "started_at", "finished_at",
)  # fmt: skip


_ATTEMPT_COLUMNS = (
    "number", "result", "started_at", "finished_at", "error_message", "error_type",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One line of an execution's log.

    Attributes:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        node_id: Empty for what concerns the whole execution.
        attempt: The number of the attempt, from 1; 0 if it concerns none.
        data: What the node wrote beside its message.
    """

    level: str
    message: str
    at: datetime
    node_id: str = ""
    attempt: int = 0
    data: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One attempt of one node.

    Attributes:
        status: ``running``, ``waiting``, ``completed``, ``failed``, ``lost`` or ``cancelled``.
        ended_at: None while it runs or waits.
        waited: How long the node lay ready before this attempt; only known of the last one.
        error: Why it did not succeed; empty if it did.
    """

    node_id: str
    name: str
    attempt: int
    status: str
    started_at: datetime
    ended_at: datetime | None
    waited: timedelta | None
    error: str

    @property
    def duration_ms(self) -> float | None:
        return _milliseconds(self.started_at, self.ended_at)

    @property
    def wait_ms(self) -> float | None:
        return None if self.waited is None else self.waited / timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The spans of an execution in the order in which they began."""

    execution_id: UUID
    workflow_id: str
    status: str
    started_at: datetime | None
    ended_at: datetime | None
    spans: list[Span]

    @property
    def duration_ms(self) -> float | None:
        return _milliseconds(self.started_at, self.ended_at)


def entry_of(row: LogLine) -> LogEntry:
    """Return what a node wrote as a line of the log."""
    return LogEntry(
        level=row.level,
        message=row.message,
        at=row.created_at,
        node_id=row.node_id,
        attempt=row.attempt,
        data=row.data,
    )


def logs(execution: Execution) -> list[LogEntry]:
    """Return everything that happened, in the order of time."""
    return _told(execution, _lines(execution))


def events(execution: Execution) -> list[LogEntry]:
    """Return what happened but for what nodes wrote, in the order of time."""
    return _told(execution, {})


def latest(run: NodeRun) -> LogEntry | None:
    """Return what is told of where a node stands now; None: nothing.  Reads no attempts."""
    started_at = run.started_at or run.created_at
    executing = _executing(run, run.attempt, started_at)
    if run.status == NodeStatus.RUNNING:
        return executing
    if run.status == NodeStatus.READY and run.error_type:
        again = _Try(run.attempt - 1, "failed", started_at, started_at, *_error(run))
        return next(_try_end(again, replace(executing, attempt=again.number)))
    own = _Try(run.attempt, run.status, started_at, run.finished_at, *_error(run))
    return next(reversed([*_try_end(own, executing), *_run_end(run, [own])]), None)


def _error(run: NodeRun) -> tuple[str, str]:
    return run.error_message, run.error_type


def _told(execution: Execution, lines: _Lines) -> list[LogEntry]:
    runs, failed = _runs(execution), failures(execution)
    told = [(0, entry) for entry in _beginning(execution)]
    for position, run in enumerate(runs, start=1):
        told += [(position, entry) for entry in _run_entries(run, failed, lines)]
    told += [(len(runs) + 1, entry) for left in lines.values() for entry in left]
    told += [(len(runs) + 1, entry) for entry in _end(execution)]
    # Of one instant, what belongs to one node stays together and in the order it was told.
    return [entry for _, entry in sorted(told, key=lambda item: (item[1].at, item[0]))]


def trace(execution: Execution) -> Trace:
    """Return a span for every attempt of every node that has begun."""
    failed = failures(execution)
    found = [span for run in _runs(execution) for span in spans(run, failed)]
    return Trace(
        execution_id=execution.pk,
        workflow_id=execution.workflow.key,
        status=execution.status,
        started_at=execution.started_at,
        ended_at=execution.finished_at,
        spans=sorted(found, key=lambda span: span.started_at),
    )


def failures(execution: Execution) -> Failures:
    """Return the attempts of an execution that did not succeed, by node run."""
    columns = [f"attempts__{name}" for name in _ATTEMPT_COLUMNS]
    tried = execution.node_runs.filter(attempts__isnull=False).order_by("attempts__number")
    found: Failures = defaultdict(list)
    for run, number, result, began, ended, error, kind in tried.values_list("id", *columns):
        found[run].append(_Try(number, result, began or ended, ended, error, kind))
    return found


def spans(run: NodeRun, failed: Failures) -> list[Span]:
    """Return the attempts of one node in their order.

    Args:
        failed: The `failures` of its execution.
    """
    return [
        Span(
            node_id=run.node_id,
            name=f"Execute {run.node_type}",
            attempt=attempt.number,
            status=attempt.status,
            started_at=attempt.started_at,
            ended_at=attempt.ended_at,
            waited=_waited(run, attempt),
            error=attempt.error,
        )
        for attempt in _tries(run, failed)
    ]


def output(execution: Execution, read: Callable[[Json], Json] = load) -> Json:
    """Return what a completed execution came to; None for any other.

    The data of the one leaf (a node without children) that completed, or of several by node id.

    Args:
        read: How a column's value is read: `payloads.load`, or `payloads.shown` for a page.
    """
    if execution.status != ExecutionStatus.COMPLETED:
        return None
    leaves = Definition(execution.version.definition).graph.leaves
    runs = execution.node_runs.completed().filter(node_id__in=leaves)
    rows = runs.values_list("node_id", "output")
    found = {node_id: read(data) for node_id, data in rows}
    if len(found) == 1:
        return next(iter(found.values()))
    return {leaf: found[leaf] for leaf in leaves if leaf in found} or None


@dataclass(frozen=True, slots=True)
class _Try:
    number: int
    status: str
    started_at: datetime
    ended_at: datetime | None
    error: str = ""
    error_type: str = ""


def _runs(execution: Execution) -> list[NodeRun]:
    runs = execution.node_runs.only(*_RUN_COLUMNS)
    return list(runs.order_by("id"))


def _tries(run: NodeRun, failed: Failures) -> list[_Try]:
    """Return the attempts of a node, the one that is not over or has succeeded at the end."""
    tries = list(failed.get(run.pk, ()))
    if run.started_at is not None and _has_own_try(run, tries):
        ended_at = run.finished_at if NodeStatus(run.status).is_final else None
        error = run.reason if run.status == NodeStatus.CANCELLED else ""
        tries.append(_Try(run.attempt, run.status, run.started_at, ended_at, error))
    return tries


def _has_own_try(run: NodeRun, tries: Iterable[_Try]) -> bool:
    """Say whether the run's own start belongs to no attempt that is told already."""
    if run.status in _NOT_BEGUN or any(attempt.number == run.attempt for attempt in tries):
        return False
    was_cancelled = run.status == NodeStatus.CANCELLED
    return not (was_cancelled and any(one.started_at == run.started_at for one in tries))


_NOT_BEGUN = frozenset({NodeStatus.PENDING, NodeStatus.READY, NodeStatus.SKIPPED})


def _waited(run: NodeRun, attempt: _Try) -> timedelta | None:
    if attempt.number != run.attempt or run.available_at is None:
        return None
    return max(timedelta(0), attempt.started_at - run.available_at)


def _beginning(execution: Execution) -> Iterator[LogEntry]:
    if execution.replay_of_id is not None:
        again = f"Replay of execution {execution.replay_of_id}"
        yield LogEntry(level="info", message=again, at=execution.created_at)
    if execution.started_at is not None:
        message = f"Workflow {execution.workflow.key} started (Execution ID: {execution.pk})"
        yield LogEntry(level="info", message=message, at=execution.started_at)


def _end(execution: Execution) -> Iterator[LogEntry]:
    if execution.finished_at is not None:
        message = f"Workflow {execution.workflow.key} {execution.status}"
        message += f": {execution.reason}" if execution.reason else ""
        at = execution.finished_at
        yield LogEntry(level=_LEVELS[execution.status], message=message, at=at)


_LEVELS = {
    ExecutionStatus.COMPLETED.value: "info",
    ExecutionStatus.FAILED.value: "error",
    ExecutionStatus.CANCELLED.value: "warning",
}


def _run_entries(run: NodeRun, failed: Failures, lines: _Lines) -> Iterator[LogEntry]:
    tries = _tries(run, failed)
    for attempt in tries:
        executing = _executing(run, attempt.number, attempt.started_at)
        yield executing
        yield from lines.pop((run.node_id, attempt.number), ())
        yield from _try_end(attempt, executing)
    yield from _run_end(run, tries)


def _executing(run: NodeRun, attempt: int, at: datetime) -> LogEntry:
    message = f"Executing node {run.node_id} (type: {run.node_type})"
    return LogEntry(level="info", message=message, at=at, node_id=run.node_id, attempt=attempt)


def _try_end(attempt: _Try, executing: LogEntry) -> Iterator[LogEntry]:
    if attempt.ended_at is None:
        return
    entry = replace(executing, at=attempt.ended_at)
    if attempt.status == NodeStatus.COMPLETED:
        yield replace(entry, message="Node execution completed successfully")
    elif attempt.status != NodeStatus.CANCELLED:
        message = f"Node execution failed: {attempt.error}"
        yield replace(entry, level="error", message=message, data={"errorType": attempt.error_type})


def _run_end(run: NodeRun, tries: list[_Try]) -> Iterator[LogEntry]:
    if run.finished_at is None:
        return
    entry = LogEntry(level="info", message="", at=run.finished_at, node_id=run.node_id)
    match run.status:
        case NodeStatus.SKIPPED:
            yield replace(entry, message=f"Node skipped: {run.reason}")
        case NodeStatus.CANCELLED:
            yield replace(entry, level="warning", message=f"Node cancelled: {run.reason}")
        case NodeStatus.COMPLETED if run.reason:
            yield replace(entry, message=f"Node {run.reason}")
        case NodeStatus.COMPLETED if tries and tries[-1].status != NodeStatus.COMPLETED:
            message = "Node failed for good; the workflow goes on with the error as its data"
            yield replace(entry, level="warning", message=message)


Failures = dict[int, list[_Try]]
_Lines = dict[tuple[str, int], list[LogEntry]]


def _lines(execution: Execution) -> _Lines:
    """Return what nodes wrote, by node and attempt."""
    lines: _Lines = defaultdict(list)
    rows = list(execution.log_lines.order_by("id")[: MAX_LINES + 1])
    for row in rows[:MAX_LINES]:
        lines[row.node_id, row.attempt].append(entry_of(row))
    if len(rows) > MAX_LINES:
        message = f"only the first {MAX_LINES:,} lines that nodes wrote are shown"
        lines["", 0].append(LogEntry(level="warning", message=message, at=rows[-1].created_at))
    return lines


def _milliseconds(begin: datetime | None, end: datetime | None) -> float | None:
    if begin is None or end is None:
        return None
    return (end - begin) / timedelta(milliseconds=1)
