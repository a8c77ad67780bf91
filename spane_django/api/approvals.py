"""Approvals over HTTP: what people are asked, and what they answer.

Who may read them all has the permission of the model; who may answer at all, ``decide_approval``.
Whether they may answer this one is said by the approval itself.
"""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from ..clock import now as current_time
from ..core.errors import InvalidInput
from ..core.schema import Fault, Schema
from ..engine.approvals import UnknownApproval, decide, may_decide, reassign_approval
from ..models import Approval
from ..models.waits import ApprovalQuerySet
from .auth import may_see_payloads, user_of
from .base import EngineView, row_key
from .examples import DECISION as SAID
from .filters import require_known
from .openapi import extend_schema, page_of, sent
from .pages import PAGE_NAMES, page
from .shapes_operating import ApprovalInFullShape, ApprovalShape
from .wire import body_of

DECISION: Schema = {
    "type": "object",
    "properties": {"comment": {"type": "string", "maxLength": 4_000}, "form": {}},
    "additionalProperties": False,
}
_NAMES: Schema = {
    "type": "array",
    "items": {"type": "string", "minLength": 1, "maxLength": 150},
    "maxItems": 100,
}
PEOPLE: Schema = {
    "type": "object",
    "properties": {
        "users": _NAMES,
        "groups": _NAMES,
        "permission": {"type": "string", "maxLength": 200},
        "reason": {"type": "string", "maxLength": 1_000},
    },
    "additionalProperties": False,
}
ASKED = {"groups": ["editors"], "reason": "Ada is on leave"}
SCOPES = ("mine", "open", "all")
_SCOPE = OpenApiParameter(
    "scope",
    {"type": "string", "enum": list(SCOPES), "default": "mine"},
    description="What the user may decide now, all that is open, or all.",
)


class ApprovalsView(EngineView):
    """Lists what the user may decide now (``?scope=mine``, the default), all that is open, all."""

    permissions = {"GET": "spane_django.view_approval"}
    is_paged = True

    @extend_schema(
        summary="List approvals",
        parameters=[
            OpenApiParameter(
                "scope", {"enum": list(SCOPES), "default": "mine"}, description="Whose."
            )
        ],
        responses=page_of(ApprovalShape),
    )
    def get(self, request: Request) -> Response:
        require_known(request, {"scope", *PAGE_NAMES})

        def present(approval: Approval) -> dict[str, Any]:
            return _shown(approval, request)

        return page(
            request, _with_all(self.scope.within(_chosen(request))), present, ordering=("-id",)
        )


class ApprovalView(EngineView):
    """Shows one, with what has been decided about it, and why the user may not decide."""

    permissions = {"GET": "spane_django.view_approval"}

    @extend_schema(responses=ApprovalInFullShape)
    def get(self, request: Request, approval_id: str) -> Response:
        found = _found(_approval_key(approval_id))
        why_not = may_decide(found, user_of(request)) or None
        return Response({**_shown(found, request), "whyNot": why_not})


class DecideView(EngineView):
    """Records what the user says."""

    is_approved: ClassVar[bool]
    permissions = {"POST": "spane_django.decide_approval"}

    @extend_schema(
        request=DECISION, responses=ApprovalShape, examples=[sent("With a comment", SAID)]
    )
    def post(self, request: Request, approval_id: str) -> Response:
        body = body_of(request, DECISION)
        decided = decide(
            _approval_key(approval_id),
            by=user_of(request),
            is_approved=self.is_approved,
            now=current_time(),
            comment=body.get("comment", ""),
            form=body.get("form"),
        )
        return Response(_shown(_found(decided.pk), request))


class ApproveView(DecideView):
    """Says yes."""

    is_approved = True


class RejectView(DecideView):
    """Says no."""

    is_approved = False


class ReassignApprovalView(EngineView):
    """Asks others instead of those who were asked; what has been decided stays."""

    permissions = {"POST": "spane_django.reassign_approval"}

    @extend_schema(request=PEOPLE, responses=ApprovalShape, examples=[sent("Editors", ASKED)])
    def post(self, request: Request, approval_id: str) -> Response:
        body = body_of(request, PEOPLE)
        asked = reassign_approval(
            _approval_key(approval_id),
            now=current_time(),
            by=user_of(request),
            users=body.get("users", ()),
            groups=body.get("groups", ()),
            permission=body.get("permission", ""),
            reason=body.get("reason", ""),
        )
        return Response(_shown(_found(asked.pk), request))


def _chosen(request: Request) -> ApprovalQuerySet:
    scope = request.query_params.get("scope", "mine")
    match scope:
        case "mine":
            return Approval.objects.for_user(user_of(request), now=current_time())
        case "open":
            return Approval.objects.open()
        case "all":
            return Approval.objects.all()
    message = f"use one of {', '.join(SCOPES)}"
    raise InvalidInput([Fault("scope", "unknown_scope", message)])


def _with_all(approvals: ApprovalQuerySet) -> ApprovalQuerySet:
    found = approvals.select_related("execution__workflow", "node_run")
    found = found.defer("execution__input", "node_run__output", "node_run__checkpoint")
    return found.prefetch_related("decisions")


def _found(key: int) -> Approval:
    found = _with_all(Approval.objects.filter(pk=key)).first()
    if found is None:
        raise UnknownApproval(f"there is no approval {key}")
    return found


def _approval_key(given: str) -> int:
    key = row_key(given)
    if key is None:
        raise UnknownApproval(f"there is no approval '{given[:100]}'")
    return key


def _shown(approval: Approval, request: Request) -> dict[str, Any]:
    with_payloads = may_see_payloads(request)
    return {
        "id": approval.pk,
        "executionId": approval.execution_id,
        "workflowId": approval.execution.workflow.key,
        "nodeId": approval.node_run.node_id,
        "title": approval.title,
        "description": approval.description,
        "form": approval.form_schema,
        "users": approval.users,
        "groups": approval.groups,
        "permission": approval.permission or None,
        "quorum": approval.quorum,
        "escalation": approval.escalation,
        "status": approval.status,
        "createdAt": approval.created_at,
        "deadlineAt": approval.deadline_at,
        "decidedAt": approval.decided_at,
        "decisions": [
            {
                "user": said.username,
                "approved": said.is_approved,
                "comment": said.comment,
                "form": said.form if with_payloads else None,
                "at": said.decided_at,
            }
            for said in sorted(approval.decisions.all(), key=lambda said: said.pk)
        ],
        "payloadsHidden": not with_payloads,
    }
