"""API tokens: issued once in clear, kept as a hash, good until they expire or are revoked.

A token has 256 random bits, so a plain SHA-256 is enough to keep it, and finding it by its hash
tells nothing about it by the time that takes.  It acts as its user and may do no more than they;
its *scope* says how much of that it may do, and its tenant, if it has one, for whom.

`SCOPES` says what permissions each scope adds to those before it.  A permission that stands in
none takes ``admin``: what is forgotten here stays closed.

Who may make a token for whom is decided in `grants`.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from django.db.models import Q

from ..core.errors import SpaneError
from ..models import ApiToken
from .audit import Owned, record
from .db import atomic

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

Scope = ApiToken.Scope

PREFIX = "spane_"
_SHOWN_CHARACTERS = 12
# How exactly it is known when a token was last used: a write per request would cost too much.
_USE_IS_KNOWN_TO = timedelta(minutes=1)

SCOPES: dict[str, tuple[str, ...]] = {
    Scope.READ.value: (
        "view_approval",
        "view_auditentry",
        "view_bulkoperation",
        "view_deadletter",
        "view_execution",
        "view_gate",
        "view_metrics",
        "view_noderun",
        "view_payload",
        "view_schedule",
        "view_signal",
        "view_tenant",
        "view_trigger",
        "view_webhook",
        "view_webhookdelivery",
        "view_worker",
        "view_workflow",
        "view_workflowversion",
    ),
    Scope.EXECUTE.value: (
        "run_workflow",
        "send_signal",
    ),
    Scope.OPERATE.value: (
        "cancel_execution",
        "complete_node",
        "decide_approval",
        "flip_gate",
        "pause_execution",
        "reassign_approval",
        "reassign_execution",
        "redeliver_webhook",
        "replay_execution",
        "retry_execution",
        "run_schedule",
        "skip_node",
    ),
    Scope.DEFINE.value: (
        "add_schedule",
        "add_secret",
        "add_trigger",
        "add_webhook",
        "change_schedule",
        "change_secret",
        "change_trigger",
        "change_webhook",
        "delete_schedule",
        "delete_secret",
        "delete_trigger",
        "delete_webhook",
        "publish_workflow",
        "view_secret",
    ),
    Scope.ADMIN.value: (),
}
"""The permissions that each scope adds to those of the scopes before it; ``admin`` has all."""


class UnknownToken(SpaneError):
    """There is no such token that is still good."""


def issue(
    user: AbstractBaseUser,
    name: str,
    *,
    now: datetime,
    scope: str = Scope.ADMIN,
    tenant: str = "",
    expires_in: timedelta | None = None,
    by: AbstractBaseUser | None = None,
) -> tuple[str, ApiToken]:
    """Make a token that acts as ``user``; return it, for the only time, with its record.

    Args:
        name: What uses it, for people.
        scope: The most that it may do; ``admin``: all that its user may.
        tenant: The one whose rows it may touch; "": those of all of its user's.
        expires_in: How long it is good; None: until it is revoked.
        by: Who makes it.
    """
    secret = _fresh()
    with atomic():
        token = ApiToken.objects.create(
            user_id=user.pk,
            name=name,
            scope=scope,
            tenant=tenant,
            token_hash=_hash(secret),
            prefix=secret[:_SHOWN_CHARACTERS],
            created_at=now,
            expires_at=None if expires_in is None else now + expires_in,
        )
        _audit("create_token", token, now=now, by=by)
    return secret, token


def rotate(
    token_id: int,
    *,
    now: datetime,
    grace: timedelta = timedelta(0),
    expires_in: timedelta | None = None,
    by: AbstractBaseUser | None = None,
) -> tuple[str, ApiToken]:
    """Give a token another secret; return it, for the only time, with its record.

    Args:
        grace: How long the secret that it had is good beside the new one.
        expires_in: How long it is good from now on; None: as long as before.

    Locks:
        The token.

    Raises:
        UnknownToken: there is none, or it is not good any more.
    """
    secret = _fresh()
    with atomic():
        token = ApiToken.objects.select_for_update().filter(_good(now), pk=token_id).first()
        if token is None:
            raise UnknownToken(f"there is no token {token_id} that is still good: make a new one")
        token.previous_hash = token.token_hash if grace > timedelta(0) else None
        token.previous_until = now + grace if grace > timedelta(0) else None
        token.token_hash, token.prefix = _hash(secret), secret[:_SHOWN_CHARACTERS]
        if expires_in is not None:
            token.expires_at = now + expires_in
        token.save(
            update_fields=["previous_hash", "previous_until", "token_hash", "prefix", "expires_at"]
        )
        _audit("rotate_token", token, now=now, by=by)
    return secret, token


def revoke(token_id: int, *, now: datetime, by: AbstractBaseUser | None = None) -> bool:
    """End a token at once; False if there is none or it was revoked already."""
    with atomic():
        found = ApiToken.objects.filter(pk=token_id, revoked_at=None)
        if not found.update(revoked_at=now):
            return False
        _audit("revoke_token", ApiToken.objects.get(pk=token_id), now=now, by=by)
    return True


def find(secret: str, *, now: datetime) -> ApiToken | None:
    """Return the record of a token with its user; None if it is not good, whatever the reason."""
    digest = _hash(secret)
    shown = Q(token_hash=digest) | Q(previous_hash=digest, previous_until__gt=now)
    token = ApiToken.objects.select_related("user").filter(shown, _good(now)).first()
    if token is None or not token.user.is_active:
        return None
    _note_use(token, now=now)
    return token


def allows(token: ApiToken, permission: str) -> bool:
    """Say whether a token's scope has a permission, such as ``spane_django.run_workflow``."""
    return permission in permissions_of(token.scope) or token.scope == Scope.ADMIN


def scope_for(permission: str) -> str:
    """Return the smallest scope that has a permission."""
    return next((name for name in SCOPES if permission in permissions_of(name)), str(Scope.ADMIN))


@cache
def permissions_of(scope: str) -> frozenset[str]:
    """Return the permissions of a scope and of those before it; of ``admin`` not all are listed."""
    names = list(SCOPES)
    held = names[: names.index(Scope(scope)) + 1]
    return frozenset(f"spane_django.{codename}" for name in held for codename in SCOPES[name])


def _good(now: datetime) -> Q:
    return Q(revoked_at=None) & (Q(expires_at=None) | Q(expires_at__gt=now))


def _note_use(token: ApiToken, *, now: datetime) -> None:
    before = now - _USE_IS_KNOWN_TO
    if token.last_used_at is None or token.last_used_at <= before:
        # Of many requests at once the first one writes.
        unknown = Q(last_used_at=None) | Q(last_used_at__lte=before)
        ApiToken.objects.filter(unknown, pk=token.pk).update(last_used_at=now)


def _fresh() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _audit(verb: str, token: ApiToken, *, now: datetime, by: AbstractBaseUser | None) -> None:
    expires = token.expires_at.isoformat() if token.expires_at else None
    record(
        verb, now=now, by=by, target=Owned(f"{token.name} ({token.prefix}…)", token.tenant),
        after={"user": token.user.get_username(), "scope": str(token.scope), "expiresAt": expires},
    )  # fmt: skip
