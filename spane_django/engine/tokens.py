"""API tokens: issued once in clear, kept as a hash, good until they expire or are revoked.

A token has 256 random bits, so a plain SHA-256 is enough to keep it, and finding it by its hash
tells nothing about it by the time that takes.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ..models import ApiToken

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

PREFIX = "spane_"
_SHOWN_CHARACTERS = 12


def issue(
    user: AbstractBaseUser, name: str, *, now: datetime, expires_in: timedelta | None = None
) -> tuple[str, ApiToken]:
    """Make a token that acts as ``user``; return it, for the only time, with its record.

    Args:
        name: What uses it, for people.
        expires_in: How long it is good; None: until it is revoked.
    """
    token = PREFIX + secrets.token_urlsafe(32)
    record = ApiToken.objects.create(
        user_id=user.pk,
        name=name,
        token_hash=_hash(token),
        prefix=token[:_SHOWN_CHARACTERS],
        expires_at=None if expires_in is None else now + expires_in,
    )
    return token, record


def revoke(token_id: int, *, now: datetime) -> bool:
    """End a token at once; False if there is none or it was revoked already."""
    return bool(ApiToken.objects.filter(pk=token_id, revoked_at=None).update(revoked_at=now))


def find(token: str, *, now: datetime) -> ApiToken | None:
    """Return the record of a token with its user; None if it is not good, whatever the reason."""
    records = ApiToken.objects.filter(token_hash=_hash(token), revoked_at=None)
    record = records.select_related("user").first()
    if record is None or (record.expires_at is not None and record.expires_at <= now):
        return None
    return record if record.user.is_active else None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
