"""What nodes wait for, as a project tells it: signals, and what people decide.

Each joins the caller's transaction: a payment and the signal that tells of it commit together or
not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..clock import now
from ..core.json import Json
from ..engine import approvals, signals
from ..models import Approval, Signal
from .verbs import AnyExecution, id_of

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


def signal(
    name: str,
    payload: Json = None,
    *,
    key: str | None = None,
    execution: AnyExecution | None = None,
    by: AbstractBaseUser | None = None,
    tenant: str = "",
) -> Signal:
    """Tell a node that waits for it, now or later, that something has happened.

    Args:
        name: What the ``wait`` node calls it.
        payload: What that node hands on.
        key: Which of the signals of this name, such as an order's number.
        execution: Send it to this execution's waits without a key, instead of ``key``.
        tenant: Whose executions may take it; that of ``execution`` need not be said.

    Raises:
        InvalidSignal: the name, the key or the payload is refused; every fault is listed.
        UnknownExecution, EndedExecution: the execution can take nothing.
    """
    target = None if execution is None else id_of(execution)
    return signals.signal(
        name, payload, now=now(), key=key, execution_id=target, by=by, tenant=tenant
    )


def approve(
    approval: Approval | int, *, by: AbstractBaseUser, comment: str = "", form: Json = None
) -> Approval:
    """Say yes, as one person.

    Args:
        form: What the question's JSON Schema wants to be filled in.

    Raises:
        UnknownApproval, NotAllowed, AlreadyDecided, InvalidDecision: nothing has changed.
    """
    return approvals.decide(
        _key(approval), by=by, is_approved=True, now=now(), comment=comment, form=form
    )


def reject(
    approval: Approval | int, *, by: AbstractBaseUser, comment: str = "", form: Json = None
) -> Approval:
    """Say no, as one person: that decides it.

    Raises:
        UnknownApproval, NotAllowed, AlreadyDecided, InvalidDecision: nothing has changed.
    """
    return approvals.decide(
        _key(approval), by=by, is_approved=False, now=now(), comment=comment, form=form
    )


def reassign_approval(
    approval: Approval | int,
    *,
    users: Sequence[str] = (),
    groups: Sequence[str] = (),
    permission: str = "",
    by: AbstractBaseUser | None = None,
    reason: str = "",
) -> Approval:
    """Ask others instead of those who were asked; what has been decided stays.

    Raises:
        UnknownApproval, AlreadyDecided, InvalidPeople: nothing has changed.
    """
    return approvals.reassign_approval(
        _key(approval), now=now(), users=users, groups=groups, permission=permission, by=by,
        reason=reason,
    )  # fmt: skip


def _key(approval: Approval | int) -> int:
    return approval if isinstance(approval, int) else approval.pk
