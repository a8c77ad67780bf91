"""Ending a node by hand: the execution goes on without it, or with an output that is given.

Each verb is one transaction that needs no worker, and is audited.  A node that a worker holds is
taken from it: its claim ends, and its answer is refused when it comes.  What follows for the
nodes behind it is what would follow if it had ended so on its own.

* A node that failed is opened again first (see `reopen`), so that what it blocked goes on.
* A node whose turn has not come cannot be ended: nothing has led to it yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from ..conf import settings
from ..core.errors import InvalidInput
from ..core.json import Json, UnstorableValue, encode
from ..core.plan import Ended
from ..core.schema import Fault
from ..core.statuses import NodeEvent, NodeStatus, after_node
from ..models import DeadLetter, Execution, NodeRun
from . import payloads
from .audit import record
from .control import UnknownExecution, locked
from .db import atomic
from .ending import conclude
from .followup import follow_up_on_commit
from .progress import follow
from .reopen import locked_run, resolve_letters, run_again, standing
from .sql import statements
from .versions import PreparedVersion, prepared

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

_REASON_LENGTH = 200


def skip(
    execution_id: UUID,
    node_id: str,
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    reason: str = "",
) -> Execution:
    """Let an execution go on without a node: those behind it see it as skipped.

    Locks:
        The execution, then its node runs.

    Raises:
        UnknownExecution, UnknownNodeRun: there is none.
        IllegalTransition: it has ended otherwise than by failing, or its turn has not come.
    """
    with atomic():
        run, was = _opened(execution_id, node_id, DeadLetter.Resolution.SKIPPED, now=now, by=by)
        end_by_hand(run, NodeEvent.SKIPPED, now=now, reason=reason)
        record(
            "skip", now=now, by=by, execution_id=execution_id, target=node_id,
            before={"status": was}, after={"status": run.status}, reason=reason,
        )  # fmt: skip
    return read_execution(execution_id)


def complete(
    execution_id: UUID,
    node_id: str,
    output: Json = None,
    *,
    next_nodes: Sequence[str] | None = None,
    now: datetime,
    by: AbstractBaseUser | None = None,
    reason: str = "",
) -> Execution:
    """Complete a node by hand with this output; those behind it go on with it.

    Args:
        next_nodes: The children that it chooses; None: those that a success leads to.

    Locks:
        The execution, then its node runs.

    Raises:
        UnknownExecution, UnknownNodeRun: there is none.
        InvalidInput: the output or the choice is refused; every fault is listed.
        IllegalTransition: it has ended otherwise than by failing, or its turn has not come.
    """
    version = prepared(version_of(execution_id))
    given = checked_output(version, node_id, output, next_nodes, now=now)
    with atomic():
        run, was = _opened(execution_id, node_id, DeadLetter.Resolution.COMPLETED, now=now, by=by)
        give_output(run, given, next_nodes, now=now, reason=reason)
        record(
            "complete", now=now, by=by, execution_id=execution_id, target=node_id,
            before={"status": was},
            after={"status": run.status, "output": output, "nextNodes": run.next_nodes},
            reason=reason,
        )  # fmt: skip
    return read_execution(execution_id)


def checked_output(
    version: PreparedVersion,
    node_id: str,
    output: Json,
    next_nodes: Sequence[str] | None,
    *,
    now: datetime,
) -> Json:
    """Return what a node is to hand on as its column holds it: a large output is a file now.

    Raises:
        InvalidInput: the node could not have handed it on; every fault is listed.
    """
    faults = list(value_faults("output", output))
    children = version.graph.children.get(node_id, ())
    for index, chosen in enumerate(next_nodes or ()):
        if chosen not in children:
            known = ", ".join(children) or "none"
            message = f"'{chosen}' is no child of '{node_id}': its children are {known}"
            faults.append(Fault(f"nextNodes[{index}]", "unknown_node", message))
    if faults:
        raise InvalidInput(faults)
    return payloads.stored(output, now=now)


def value_faults(path: str, value: Json) -> Iterator[Fault]:
    """Yield why a value cannot be stored."""
    try:
        encode(value, limit_bytes=settings.MAX_PAYLOAD_BYTES)
    except UnstorableValue as error:
        yield Fault(path, "unstorable", str(error))


def version_of(execution_id: UUID) -> int:
    """Return the version that an execution runs.

    Raises:
        UnknownExecution: there is no such execution.
    """
    found = Execution.objects.filter(pk=execution_id).values_list("version_id", flat=True).first()
    if found is None:
        raise UnknownExecution(f"there is no execution {execution_id}")
    return found


def give_output(
    run: NodeRun,
    given: Json,
    next_nodes: Sequence[str] | None,
    *,
    now: datetime,
    reason: str = "",
) -> None:
    """Complete an unfinished node run, inside the caller's transaction; see `complete`.

    Args:
        given: What `checked_output` returned.

    Raises:
        IllegalTransition: its turn has not come.
    """
    usual = prepared(run.execution.version_id).nodes[run.node_id].policy.usual_nodes
    chosen = usual if next_nodes is None else next_nodes
    run.output = given
    run.next_nodes = None if chosen is None else list(chosen)
    payloads.record([(run.execution_id, encode(given))], now=now)
    end_by_hand(run, NodeEvent.COMPLETED_BY_HAND, now=now, reason=reason)


def end_by_hand(run: NodeRun, event: NodeEvent, *, now: datetime, reason: str) -> None:
    """End an unfinished node run and let its execution go on, inside the caller's transaction.

    Raises:
        IllegalTransition: the run cannot end so.
    """
    status = after_node(NodeStatus(run.status), event)
    done = "completed" if event is NodeEvent.COMPLETED_BY_HAND else "skipped"
    run.status, run.finished_at = status.value, now
    run.reason = f"{done} by hand{': ' if reason else ''}{reason}"[:_REASON_LENGTH]
    run.claim_token = run.checkpoint = None
    run.is_held = False
    run.error_type = run.error_message = run.signal_name = run.signal_key = ""
    run.save()
    chosen = None if run.next_nodes is None else frozenset(run.next_nodes)
    ended = Ended(run.node_id, status, chosen, has_run_before=True)
    key = run.execution_id
    steps = follow(statements().lock({key}), {key: [ended]}, now=now)
    todo = conclude(steps.ended, now=now)
    todo.queues |= steps.left
    todo.runs.add(run.pk)
    follow_up_on_commit(todo, now=now)


def _opened(
    execution_id: UUID,
    node_id: str,
    resolution: DeadLetter.Resolution,
    *,
    now: datetime,
    by: AbstractBaseUser | None,
) -> tuple[NodeRun, str]:
    """Return a run that has not ended, opened again if it failed, and what it was."""
    execution = locked(execution_id)
    run = locked_run(execution, node_id)
    was = run.status
    if was == NodeStatus.FAILED:
        found = standing(execution_id)
        run_again(found, node_id, now=now)
        resolve_letters(execution, [node_id], resolution, now=now, by=by)
        run = found.run(node_id)
    return run, was


def read_execution(execution_id: UUID) -> Execution:
    """Return an execution as it is now, with its workflow."""
    return Execution.objects.select_related("workflow").get(pk=execution_id)
