"""Secrets as a project stores them; what reads them is a node that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..clock import now
from ..engine import secrets

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


def set_secret(
    name: str,
    value: str,
    *,
    tenant: str = "",
    description: str | None = None,
    by: AbstractBaseUser | None = None,
) -> None:
    """Store a secret, or replace its value; nodes that start from now on get it.

    Args:
        tenant: Whose it is; "": executions of every tenant may use it.
        description: None leaves that of a secret that is there.

    Raises:
        InvalidInput: the name, the value or the description is refused.
    """
    secrets.store_secret(name, value, tenant=tenant, description=description, now=now(), by=by)


def delete_secret(name: str, *, tenant: str = "", by: AbstractBaseUser | None = None) -> None:
    """Delete a secret; nodes that name it fail from now on.

    Raises:
        UnknownSecret: there is none.
    """
    secrets.delete_secret(name, tenant=tenant, now=now(), by=by)
