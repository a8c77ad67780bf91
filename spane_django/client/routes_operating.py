"""The methods for operators and people: each function says which call it makes; see `methods`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from .answers import (
    Json,
)
from .answers_operating import (
    Approval,
    ApprovalInFull,
    AuditEntry,
    Autoscaling,
    DeadLetter,
    Gate,
    Health,
    Operation,
    QueueLoad,
    Signal,
    Stats,
)
from .exchange import Call
from .wire import NOTHING, given, ids

_APPROVAL = "/api/approvals/{approvalId}"
_LETTER = "/api/dlq/{letterId}"
_GATE = "/api/gates/{gateKey}"


def bulk(
    verb: str,
    selection: Mapping[str, Any],
    arguments: Mapping[str, Any] | None = None,
    *,
    dry_run: bool = True,
    reason: str | None = None,
) -> Call[Operation]:
    """Count the executions that a verb would change, or without ``dry_run`` change them."""
    body = given(verb=verb, selection=selection, arguments=arguments, reason=reason)
    return Call(
        method="POST", path="/api/executions/bulk", answer=Operation,
        body={**body, "dryRun": dry_run},
    )  # fmt: skip


def operation(operation_id: str) -> Call[Operation]:
    """Return how far a bulk operation is."""
    return Call(
        method="GET", path="/api/executions/bulk/{operationId}", answer=Operation,
        ids=ids(operation_id=operation_id),
    )  # fmt: skip


def signal(name: str, payload: Json = None, *, key: str | None = None) -> Call[Signal]:
    """Send a signal to whoever waits for it by its key."""
    body = {"name": name, "payload": payload, **given(key=key)}
    return Call(method="POST", path="/api/signals", answer=Signal, body=body)


def signal_execution(execution_id: str, name: str, payload: Json = None) -> Call[Signal]:
    """Send a signal to an execution."""
    return Call(
        method="POST", path="/api/executions/{executionId}/signal/{signalName}", answer=Signal,
        ids=ids(execution_id=execution_id, signal_name=name), body={"payload": payload},
    )  # fmt: skip


def approvals(*, scope: str | None = None) -> Call[Approval]:
    """Return approvals: ``mine`` (what I may decide now), ``open`` or ``all``."""
    return Call(method="GET", path="/api/approvals", answer=Approval, query=given(scope=scope))


def approval(approval_id: int) -> Call[ApprovalInFull]:
    """Return an approval, and why I may not decide it."""
    where = ids(approval_id=approval_id)
    return Call(method="GET", path=_APPROVAL, answer=ApprovalInFull, ids=where)


def approve(
    approval_id: int, *, comment: str | None = None, form: Json = NOTHING
) -> Call[Approval]:
    """Say yes."""
    return _decide("approve", approval_id, comment, form)


def reject(approval_id: int, *, comment: str | None = None, form: Json = NOTHING) -> Call[Approval]:
    """Say no."""
    return _decide("reject", approval_id, comment, form)


def reassign_approval(
    approval_id: int,
    *,
    users: Sequence[str] = (),
    groups: Sequence[str] = (),
    permission: str | None = None,
    reason: str | None = None,
) -> Call[Approval]:
    """Ask others instead of those who were asked."""
    body = given(users=list(users), groups=list(groups), permission=permission, reason=reason)
    return Call(
        method="POST", path=f"{_APPROVAL}/reassign", answer=Approval,
        ids=ids(approval_id=approval_id), body=body,
    )  # fmt: skip


def dead_letters(
    *,
    workflow: str | None = None,
    execution: str | None = None,
    node: str | None = None,
    node_type: str | None = None,
    error_type: str | None = None,
    text: str | None = None,
    created_since: datetime | None = None,
    created_until: datetime | None = None,
) -> Call[DeadLetter]:
    """Return what failed for good and nobody has dealt with, the newest first."""
    query = given(
        workflow=workflow, execution=execution, node=node, node_type=node_type,
        error_type=error_type, text=text, created_since=created_since, created_until=created_until,
    )  # fmt: skip
    return Call(method="GET", path="/api/dlq", answer=DeadLetter, query=query)


def retry_dead_letter(letter_id: int, *, reason: str | None = None) -> Call[DeadLetter]:
    """Run its node again."""
    return Call(
        method="POST", path=f"{_LETTER}/retry", answer=DeadLetter,
        ids=ids(letter_id=letter_id), body=given(reason=reason),
    )  # fmt: skip


def discard_dead_letter(letter_id: int, *, reason: str | None = None) -> Call[DeadLetter]:
    """Mark it as dealt with."""
    return Call(
        method="POST", path=f"{_LETTER}/discard", answer=DeadLetter,
        ids=ids(letter_id=letter_id), body=given(reason=reason),
    )  # fmt: skip


def retry_dead_letters(
    selection: Mapping[str, Any], *, dry_run: bool = True, reason: str | None = None
) -> Call[Operation]:
    """Count the open dead letters that a filter chooses, or run their nodes again.

    Args:
        selection: In the words of the wire, such as ``{"workflow": "flow"}`` or ``{"all": True}``.
    """
    return Call(
        method="POST", path="/api/dlq/retry-all", answer=Operation,
        body={**selection, "dryRun": dry_run, **given(reason=reason)},
    )  # fmt: skip


def discard_dead_letters(
    selection: Mapping[str, Any], *, dry_run: bool = True, reason: str | None = None
) -> Call[Operation]:
    """Count the open dead letters that a filter chooses, or mark them as dealt with."""
    return Call(
        method="POST", path="/api/dlq/discard-all", answer=Operation,
        body={**selection, "dryRun": dry_run, **given(reason=reason)},
    )  # fmt: skip


def gates() -> Call[Gate]:
    """Return the limits in use."""
    return Call(method="GET", path="/api/gates", answer=Gate)


def open_gate(key: str, *, reason: str | None = None) -> Call[Gate]:
    """Hold all nodes of a gate back until somebody closes it."""
    return _flip("open", key, reason)


def close_gate(key: str, *, reason: str | None = None) -> Call[Gate]:
    """Let nodes through a gate again."""
    return _flip("close", key, reason)


def reset_gate(key: str, *, reason: str | None = None) -> Call[Gate]:
    """Let a gate begin anew."""
    return _flip("reset", key, reason)


def audit(
    *,
    user: str | None = None,
    verb: str | None = None,
    execution: str | None = None,
    target: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Call[AuditEntry]:
    """Return who did what to what and why, the newest first."""
    query = given(
        user=user, verb=verb, execution=execution, target=target, since=since, until=until
    )
    return Call(method="GET", path="/api/audit", answer=AuditEntry, query=query)


def stats() -> Call[Stats]:
    """Return how much there is to do."""
    return Call(method="GET", path="/api/stats", answer=Stats)


def autoscaling() -> Call[Autoscaling]:
    """Return how long work waits, in all queues."""
    return Call(method="GET", path="/api/autoscaling", answer=Autoscaling)


def load(queue: str) -> Call[QueueLoad]:
    """Return how long the work of a queue waits."""
    return Call(method="GET", path="/api/autoscaling", answer=QueueLoad, query=given(queue=queue))


def health() -> Call[Health]:
    """Return whether work is being done; what is not well is an answer, too."""
    return Call(method="GET", path="/health", answer=Health, fine=(503,))


def _decide(verb: str, approval_id: int, comment: str | None, form: Json) -> Call[Approval]:
    body = given(comment=comment)
    return Call(
        method="POST", path=f"{_APPROVAL}/{verb}", answer=Approval,
        ids=ids(approval_id=approval_id), body=body if form is NOTHING else {**body, "form": form},
    )  # fmt: skip


def _flip(verb: str, key: str, reason: str | None) -> Call[Gate]:
    return Call(
        method="POST", path=f"{_GATE}/{verb}", answer=Gate,
        ids=ids(gate_key=key), body=given(reason=reason),
    )  # fmt: skip
