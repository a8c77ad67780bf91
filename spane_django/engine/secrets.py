"""Keeping secrets: values go in, sealed, and never come out but in a worker (see `opened`).

A secret belongs to a tenant or, with ``tenant=""``, to everybody; its name is unique there.
Every change is audited by name, never by value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import Model, QuerySet

from ..core.errors import InvalidInput, SpaneError
from ..core.json import printable
from ..core.schema import Fault
from ..models import Secret, Webhook
from .audit import Owned, record
from .db import atomic
from .vault import Unsealable, reseal, seal

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
"""Names: what can be written in a template without quotes."""

MAX_BYTES = 65_536
"""The largest value, in UTF-8: a certificate with its chain, with room to spare."""

MAX_DESCRIPTION = 500

# Which columns hold sealed texts; :func:`rotate_keys` seals all of them anew.
SEALED: tuple[tuple[type[Model], str], ...] = (
    (Secret, "sealed"),
    (Webhook, "sealed_secret"),
    (Webhook, "sealed_old_secret"),
)

_BATCH = 200


class UnknownSecret(SpaneError):
    """There is no such secret."""


class SecretExists(SpaneError):
    """There is a secret of this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """A step of :func:`rotate_keys`.

    Attributes:
        resealed: How many texts were sealed anew.
        unreadable: What no known key opens; it stays as it is.
    """

    resealed: int
    unreadable: tuple[str, ...] = ()


def create_secret(
    name: str,
    value: str,
    *,
    tenant: str = "",
    description: str = "",
    now: datetime,
    by: AbstractBaseUser | None = None,
) -> Secret:
    """Store a new secret.

    Raises:
        InvalidInput: the name, the value or the description is refused; nothing repeats the value.
        SecretExists: the name is taken.
    """
    _refuse(secret_faults(name=name, value=value, description=description))
    with atomic():
        secret, is_new = Secret.objects.get_or_create(
            tenant=tenant,
            name=name,
            defaults={
                "sealed": seal(value),
                "description": description,
                "created_at": now,
                "updated_at": now,
                "rotated_at": now,
                "updated_by_id": by.pk if by else None,
            },
        )
        if not is_new:
            raise SecretExists(f"there is a secret '{name}' already: replace it")
        record("create_secret", now=now, by=by, target=_owned(secret), after=_facts(secret))
    return secret


def replace_secret(
    name: str,
    *,
    value: str | None = None,
    description: str | None = None,
    tenant: str = "",
    now: datetime,
    by: AbstractBaseUser | None = None,
) -> Secret:
    """Give a secret another value, another description, or both; None leaves it as it is.

    Nodes that start from now on get the new value.

    Locks:
        The secret.

    Raises:
        UnknownSecret, InvalidInput: nothing has changed.
    """
    _refuse(secret_faults(value=value, description=description))
    with atomic():
        secret = _locked(name, tenant)
        before = _facts(secret)
        if value is not None:
            secret.sealed, secret.rotated_at = seal(value), now
        if description is not None:
            secret.description = description
        secret.updated_at, secret.updated_by_id = now, by.pk if by else None
        secret.save(
            update_fields=["sealed", "description", "rotated_at", "updated_at", "updated_by"]
        )
        after, target = _facts(secret), _owned(secret)
        record("replace_secret", now=now, by=by, target=target, before=before, after=after)
    return secret


def store_secret(
    name: str,
    value: str,
    *,
    tenant: str = "",
    description: str | None = None,
    now: datetime,
    by: AbstractBaseUser | None = None,
) -> Secret:
    """Create a secret, or replace its value if there is one of this name.

    Raises:
        InvalidInput: nothing has changed.
    """
    if Secret.objects.filter(tenant=tenant, name=name).exists():
        return replace_secret(
            name, value=value, description=description, tenant=tenant, now=now, by=by
        )
    return create_secret(name, value, tenant=tenant, description=description or "", now=now, by=by)


def delete_secret(
    name: str, *, tenant: str = "", now: datetime, by: AbstractBaseUser | None = None
) -> None:
    """Delete a secret; nodes that name it fail from now on.

    Raises:
        UnknownSecret: there is none.
    """
    with atomic():
        secret = _locked(name, tenant)
        before, target = _facts(secret), _owned(secret)
        secret.delete()
        record("delete_secret", now=now, by=by, target=target, before=before)


def secret_faults(
    *, name: str | None = None, value: str | None = None, description: str | None = None
) -> list[Fault]:
    """Return why a secret would be refused; None is not looked at."""
    faults: list[Fault] = []
    if name is not None:
        faults += _name_faults(name)
    if value is not None:
        faults += _value_faults(value)
    if description is not None:
        faults += _description_faults(description)
    return faults


def sealed_texts() -> int:
    """Return how many texts :func:`rotate_keys` looks at."""
    return sum(_of(model).exclude(**{column: ""}).count() for model, column in SEALED)


def rotate_keys(*, batch: int = _BATCH) -> Iterator[Rotated]:
    """Seal every sealed text anew with the first key, step by step; yield after each step.

    Workers go on meanwhile.  It may be stopped and run again at any time.

    Args:
        batch: The texts of one step.
    """
    for model, column in SEALED:
        last = 0
        while rows := list(
            _of(model)
            .filter(pk__gt=last)
            .exclude(**{column: ""})
            .order_by("pk")
            .values_list("pk", column)[:batch]
        ):
            last = rows[-1][0]
            yield _resealed(model, column, rows)


def _resealed(model: type[Model], column: str, rows: list[tuple[int, str]]) -> Rotated:
    done, unreadable = 0, []
    for pk, sealed in rows:
        try:
            fresh = reseal(sealed)
        except Unsealable:
            unreadable.append(f"{model._meta.verbose_name} {pk}")
            continue
        # Whoever replaced the value meanwhile has sealed it with the first key already.
        done += _of(model).filter(pk=pk, **{column: sealed}).update(**{column: fresh})
    return Rotated(resealed=done, unreadable=tuple(unreadable))


def _of(model: type[Model]) -> QuerySet[Model]:
    return model._default_manager.all()


def _locked(name: str, tenant: str) -> Secret:
    found = Secret.objects.select_for_update().filter(tenant=tenant, name=name).first()
    if found is None:
        raise UnknownSecret(f"there is no secret '{printable(name)[:100]}'")
    return found


def _owned(secret: Secret) -> Owned:
    return Owned(secret.name, secret.tenant)


def _facts(secret: Secret) -> dict[str, str]:
    return {"description": secret.description, "valueSetAt": secret.rotated_at.isoformat()}


def _refuse(faults: list[Fault]) -> None:
    if faults:
        raise InvalidInput(faults)


def _name_faults(name: str) -> Iterator[Fault]:
    if not NAME.fullmatch(name):
        message = "use 1 to 100 letters, digits, _ and -, beginning with a letter or _"
        yield Fault("name", "invalid_name", message)


def _value_faults(value: str) -> Iterator[Fault]:
    if not value:
        yield Fault("value", "empty", "a secret has a value")
    elif not _is_text(value):
        yield Fault("value", "invalid_text", "half of a surrogate pair is no text")
    elif len(value.encode()) > MAX_BYTES:
        yield Fault("value", "too_large", f"a value has at most {MAX_BYTES:,} bytes")


def _description_faults(description: str) -> Iterator[Fault]:
    if len(description) > MAX_DESCRIPTION:
        yield Fault("description", "too_long", f"use at most {MAX_DESCRIPTION} characters")
    elif "\x00" in description or not _is_text(description):
        yield Fault("description", "invalid_text", "NUL and halves of surrogate pairs are no text")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
