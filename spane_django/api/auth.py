"""Who asks, and what may they do.

A program shows a token (``Authorization: Bearer spane_…``), a browser its Django session, for
which CSRF is enforced.  Closed by default: a method for which the view names no permission is
refused to everybody, and anonymous requests are refused everywhere but at the health checks.

What a user may do is said by the permissions of the models; a token may do as much of it as its
scope names (`engine.tokens.SCOPES`), never more.  Whose rows: `engine.scope`.
"""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.models import AbstractBaseUser
from rest_framework.authentication import (
    BaseAuthentication,
    SessionAuthentication,
    get_authorization_header,
)
from rest_framework.exceptions import AuthenticationFailed, MethodNotAllowed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from ..clock import now as current_time
from ..engine.tokens import allows, find, scope_for
from ..models import ApiToken

VIEW_PAYLOAD = "spane_django.view_payload"


class TokenAuthentication(BaseAuthentication):
    """Takes ``Authorization: Bearer <token>``; another scheme is left to others."""

    scheme = "Bearer"

    def authenticate(self, request: Request) -> tuple[AbstractBaseUser, ApiToken] | None:
        scheme, _, token = get_authorization_header(request).partition(b" ")
        if scheme.lower() != self.scheme.lower().encode():
            return None
        record = find(token.strip().decode("latin-1"), now=current_time())
        if record is None:
            raise AuthenticationFailed("the token is unknown, expired or revoked")
        return record.user, record

    def authenticate_header(self, request: Request) -> str:
        return f'{self.scheme} realm="spane"'


class MayCall(BasePermission):
    """Whether the user has the permission that the view names for the method."""

    def has_permission(self, request: Request, view: Any) -> bool:
        user = request.user
        if not (user and user.is_authenticated):
            return False
        wanted = view.permissions.get("GET" if request.method == "HEAD" else request.method)
        if wanted is None:
            raise MethodNotAllowed(str(request.method))
        self.message = why_not(request, wanted)
        if not self.message and view.of_installation and view.scope.tenants is not None:
            self.message = "this is of the whole installation, and you are bound to tenants"
        return not self.message


def why_not(request: Request, permission: str) -> str:
    """Return why a request may not do what takes a permission; "": it may.

    The user must have the permission, and the token that was shown, if one was, its scope.
    """
    if not request.user.has_perm(permission):
        return f"this takes the permission '{permission}'"
    token = token_of(request)
    if token is not None and not allows(token, permission):
        return (
            f"this takes the permission '{permission}', and so a token of the scope "
            f"'{scope_for(permission)}': this one has '{token.scope}'"
        )
    return ""


def may(request: Request, permission: str) -> bool:
    """Say whether a request may do what takes a permission; see :func:`why_not`."""
    return not why_not(request, permission)


def token_of(request: Request) -> ApiToken | None:
    """Return the token that was shown; None: a session."""
    return request.auth if isinstance(request.auth, ApiToken) else None


def user_of(request: Request) -> AbstractBaseUser:
    """Return the user of a request that `MayCall` has let through."""
    return cast(AbstractBaseUser, request.user)


def may_see_payloads(request: Request) -> bool:
    """Say whether the user may see what goes into workflows and comes out of them."""
    return may(request, VIEW_PAYLOAD)


AUTHENTICATION = (TokenAuthentication, SessionAuthentication)
