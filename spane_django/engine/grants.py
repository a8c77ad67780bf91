"""Who may make a token for whom: nobody hands on more than they have.

A token acts as its user, so whoever makes one for somebody else gets to do what that user may.
That is refused unless it is all theirs already: the user's permissions and the user's tenants
must be among their own.  Whoever shows a token to make another one has no more than that token:
its scope, its tenant, its time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..core.errors import SpaneError
from ..models import ApiToken
from .scope import UnknownTenant, exists, has_tenants, scope_of
from .tokens import SCOPES


class TooMuch(SpaneError):
    """Whoever makes the token has not got all that it would have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a token is to have.

    Attributes:
        user: As whom it acts.
        tenant: "": all tenants of its user.
        expires_at: None: never.
    """

    user: Any
    scope: str
    tenant: str
    expires_at: datetime | None


def require_grantable(grant: Grant, *, by: Any, token: ApiToken | None = None) -> None:
    """Refuse a token that would have more than who makes it.

    Args:
        by: Who makes it.
        token: The one that they show; None: they are logged in.

    Raises:
        UnknownTenant: there is none of this key, or it is none of theirs.
        TooMuch: they have not got all that it would have.
    """
    theirs = scope_of(by, token)
    if grant.tenant and not (
        has_tenants() and theirs.covers(grant.tenant) and exists(grant.tenant)
    ):
        raise UnknownTenant(f"there is no tenant '{grant.tenant[:100]}'")
    if token is not None:
        _require_within_token(grant, token)
    if grant.user.pk == by.pk:
        return
    if missing := sorted(grant.user.get_all_permissions() - by.get_all_permissions()):
        name = grant.user.get_username()
        raise TooMuch(f"'{name}' may do what you may not: {', '.join(missing[:5])}")
    whole = scope_of(grant.user)
    scope = whole.only(grant.tenant) if grant.tenant else whole
    if theirs.tenants is not None and (scope.tenants is None or scope.tenants - theirs.tenants):
        raise TooMuch("the user has tenants that are none of yours: name one in 'tenant'")


def _require_within_token(grant: Grant, token: ApiToken) -> None:
    names = list(SCOPES)
    if names.index(grant.scope) > names.index(token.scope):
        raise TooMuch(f"the token that you show has the scope '{token.scope}', and no more")
    if token.tenant and grant.tenant != token.tenant:
        raise TooMuch(f"the token that you show is good for the tenant '{token.tenant}' alone")
    if token.expires_at is not None and (
        grant.expires_at is None or grant.expires_at > token.expires_at
    ):
        raise TooMuch(f"the token that you show expires at {token.expires_at:%F %T} UTC: no later")
