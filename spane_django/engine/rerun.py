"""Running a part of an execution anew: from what failed, from the start, or from a chosen node.

* In the same version the execution itself goes back: the nodes and all that lies behind them run
  again, what ended elsewhere stays (`core.rewind`).
* In the latest version a new execution, linked to the old one, takes over what has completed
  (`takeover`).  Like one that is opened again, it counts against no limit of executions.
* The input may be another one: of the execution when it runs from the start, of the node when it
  runs from a chosen one.  Or the node does not run but is given an output, and what lies behind
  it runs again with that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Final
from uuid import UUID

from ..core.errors import InvalidInput
from ..core.json import Json, encode
from ..core.schema import Fault, faults_in
from ..core.statuses import ExecutionEvent, ExecutionStatus, NodeStatus, after_execution
from ..models import DeadLetter, Execution, NodeRun, Workflow
from ..models.payloads import shown
from . import payloads
from .audit import Facts, record
from .by_hand import checked_output, give_output, read_execution, value_faults, version_of
from .clear import require_data
from .control import locked
from .db import atomic
from .reopen import NothingToRetry, UnknownNodeRun, resolve_letters, run_anew, standing
from .sequels import require_not_undone
from .takeover import take_over
from .versions import PreparedVersion, prepared

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


class Unchanged(Enum):
    """That a value stays as it is; None is a value of its own."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED


class From(StrEnum):
    """Where a rerun begins."""

    FAILED = "failed"
    START = "start"
    NODE = "node"


class In(StrEnum):
    """Which version a rerun runs."""

    SAME = "same"
    LATEST = "latest"


def version_in(which: In, version_id: int) -> PreparedVersion:
    """Return the version in which something of this one is to run again.

    Raises:
        InvalidInput: it is a part of a workflow, which is no workflow of its own.
    """
    version = prepared(version_id)
    if which is In.SAME:
        return version
    if version.part:
        message = "a part of a workflow runs in the version of the whole: run that again"
        raise InvalidInput([Fault("version", "is_part", message)])
    workflow = Workflow.objects.get(pk=version.workflow_id)
    return prepared(workflow.current_version_id or version.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """What is to run again, and how.

    Attributes:
        node_id: The chosen node of ``From.NODE``.
        input: Of the execution (``From.START``), or of the node instead of what its parents hand
            on (``From.NODE``), until the node runs again because of them.
        output: What the node hands on without running (``From.NODE``).
        next_nodes: The children that it chooses with that output; None: the usual ones.
    """

    start: From = From.FAILED
    node_id: str | None = None
    version: In = In.SAME
    input: Json = UNCHANGED
    output: Json = UNCHANGED
    next_nodes: Sequence[str] | None = None

    @property
    def has_input(self) -> bool:
        return self.input is not UNCHANGED

    @property
    def has_output(self) -> bool:
        return self.output is not UNCHANGED


@dataclass(frozen=True, slots=True)
class Values:
    """What is given by hand, as columns hold it."""

    input: Json = None
    output: Json = None


@dataclass(frozen=True, slots=True)
class _Done:
    """What has been done: by which execution it runs, and what the audit entry tells."""

    execution_id: UUID
    before: Facts
    after: Facts


def rerun_from(
    execution_id: UUID,
    rerun: Rerun = Rerun(),
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    reason: str = "",
) -> Execution:
    """Run a part of an execution anew, and return the execution that does: it, or a new one.

    Locks:
        The execution, then its node runs.

    Raises:
        UnknownExecution, UnknownNodeRun: there is none.
        InvalidInput: what is asked for does not fit together, or a value is refused; every
            fault is listed.
        NothingToRetry: no node has failed.
        IllegalTransition: a node that is to run again has not ended; in the latest version: the
            execution has not.
    """
    version = version_in(rerun.version, version_of(execution_id))
    values = checked(rerun, version, now=now)
    with atomic():
        if rerun.version is In.LATEST:
            done = _in_latest(execution_id, version, rerun, values, now=now, by=by)
        else:
            done = _in_same(execution_id, rerun, values, now=now, by=by)
        record(
            "rerun", now=now, by=by, execution_id=execution_id, target=rerun.node_id or "",
            before=done.before, after={**_told(rerun), **done.after}, reason=reason,
        )  # fmt: skip
    return read_execution(done.execution_id)


def _in_same(
    execution_id: UUID, rerun: Rerun, values: Values, *, now: datetime, by: AbstractBaseUser | None
) -> _Done:
    found = standing(execution_id)
    execution = found.execution
    before: dict[str, Json] = {"status": execution.status}
    failed = [key for key, run in found.runs.items() if run.status == NodeStatus.FAILED]
    nodes = nodes_of(execution_id, rerun, failed, found.version)
    if rerun.start is From.START and rerun.has_input:
        before["input"] = shown(execution.input)
        execution.input = values.input
        execution.save(update_fields=["input"])
    is_given = rerun.start is From.NODE and rerun.has_input
    undone = run_anew(found, nodes, now=now, given={"value": values.input} if is_given else None)
    payloads.record([(execution_id, encode(values.input))], now=now)
    retried = DeadLetter.Resolution.RETRIED
    resolve_letters(execution, [*nodes, *undone], retried, now=now, by=by)
    if rerun.has_output:
        give_output(found.run(nodes[0]), values.output, rerun.next_nodes, now=now)
    return _Done(execution_id, before, {"nodes": nodes, "undone": undone})


def _in_latest(
    execution_id: UUID,
    version: PreparedVersion,
    rerun: Rerun,
    values: Values,
    *,
    now: datetime,
    by: AbstractBaseUser | None,
) -> _Done:
    original = locked(execution_id)
    barred = barred_in(version, original, rerun)
    is_whole = rerun.start is From.START and rerun.has_input
    data = values.input if is_whole else original.input
    new = take_over(original, version, barred, data, now=now, by=by)
    if rerun.start is From.NODE and (rerun.has_input or rerun.has_output):
        _give(_ready_run(new, barred[0]), rerun, values, now=now)
    kept = new.node_runs.exclude(reason="").completed().count()
    after = {"execution": str(new.pk), "version": version.number, "takenOver": kept}
    return _Done(new.pk, {"status": original.status}, after)


def barred_in(version: PreparedVersion, original: Execution, rerun: Rerun) -> list[str]:
    """Return the nodes that are not taken over from an older execution; change nothing.

    Raises:
        As `rerun_from`.
    """
    require_data(original)
    if rerun.start is not From.START:
        require_not_undone(original)
    after_execution(ExecutionStatus(original.status), ExecutionEvent.REOPENED)
    failed = list(original.node_runs.failed().values_list("node_id", flat=True))
    return nodes_of(original.pk, rerun, failed, version)


def _give(run: NodeRun, rerun: Rerun, values: Values, *, now: datetime) -> None:
    if rerun.has_output:
        give_output(run, values.output, rerun.next_nodes, now=now)
        return
    run.given_input, run.attempt = {"value": values.input}, 2
    run.save(update_fields=["given_input", "attempt"])
    payloads.record([(run.execution_id, encode(values.input))], now=now)


def _ready_run(execution: Execution, node_id: str) -> NodeRun:
    """Return the run of the chosen node, which is to be given something.

    Raises:
        InvalidInput: its turn has not come in the new version.
    """
    run = execution.node_runs.filter(node_id=node_id, status=NodeStatus.READY).first()
    if run is None:
        message = f"the latest version must first run what leads to '{node_id}': run it from there"
        raise InvalidInput([Fault("nodeId", "not_ready", message)])
    return run


def nodes_of(
    execution_id: UUID, rerun: Rerun, failed: list[str], version: PreparedVersion
) -> list[str]:
    """Return the nodes that are to run.

    Args:
        failed: Those that have failed for good.

    Raises:
        NothingToRetry: no node has failed.
    """
    if rerun.start is From.START:
        return list(version.graph.roots)
    if rerun.start is From.NODE:
        return [rerun.node_id or ""]
    if not failed:
        raise NothingToRetry(f"execution {execution_id} has no failed node to run again")
    return failed


def checked(rerun: Rerun, version: PreparedVersion, *, now: datetime) -> Values:
    """Return what is given by hand, once everything fits together.

    Raises:
        InvalidInput: with every fault.
        UnknownNodeRun: the version has no such node.
    """
    faults = [*fitting_faults(rerun), *_input_faults(rerun, version)]
    if faults:
        raise InvalidInput(faults)
    if rerun.node_id is not None and rerun.node_id not in version.nodes:
        raise UnknownNodeRun(f"version {version.number} has no node '{rerun.node_id}'")
    output = None
    if rerun.has_output and rerun.node_id is not None:
        output = checked_output(version, rerun.node_id, rerun.output, rerun.next_nodes, now=now)
    data = payloads.stored(rerun.input, now=now) if rerun.has_input else None
    return Values(data, output)


def fitting_faults(rerun: Rerun) -> Iterator[Fault]:
    """Yield what does not fit together, whatever execution it is for."""
    if (rerun.start is From.NODE) != (rerun.node_id is not None):
        message = "name a node exactly if it is to run from a node"
        yield Fault("nodeId", "unfitting", message)
    if rerun.has_input and rerun.start is From.FAILED:
        message = "another input is for a rerun from the start, or from a node"
        yield Fault("input", "unfitting", message)
    if rerun.has_output and rerun.start is not From.NODE:
        yield Fault("output", "unfitting", "another output is for a rerun from a node")
    if rerun.has_output and rerun.has_input:
        yield Fault("output", "unfitting", "give an input or an output, not both")
    if rerun.next_nodes is not None and not rerun.has_output:
        yield Fault("nextNodes", "unfitting", "the children are chosen with an output")


def _input_faults(rerun: Rerun, version: PreparedVersion) -> Iterator[Fault]:
    if not rerun.has_input:
        return
    faults = list(value_faults("input", rerun.input))
    schema = version.definition.input_schema
    if not faults and schema and rerun.start is From.START:
        faults += faults_in(schema, rerun.input, "input")
    yield from faults


def _told(rerun: Rerun) -> dict[str, Json]:
    """Return what was asked for, as its audit entry tells it."""
    told: dict[str, Json] = {"from": rerun.start.value, "in": rerun.version.value}
    if rerun.has_input:
        told["input"] = rerun.input
    if rerun.has_output:
        told |= {"output": rerun.output, "nextNodes": rerun.next_nodes and [*rerun.next_nodes]}
    return told
