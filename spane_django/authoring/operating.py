"""What operators do to nodes and to many executions, as a project calls it.

Like `verbs`: these read the clock and join the caller's transaction; only :func:`bulk` has
transactions of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from ..clock import now
from ..core.json import Json
from ..engine import bulk as operating
from ..engine import by_hand, operate
from ..engine.rerun import UNCHANGED, From, In, Rerun
from ..engine.rerun import rerun_from as run_from
from ..models import BulkOperation, Execution, NodeRun
from .verbs import AnyExecution, id_of

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


class Who(TypedDict, total=False):
    """Who wants it, and why: kept in the audit trail."""

    by: AbstractBaseUser | None
    reason: str


class RerunKeywords(Who, total=False):
    """How a part of an execution runs anew; see :class:`spane_django.engine.rerun.Rerun`."""

    version: str
    input: Json
    output: Json
    next_nodes: Sequence[str] | None


def retry_now(execution: AnyExecution, node: str, **who: Unpack[Who]) -> NodeRun:
    """Let a node go on now that waits for a retry or another time.

    Raises:
        UnknownExecution, UnknownNodeRun, NotWaitingForTime: nothing has changed.
    """
    return operate.retry_now(id_of(execution), node, now=now(), **who)


def skip(execution: AnyExecution, node: str, **who: Unpack[Who]) -> Execution:
    """Let an execution go on without a node that is unfinished or has failed.

    Raises:
        UnknownExecution, UnknownNodeRun, IllegalTransition: nothing has changed.
    """
    return by_hand.skip(id_of(execution), node, now=now(), **who)


def complete(
    execution: AnyExecution,
    node: str,
    output: Json = None,
    *,
    next_nodes: Sequence[str] | None = None,
    **who: Unpack[Who],
) -> Execution:
    """Complete a node that is unfinished or has failed with this output.

    Args:
        next_nodes: The children that it chooses; None: those that a success leads to.

    Raises:
        UnknownExecution, UnknownNodeRun, InvalidInput, IllegalTransition: nothing has changed.
    """
    key = id_of(execution)
    return by_hand.complete(key, node, output, next_nodes=next_nodes, now=now(), **who)


def reassign(
    execution: AnyExecution,
    *,
    queue: str | None = None,
    priority: int | None = None,
    node: str | None = None,
    **who: Unpack[Who],
) -> Execution:
    """Move what has not ended of an execution, or one node, to a queue or a priority.

    Raises:
        UnknownExecution, UnknownNodeRun, InvalidInput, NothingToReassign: nothing has changed.
    """
    return operate.reassign(
        id_of(execution), queue=queue, priority=priority, node_id=node, now=now(), **who
    )


def rerun_from(
    execution: AnyExecution, where: str = From.FAILED, **keywords: Unpack[RerunKeywords]
) -> Execution:
    """Run a part of an execution anew, and return the execution that does: it, or a new one.

    Args:
        where: ``"failed"``, ``"start"``, or the id of a node; of a node with one of these names
            say ``"node:failed"``.
        version: ``"same"``, or ``"latest"`` for a new execution of the latest version, which
            takes over what has completed elsewhere.
        input: Another one, of the execution (from the start) or of the node.
        output: What the node hands on without running.

    Raises:
        UnknownExecution, UnknownNodeRun, InvalidInput, NothingToRetry, IllegalTransition: nothing
            has changed.
    """
    who: Who = {"by": keywords.get("by"), "reason": keywords.get("reason", "")}
    is_node = where not in (From.FAILED, From.START)
    rerun = Rerun(
        start=From.NODE if is_node else From(where),
        node_id=where.removeprefix("node:") if is_node else None,
        version=In(keywords.get("version", In.SAME)),
        input=keywords.get("input", UNCHANGED),
        output=keywords.get("output", UNCHANGED),
        next_nodes=keywords.get("next_nodes"),
    )
    return run_from(id_of(execution), rerun, now=now(), **who)


def bulk_count(
    verb: str, selection: Mapping[str, Any], arguments: Mapping[str, Any] | None = None
) -> int:
    """Return how many executions :func:`bulk` would be applied to.

    Raises:
        InvalidInput: every fault is listed.
    """
    return operating.plan(verb, selection, arguments)


def bulk(
    verb: str,
    selection: Mapping[str, Any],
    arguments: Mapping[str, Any] | None = None,
    **who: Unpack[Who],
) -> BulkOperation:
    """Apply a verb to many executions, and return what was done and refused.

    Each step is a transaction of its own, so it cannot be called inside one.  If the process
    dies on the way, the scheduler goes on with it.

    Args:
        verb: ``pause``, ``resume``, ``cancel``, ``replay``, ``retry``, ``retry-now``, ``skip``,
            ``complete``, ``reassign`` or ``rerun``.
        selection: ``{"ids": [...]}`` or a filter, such as ``{"workflow": "ship", "status":
            ["failed"], "createdSince": "2025-01-31T00:00:00Z"}``.
        arguments: What the verb takes, in the names of the wire, such as ``{"nodeId": "pay"}``.

    Raises:
        InvalidInput: every fault is listed, and nothing has changed.
    """
    operation = operating.begin(verb, selection, arguments, now=now(), **who)
    while operation.finished_at is None:
        operation = operating.advance(operation.pk, now=now())
    return operation
