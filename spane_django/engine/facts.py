"""What a node run does or waits for, as a sentence: the facts behind `explain`.

Each kind of wait is told with what would end it: the time, the signal, the people, the children,
the place, the parents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from ..conf import settings
from ..core.plan import ALL
from ..core.statuses import ExecutionStatus, NodeStatus
from ..models import Execution, Gate, NodeRun, Worker
from .versions import PreparedVersion, prepared

_MOST_NAMES = 3


def facts_of(execution: Execution, runs: Sequence[NodeRun], *, now: datetime) -> Iterator[str]:
    """Yield a sentence for each of the runs of an execution that says something."""
    version = prepared(execution.version_id)
    workers = Worker.objects.in_bulk({run.worker_id for run in runs if run.worker_id})
    for run in runs:
        match run.status:
            case NodeStatus.RUNNING:
                yield _running(run, workers.get(run.worker_id), now=now)
            case NodeStatus.FAILED:
                yield (
                    f"'{run.node_id}' failed for good in attempt {run.attempt}: "
                    f"{run.error_type}: {run.error_message}"
                )
            case NodeStatus.PENDING:
                yield _pending(execution, run, version)
            case _:
                yield _claimable(execution, run, version, now=now)


def is_due(run: NodeRun, now: datetime) -> bool:
    """Say whether a worker could take a ready or waiting run now."""
    return not run.is_held and run.available_at is not None and run.available_at <= now


def said(duration: timedelta) -> str:
    """Return a duration as people read it."""
    seconds = duration.total_seconds()
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=int(seconds)))


def _running(run: NodeRun, worker: Worker | None, *, now: datetime) -> str:
    began = f"'{run.node_id}' (attempt {run.attempt}) "
    since = f"for {said(now - run.started_at)}" if run.started_at else "now"
    if worker is None or worker.stopped_at is not None:
        return began + "was running on a worker that is gone; the sweep makes it run again."
    silence = now - worker.heartbeat_at
    if silence > settings.lease:
        return (
            f"{began}runs on worker {worker.name}, silent for {said(silence)}: taken for dead, "
            "and the sweep makes it run again."
        )
    return f"{began}has been running {since} on worker {worker.name}."


def _pending(execution: Execution, run: NodeRun, version: PreparedVersion) -> str:
    """Tell which parents a join waits for."""
    parents = version.graph.parents[run.node_id]
    known = execution.node_runs.filter(node_id__in=parents)
    statuses = dict(known.values_list("node_id", "status"))
    open_parents = [
        f"'{parent}' ({statuses.get(parent, 'not begun')})"
        for parent in parents
        if not NodeStatus(statuses.get(parent, NodeStatus.PENDING)).is_final
    ]
    rule = version.joins.get(run.node_id, ALL).rule.value
    return f"'{run.node_id}' waits for {_listed(open_parents)}: its join rule is '{rule}'."


def _claimable(
    execution: Execution, run: NodeRun, version: PreparedVersion, *, now: datetime
) -> str:
    began = f"'{run.node_id}' (attempt {run.attempt}) "
    last = f"; last error: {run.error_type}: {run.error_message}" if run.error_type else ""
    if run.is_held:
        return f"{began}{_held(execution, version)}{last}."
    if is_due(run, now):
        if gate := _gate(run, now):
            return f"{began}waits at the gate '{run.gate}': {gate}{last}."
        waited = said(now - (run.available_at or now))
        return (
            f"{began}has been ready for {waited}: it needs a worker of queue '{run.queue}'{last}."
        )
    if run.status == NodeStatus.READY:
        return f"{began}is tried again after {_until(run, now)}{last}."
    return f"{began}waits {_wait(run, now)}{last}."


def _held(execution: Execution, version: PreparedVersion) -> str:
    if execution.status == ExecutionStatus.PAUSED:
        return "is held until the execution is resumed"
    active = [NodeStatus.READY, NodeStatus.RUNNING]
    holders = execution.node_runs.filter(is_limited=True, is_held=False, status__in=active)
    names = [f"'{node}'" for node in holders.values_list("node_id", flat=True)[: _MOST_NAMES + 1]]
    most = version.max_concurrency
    return f"waits for one of {most} places (maxConcurrency), held by {_listed(names)}"


def _gate(run: NodeRun, now: datetime) -> str:
    """Tell what keeps a node at its gate; empty: nothing does."""
    gate = Gate.objects.filter(key=run.gate).first() if run.gate else None
    if gate is None:
        return ""
    if gate.blocked_until is not None and gate.blocked_until > now:
        left = f"{said(gate.blocked_until - now)}, until {gate.blocked_until:%F %T} UTC"
        if gate.breaker == Gate.Breaker.OPEN:
            return f"its breaker is open for another {left}"
        return f"{gate.rate_count} may start per {gate.rate_seconds:g} s, the next in {left}"
    most = gate.max_running if gate.breaker == Gate.Breaker.CLOSED else 1
    holders = NodeRun.objects.running().exclude(gate="").filter(gate=gate.key).order_by("id")
    found = holders.values_list("node_id", "execution_id", "execution__tenant")
    tenant = run.execution.tenant
    names = [
        f"'{node}' of {key}" if whose == tenant else "one of another tenant"
        for node, key, whose in found
    ]
    if most is None or len(names) < most:
        return ""
    trying = "" if gate.breaker == Gate.Breaker.CLOSED else " (its breaker lets one try)"
    return f"{len(names)} of {most} run{trying}, {_listed(names)}"


def _wait(run: NodeRun, now: datetime) -> str:
    """Tell what would end the wait of a node."""
    what = _what(run)
    until = _until(run, now) if run.available_at is not None else ""
    if not what:
        return f"another {until}" if until else "for nothing that is known"
    return f"for {what}" + (f", {until} at most" if until else "")


def _what(run: NodeRun) -> str:
    if run.signal_name:
        key = f" with key '{run.signal_key}'" if run.signal_key else ""
        return f"the signal '{run.signal_name}'{key}"
    if run.failures_tolerated is not None:
        return _children(run)
    asked = run.approvals.open().order_by("-id").first()
    if asked is None:
        return ""
    people = [*asked.users, *(f"the group {name}" for name in asked.groups)]
    people += [f"those who may {asked.permission}"] * bool(asked.permission)
    given = asked.decisions.filter(is_approved=True).count()
    return f"the approval '{asked.title}' of {_listed(people)} ({given} of {asked.quorum} given)"


def _children(run: NodeRun) -> str:
    children = run.children.filter(parent_round=run.attempt - run.losses)
    unfinished = children.unfinished().order_by("id")
    first = [f"{key} ({status})" for key, status in unfinished.values_list("id", "status")[:2]]
    return f"{unfinished.count():,} of {children.count():,} child executions, such as " + (
        _listed(first) if first else "none: the sweep wakes it"
    )


def _until(run: NodeRun, now: datetime) -> str:
    if run.available_at is None:
        return "nobody knows when"
    return f"{said(run.available_at - now)}, until {run.available_at:%F %T} UTC"


def _listed(names: Sequence[str]) -> str:
    shown = [*names[:_MOST_NAMES], *(["others"] if len(names) > _MOST_NAMES else [])]
    return ", ".join(shown) or "nobody"
