"""Approvals: people decide whether a node goes on, and how.

* A node run has one question per round.  Asked again, while it is open, it goes to others.
* Who may decide: who is named, as a user, by a group or by a permission, and superusers; but not
  who started the execution, or the one that it is a part of, unless the question allows it.
* Each person decides once.  One rejection rejects; a quorum of approvals approves.
* A decision counts while the node waits.  At the deadline the node runs again and says itself
  what follows; from that instant on decisions are refused, even if no worker has come yet.
* What was not decided when its node ended is expired if its deadline had come, else cancelled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import F

from ..conf import settings
from ..core.errors import InvalidInput, SpaneError
from ..core.json import Json, UnstorableValue, encode
from ..core.outcome import AskApproval
from ..core.schema import Fault, faults_in
from ..core.statuses import NodeStatus
from ..core.waiting import people_faults
from ..models import Approval, ApprovalDecision, Execution, NodeRun
from ..models.waits import ApprovalQuerySet, groups_of, has_permission
from ..nodes.base import Decided, Decision
from .audit import record
from .claim import Claim
from .db import atomic
from .wake import wake_on_commit

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

_TITLE_CHARACTERS = 200


class UnknownApproval(SpaneError):
    """There is no such approval."""


class NotAllowed(SpaneError):
    """This user may not decide."""


class AlreadyDecided(SpaneError):
    """The approval has been decided, or is not asked for any more."""


class InvalidDecision(InvalidInput):
    """The decision is refused."""

    headline = "Decision refused"


class InvalidPeople(InvalidInput):
    """The people are refused."""

    headline = "Reassignment refused"


def decide(
    approval_id: int,
    *,
    by: AbstractBaseUser,
    is_approved: bool,
    now: datetime,
    comment: str = "",
    form: Json = None,
) -> Approval:
    """Record what one person says; the node goes on if that settles it.

    Args:
        form: What was filled in, as the question's JSON Schema wants it of an approval.

    Locks:
        The node run that waits, so that of two who settle it the first one does.

    Raises:
        UnknownApproval: there is none.
        NotAllowed: who it is may not decide; the message says why.
        AlreadyDecided: it has been, by this person or for good, or its time is over.
        InvalidDecision: the comment or the form is refused; every fault is listed.
    """
    with atomic():
        run, approval = _locked(approval_id)
        if reason := may_decide(approval, by):
            raise NotAllowed(reason)
        _check_open(run, approval, now=now)
        if approval.decisions.filter(user=by.pk).exists():
            raise AlreadyDecided(f"{by.get_username()} has decided about it already")
        faults = list(_faults(approval, is_approved, comment, form))
        if faults:
            raise InvalidDecision(faults)
        ApprovalDecision.objects.create(
            approval=approval,
            user_id=by.pk,
            username=by.get_username()[:150],
            is_approved=is_approved,
            comment=comment,
            form=form,
            decided_at=now,
        )
        _settle(approval, is_approved, now=now)
        record(
            "approve" if is_approved else "reject", now=now, by=by,
            execution_id=approval.execution_id, target=approval.node_run.node_id,
            after={"approval": approval.pk, "status": approval.status}, reason=comment,
        )  # fmt: skip
    return approval


def may_decide(approval: Approval, user: AbstractBaseUser) -> str:
    """Return why a user may not decide about an approval; "" if nothing of theirs forbids it."""
    name = user.get_username()
    if not user.is_active:
        return f"{name} is not active"
    if user.pk == approval.starter_id and not approval.allows_starter:
        return f"{name} started the execution, and nobody approves what they have started"
    if getattr(user, "is_superuser", False) or name in approval.users:
        return ""
    if set(approval.groups).intersection(groups_of(user)):
        return ""
    if approval.permission and has_permission(user, approval.permission):
        return ""
    return f"{name} is none of those who were asked"


def reassign_approval(
    approval_id: int,
    *,
    now: datetime,
    users: Sequence[str] = (),
    groups: Sequence[str] = (),
    permission: str = "",
    by: AbstractBaseUser | None = None,
    reason: str = "",
) -> Approval:
    """Ask others instead of those who were asked; what has been decided about it stays.

    Who is asked already is not asked anew: called twice, it leaves one audit entry.

    Locks:
        The node run that waits.

    Raises:
        UnknownApproval: there is none.
        AlreadyDecided: it is not open any more.
        InvalidPeople: nobody could decide, or too few.
    """
    with atomic():
        run, approval = _locked(approval_id)
        _check_open(run, approval, now=now)
        missing = max(1, approval.quorum - approval.decisions.count())
        faults = list(people_faults(users, groups, permission, quorum=missing))
        if faults:
            raise InvalidPeople([Fault("", "people", fault) for fault in faults])
        before = _people(approval)
        approval.users, approval.groups = list(users), list(groups)
        approval.permission = permission
        if _people(approval) == before:
            return approval
        approval.save(update_fields=["users", "groups", "permission"])
        record(
            "reassign", now=now, by=by, execution_id=approval.execution_id,
            target=approval.node_run.node_id, before=before, after=_people(approval),
            reason=reason,
        )  # fmt: skip
    return approval


def ask(claim: Claim, question: AskApproval, *, now: datetime) -> None:
    """Write the question of a node run that waits for an answer, in the caller's transaction."""
    values = {
        "title": question.title[:_TITLE_CHARACTERS],
        "description": question.description,
        "form_schema": question.form,
        "users": list(question.users),
        "groups": list(question.groups),
        "permission": question.permission,
        "quorum": question.quorum,
        "allows_starter": question.allows_starter,
        "escalation": question.escalation,
        "deadline_at": question.until,
    }
    open_ones = Approval.objects.open().filter(node_run_id=claim.id, round=claim.round)
    if not open_ones.update(**values):
        Approval.objects.create(
            execution_id=claim.execution_id,
            node_run_id=claim.id,
            round=claim.round,
            starter_id=_starter(claim.execution_id),
            created_at=now,
            **values,
        )


def approval_of(claim: Claim) -> Decided | None:
    """Return what became of the approval that a node run has asked for in this round."""
    asked = Approval.objects.filter(node_run_id=claim.id, round=claim.round)
    found = asked.order_by("-id").first()
    if found is None:
        return None
    decisions = tuple(
        Decision(
            user=said.username,
            is_approved=said.is_approved,
            comment=said.comment,
            form=said.form,
            at=said.decided_at,
        )
        for said in found.decisions.order_by("id")
    )
    return Decided(status=found.status, decisions=decisions)


def close_stale(approvals: ApprovalQuerySet, *, now: datetime) -> None:
    """Close what is open although no node asks it any more."""
    stale = approvals.stale()
    went_on = [NodeStatus.COMPLETED, NodeStatus.FAILED]
    expired = stale.filter(
        node_run__status__in=went_on, deadline_at__lte=F("node_run__finished_at")
    )
    expired.update(status=Approval.Status.EXPIRED, decided_at=now)
    stale.update(status=Approval.Status.CANCELLED, decided_at=now)


def _locked(approval_id: int) -> tuple[NodeRun | None, Approval]:
    """Return an approval with the node run that waits for it, locked; None: none waits."""
    key = Approval.objects.filter(pk=approval_id).values_list("node_run_id", flat=True).first()
    # Whoever changes an approval holds its run, so that what is read after that stays.
    runs = NodeRun.objects.select_for_update(of=("self",)).filter(status=NodeStatus.WAITING)
    run = None if key is None else runs.filter(pk=key).first()
    approval = Approval.objects.select_related("node_run").filter(pk=approval_id).first()
    if approval is None:
        raise UnknownApproval(f"there is no approval {approval_id}")
    return run, approval


def _check_open(run: NodeRun | None, approval: Approval, *, now: datetime) -> None:
    """Refuse a decision that comes too late.

    Raises:
        AlreadyDecided: it does.
    """
    if approval.status != Approval.Status.OPEN:
        raise AlreadyDecided(f"it is {approval.status} already")
    if approval.deadline_at is not None and approval.deadline_at <= now:
        raise AlreadyDecided(f"its deadline, {approval.deadline_at:%Y-%m-%d %H:%M} UTC, has passed")
    if run is None or run.attempt - run.losses != approval.round:
        raise AlreadyDecided("its node does not wait for it any more")


def _faults(approval: Approval, is_approved: bool, comment: str, form: Json) -> Iterator[Fault]:
    for path, value in (("comment", comment), ("form", form)):
        try:
            encode(value, limit_bytes=settings.MAX_PAYLOAD_BYTES)
        except UnstorableValue as error:
            yield Fault(path, "unstorable", str(error))
            return
    schema = approval.form_schema
    if schema is None and form is not None:
        yield Fault("form", "unexpected", "there is nothing to fill in")
    elif schema is not None and (is_approved or form is not None):
        yield from faults_in(schema, form, "form")


def _settle(approval: Approval, is_approved: bool, *, now: datetime) -> None:
    """Close the approval and let its node go on, if the last decision settles it."""
    approvals = approval.decisions.filter(is_approved=True).count()
    if is_approved and approvals < approval.quorum:
        return
    status = Approval.Status.APPROVED if is_approved else Approval.Status.REJECTED
    approval.status, approval.decided_at = status.value, now
    approval.save(update_fields=["status", "decided_at"])
    NodeRun.objects.filter(pk=approval.node_run_id).update(available_at=now)
    wake_on_commit([approval.node_run.queue])


def _people(approval: Approval) -> dict[str, Json]:
    return {
        "users": approval.users,
        "groups": approval.groups,
        "permission": approval.permission,
    }


def _starter(execution_id: UUID) -> int | None:
    """Return who started an execution, or the nearest one above it that somebody started."""
    key: UUID | None = execution_id
    while key is not None:
        found = Execution.objects.filter(pk=key).values_list("started_by_id", "parent_id")
        starter, key = found.get()
        if starter is not None:
            return int(starter)
    return None
