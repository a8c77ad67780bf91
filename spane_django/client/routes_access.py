"""The methods for secrets, tokens and tenants; see `methods`."""

from __future__ import annotations

from .answers_triggers import (
    NewToken,
    Secret,
    Tenant,
    Token,
)
from .exchange import Call
from .wire import given, ids

_TOKEN = "/api/tokens/{tokenId}"  # noqa: S105 - a path


def secrets() -> Call[Secret]:
    """Return the secrets, without their values."""
    return Call(method="GET", path="/api/secrets", answer=Secret)


def secret(name: str) -> Call[Secret]:
    """Return a secret without its value, and where it is used."""
    return Call(method="GET", path="/api/secrets/{name}", answer=Secret, ids=ids(name=name))


def create_secret(name: str, value: str, *, description: str | None = None) -> Call[Secret]:
    """Keep a value that nobody can read back."""
    body = given(name=name, value=value, description=description)
    return Call(method="POST", path="/api/secrets", answer=Secret, body=body)


def set_secret(
    name: str, *, value: str | None = None, description: str | None = None
) -> Call[Secret]:
    """Give a secret another value or description."""
    return Call(
        method="PUT", path="/api/secrets/{name}", answer=Secret,
        ids=ids(name=name), body=given(value=value, description=description),
    )  # fmt: skip


def delete_secret(name: str) -> Call[None]:
    """Forget a secret."""
    where = ids(name=name)
    return Call(method="DELETE", path="/api/secrets/{name}", answer=type(None), ids=where)


def tokens() -> Call[Token]:
    """Return the tokens that I may see, without the tokens themselves."""
    return Call(method="GET", path="/api/tokens", answer=Token)


def create_token(
    name: str,
    scope: str,
    *,
    tenant: str | None = None,
    user: str | None = None,
    expires_in_days: float | None = None,
) -> Call[NewToken]:
    """Make a token; it is in this answer only."""
    body = given(name=name, scope=scope, tenant=tenant, user=user, expires_in_days=expires_in_days)
    return Call(method="POST", path="/api/tokens", answer=NewToken, body=body)


def revoke_token(token_id: int) -> Call[Token]:
    """End a token at once."""
    where = ids(token_id=token_id)
    return Call(method="POST", path=f"{_TOKEN}/revoke", answer=Token, ids=where, body={})


def rotate_token(token_id: int) -> Call[NewToken]:
    """Give a token a new secret, which is in this answer only."""
    where = ids(token_id=token_id)
    return Call(method="POST", path=f"{_TOKEN}/rotate", answer=NewToken, ids=where, body={})


def tenants() -> Call[Tenant]:
    """Return the tenants that I belong to."""
    return Call(method="GET", path="/api/tenants", answer=Tenant)
