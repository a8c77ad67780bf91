"""API tokens over HTTP: list them, make them, give them another secret, end them.

Whoever has ``own_apitoken`` does so with tokens of their own.  Those of others are listed with
``view_apitoken``, made with ``add_apitoken`` and changed with ``change_apitoken``; nobody hands
on more than they have (`engine.grants`).  The secret is in the answer that makes it and nowhere
else, ever.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from ..clock import now as current_time
from ..core.errors import InvalidInput
from ..core.schema import Fault, Schema
from ..engine import tokens
from ..engine.grants import Grant, require_grantable
from ..engine.scope import has_tenants, tenant_model
from ..models import ApiToken, Tenant
from .auth import may, token_of, user_of, why_not
from .base import EngineView, row_key
from .openapi import example, extend_schema, page_of, sent
from .pages import page
from .shapes_tokens import NewTokenShape, TenantShape, TokenShape
from .versions import NOTHING
from .wire import body_of

OWN = "spane_django.own_apitoken"

_DAYS: Schema = {"type": "number", "exclusiveMinimum": 0, "maximum": 3_650}
TOKEN: Schema = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 100},
        "scope": {"enum": list(tokens.SCOPES)},
        "tenant": {"type": "string", "minLength": 1, "maxLength": 64},
        "user": {"type": "string", "minLength": 1, "maxLength": 150},
        "expiresInDays": _DAYS,
    },
    "required": ["name", "scope"],
    "additionalProperties": False,
}
ROTATION: Schema = {
    "type": "object",
    "properties": {
        "graceSeconds": {
            "type": "number", "minimum": 0, "maximum": 2_592_000,
            "description": "How long the secret that it had stays good.",
        },
        "expiresInDays": _DAYS,
    },
    "additionalProperties": False,
}  # fmt: skip
_IMPORT = {"name": "nightly import", "scope": "execute", "expiresInDays": 90}


class _TokenView(EngineView):
    """A view of the tokens that the request may see."""

    def tokens(self) -> QuerySet[ApiToken]:
        shown = token_of(self.request)
        mine = ApiToken.objects.filter(user=user_of(self.request).pk)
        if shown is not None and shown.tenant:
            mine = mine.filter(tenant=shown.tenant)
        if may(self.request, "spane_django.view_apitoken"):
            mine |= self.scope.within(ApiToken.objects.all())
        return mine.select_related("user")

    def found(self, given: str) -> ApiToken:
        """Return a token that the request may change.

        Raises:
            UnknownToken: there is none, or it is not theirs to see.
            PermissionDenied: it is somebody else's.
        """
        key = row_key(given)
        token = None if key is None else self.tokens().filter(pk=key).first()
        if token is None:
            raise tokens.UnknownToken(f"there is no token '{given[:100]}'")
        if token.user_id != user_of(self.request).pk:
            _require(self.request, "spane_django.change_apitoken")
        return token

    def require_grantable(self, grant: Grant) -> None:
        require_grantable(grant, by=user_of(self.request), token=token_of(self.request))


class TokensView(_TokenView):
    """Lists tokens, newest first, and makes new ones."""

    permissions = {"GET": OWN, "POST": OWN}
    is_paged = True

    @extend_schema(summary="List tokens", responses=page_of(TokenShape))
    def get(self, request: Request) -> Response:
        return page(request, self.tokens(), present_token, ordering=("-id",))

    @extend_schema(
        summary="Make a token",
        request=TOKEN,
        responses={201: NewTokenShape},
        examples=[sent("For 90 days", _IMPORT)],
    )
    def post(self, request: Request) -> Response:
        body, now, by = body_of(request, TOKEN), current_time(), user_of(request)
        user, lasts = _user(request, body.get("user")), _days(body)
        scope, tenant = body["scope"], body.get("tenant", "")
        expires_at = None if lasts is None else now + lasts
        self.require_grantable(Grant(user=user, scope=scope, tenant=tenant, expires_at=expires_at))
        secret, token = tokens.issue(
            user, body["name"], now=now, scope=scope, tenant=tenant, expires_in=lasts, by=by
        )
        return Response({**present_token(token), "token": secret}, status=201)


class RotateTokenView(_TokenView):
    """Gives a token another secret; the one that it had stays good for a while, if wanted."""

    permissions = {"POST": OWN}

    @extend_schema(
        summary="Rotate a token",
        request=ROTATION,
        responses=NewTokenShape,
        examples=[sent("With an hour to change over", {"graceSeconds": 3_600})],
    )
    def post(self, request: Request, token_id: str) -> Response:
        body, now, by = body_of(request, ROTATION), current_time(), user_of(request)
        found, lasts = self.found(token_id), _days(body)
        self.require_grantable(
            Grant(
                user=found.user,
                scope=found.scope,
                tenant=found.tenant,
                expires_at=found.expires_at if lasts is None else now + lasts,
            )
        )
        grace = timedelta(seconds=body.get("graceSeconds", 0))
        secret, token = tokens.rotate(found.pk, now=now, grace=grace, expires_in=lasts, by=by)
        return Response({**present_token(token), "token": secret})


class RevokeTokenView(_TokenView):
    """Ends a token at once."""

    permissions = {"POST": OWN}

    @extend_schema(summary="Revoke a token", request=NOTHING, responses=TokenShape)
    def post(self, request: Request, token_id: str) -> Response:
        body_of(request, NOTHING)
        found = self.found(token_id)
        tokens.revoke(found.pk, now=current_time(), by=user_of(request))
        found.refresh_from_db(fields=["revoked_at"])
        return Response(present_token(found))


class TenantsView(EngineView):
    """Lists the tenants that the caller may see and touch; none in a project without any."""

    permissions = {"GET": "spane_django.view_tenant"}
    is_paged = True

    @extend_schema(
        summary="List tenants",
        responses=page_of(TenantShape),
        examples=[example("One", {"results": [{"key": "acme", "name": "Acme"}]})],
    )
    def get(self, request: Request) -> Response:
        model: Any = tenant_model() if has_tenants() else Tenant
        found = model._default_manager.all() if has_tenants() else Tenant.objects.none()
        order = (model._meta.pk.name,)
        return page(request, self.scope.within(found), present_tenant, ordering=order)


def present_token(token: ApiToken) -> dict[str, Any]:
    """Return what may be told of a token: never its secret."""
    return {
        "id": token.pk,
        "name": token.name,
        "user": token.user.get_username(),
        "scope": token.scope,
        "tenant": token.tenant or None,
        "prefix": token.prefix,
        "createdAt": token.created_at,
        "expiresAt": token.expires_at,
        "revokedAt": token.revoked_at,
        "lastUsedAt": token.last_used_at,
        "oldSecretUntil": token.previous_until,
    }


def present_tenant(tenant: Any) -> dict[str, str]:
    """Return a tenant as it goes over the wire."""
    return {"key": str(tenant.pk), "name": str(tenant)}


def _user(request: Request, name: str | None) -> Any:
    me = user_of(request)
    if name in (None, me.get_username()):
        return me
    _require(request, "spane_django.add_apitoken")
    users = get_user_model()
    try:
        return users._default_manager.get_by_natural_key(name)
    except users.DoesNotExist:
        raise InvalidInput([Fault("user", "unknown_user", "there is no such user")]) from None


def _require(request: Request, permission: str) -> None:
    if message := why_not(request, permission):
        raise PermissionDenied(f"it is somebody else's: {message}")


def _days(body: dict[str, Any]) -> timedelta | None:
    days = body.get("expiresInDays")
    return None if days is None else timedelta(days=days)
