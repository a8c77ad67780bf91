"""What went wrong, in one shape: ``{"error": {"code", "message", "details": [...]}}``.

Each detail has a ``path`` (a JSON path into what was sent, or the name of a header), a ``code``
for programs and a ``message`` for people.  The engine's errors get their status here and
nowhere else; what is in no table is a fault of ours and goes on to Django as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404
from django.http.request import UnreadablePostError
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from ..core.errors import Faulty, InvalidDefinition, InvalidInput, SpaneError
from ..core.schema import Fault
from ..core.statuses import IllegalTransition
from ..engine.approvals import AlreadyDecided, InvalidDecision, NotAllowed, UnknownApproval
from ..engine.bulk import UnknownOperation
from ..engine.clear import ClearedData
from ..engine.control import UnknownExecution
from ..engine.gates import UnknownGate
from ..engine.grants import TooMuch
from ..engine.operate import NothingToReassign, NotWaitingForTime
from ..engine.retry import NothingToRetry, ResolvedDeadLetter, UnknownDeadLetter, UnknownNodeRun
from ..engine.scope import NoTenant, UnknownTenant, WhichTenant
from ..engine.secrets import SecretExists, UnknownSecret
from ..engine.signals import EndedExecution
from ..engine.start import (
    DisabledWorkflow,
    DuplicateExecution,
    IdempotencyConflict,
    NoRoom,
    UnknownWorkflow,
)
from ..engine.tokens import UnknownToken
from ..engine.versions import UnknownVersion, WrongVersionStatus
from ..models.payloads import PayloadUnavailable
from ..triggers.event_triggers import DeclaredTrigger, InvalidTrigger, UnknownTrigger
from ..triggers.schedules import UnknownSchedule
from ..triggers.timing import InvalidTiming
from ..triggers.webhook_config import InvalidWebhook
from ..triggers.webhook_intake import RefusedMapping, UnknownDelivery
from ..triggers.webhooks import UnknownWebhook, UnsignedWebhook
from .wire import PayloadTooLarge

# The first that fits counts.
_STATUS: tuple[tuple[type[SpaneError], int, str], ...] = (
    (InvalidDefinition, 422, "invalid_definition"),
    (InvalidDecision, 422, "invalid_decision"),
    (InvalidInput, 400, "invalid_input"),
    (NothingToRetry, 409, "nothing_to_retry"),
    (UnknownWorkflow, 404, "unknown_workflow"),
    (UnknownVersion, 404, "unknown_version"),
    (UnknownExecution, 404, "unknown_execution"),
    (UnknownDeadLetter, 404, "unknown_dead_letter"),
    (UnknownNodeRun, 404, "unknown_node_run"),
    (UnknownOperation, 404, "unknown_operation"),
    (UnknownApproval, 404, "unknown_approval"),
    (InvalidWebhook, 400, "invalid_webhook"),
    (UnknownWebhook, 404, "unknown_webhook"),
    (UnknownSchedule, 404, "unknown_schedule"),
    (InvalidTiming, 409, "invalid_timing"),
    (InvalidTrigger, 400, "invalid_trigger"),
    (UnknownTrigger, 404, "unknown_trigger"),
    (DeclaredTrigger, 409, "declared_trigger"),
    (UnknownDelivery, 404, "unknown_delivery"),
    (UnsignedWebhook, 409, "unsigned_webhook"),
    (RefusedMapping, 409, "refused_mapping"),
    (UnknownGate, 404, "unknown_gate"),
    (UnknownSecret, 404, "unknown_secret"),
    (SecretExists, 409, "secret_exists"),
    (UnknownTenant, 404, "unknown_tenant"),
    (WhichTenant, 400, "which_tenant"),
    (NoTenant, 403, "no_tenant"),
    (UnknownToken, 404, "unknown_token"),
    (TooMuch, 403, "too_much"),
    (NotAllowed, 403, "not_allowed"),
    (AlreadyDecided, 409, "already_decided"),
    (EndedExecution, 409, "ended_execution"),
    (IllegalTransition, 409, "illegal_transition"),
    (NotWaitingForTime, 409, "not_waiting_for_time"),
    (NothingToReassign, 409, "nothing_to_reassign"),
    (ResolvedDeadLetter, 409, "resolved_dead_letter"),
    (IdempotencyConflict, 409, "idempotency_conflict"),
    (DisabledWorkflow, 409, "disabled_workflow"),
    (DuplicateExecution, 409, "duplicate_execution"),
    (NoRoom, 409, "no_room"),
    (WrongVersionStatus, 409, "wrong_version_status"),
    (ClearedData, 409, "data_cleared"),
    (PayloadUnavailable, 503, "payload_unavailable"),
)

_MOST_DETAILS = 1_000
_MOST_CHARACTERS = 1_000


def respond(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the answer to an error of a view; None hands it on to Django.  DRF's handler."""
    response = _spane_response(error) if isinstance(error, SpaneError) else _drf_response(error)
    if response is not None:
        set_rollback()
    return response


def error_body(code: str, message: str, details: Sequence[Fault] = ()) -> dict[str, Any]:
    """Return the one shape of errors; of very many details the first are told."""
    return {
        "error": {
            "code": code,
            "message": _shortened(message),
            "details": list(present_faults(details[:_MOST_DETAILS])),
        }
    }


def present_faults(faults: Iterable[Fault]) -> Iterable[dict[str, str]]:
    """Yield faults as they go over the wire."""
    for fault in faults:
        message = _shortened(fault.message)
        yield {"path": _shortened(fault.path), "code": fault.code, "message": message}


def _spane_response(error: SpaneError) -> Response | None:
    for kind, status, code in _STATUS:
        if isinstance(error, kind):
            return Response(error_body(code, str(error), _faults(error)), status=status)
    return None


def _faults(error: SpaneError) -> Sequence[Fault]:
    if isinstance(error, Faulty):
        return error.faults
    if isinstance(error, IllegalTransition):
        return [Fault("status", error.status.value, f"it is {error.status.value}")]
    return ()


def _drf_response(error: Exception) -> Response | None:
    known = _translated(error)
    if not isinstance(known, exceptions.APIException):
        return None
    headers = {}
    if auth_header := getattr(known, "auth_header", None):
        headers["WWW-Authenticate"] = auth_header
    if wait := getattr(known, "wait", None):
        headers["Retry-After"] = str(int(wait))
    code = known.get_codes()
    body = error_body(code if isinstance(code, str) else known.default_code, str(known.detail))
    return Response(body, status=known.status_code, headers=headers)


def _translated(error: Exception) -> Exception:
    """Return Django's own errors as those of REST framework."""
    if isinstance(error, Http404):
        return exceptions.NotFound()
    if isinstance(error, PermissionDenied):
        return exceptions.PermissionDenied()
    if isinstance(error, RequestDataTooBig):
        return PayloadTooLarge("the body is too large")
    if isinstance(error, UnreadablePostError):
        return exceptions.ParseError("the body could not be read")
    return error


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"
