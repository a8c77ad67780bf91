"""Who asks, and what may they do.

A program shows a token (``Authorization: Bearer spane_…``), a browser its Django session, for
which CSRF is enforced.  Closed by default: a method for which the view names no permission is
refused to everybody, and anonymous requests are refused everywhere but at the health checks.
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
from ..engine.tokens import find
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
        self.message = f"this takes the permission '{wanted}'"
        return bool(user.has_perm(wanted))


def user_of(request: Request) -> AbstractBaseUser:
    """Return the user of a request that `MayCall` has let through."""
    return cast(AbstractBaseUser, request.user)


def may_see_payloads(request: Request) -> bool:
    """Say whether the user may see what goes into workflows and comes out of them."""
    return bool(request.user.has_perm(VIEW_PAYLOAD))


AUTHENTICATION = (TokenAuthentication, SessionAuthentication)
