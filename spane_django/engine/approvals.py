"""Approvals: people decide whether a node goes on, and how."""

from __future__ import annotations

from datetime import datetime

from ..core.outcome import AskApproval
from ..models import Approval
from ..nodes.base import Decided, Decision
from .claim import Claim


def ask(claim: Claim, question: AskApproval, *, now: datetime) -> None:
    """Write the question of a node run that waits for an answer, in the caller's transaction."""
    Approval.objects.create(
        execution_id=claim.execution_id,
        node_run_id=claim.id,
        round=claim.round,
        title=question.title[:200],
        description=question.description,
        form_schema=question.form,
        users=list(question.users),
        groups=list(question.groups),
        permission=question.permission,
        quorum=question.quorum,
        allows_starter=question.allows_starter,
        escalation=question.escalation,
        created_at=now,
        deadline_at=question.until,
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
