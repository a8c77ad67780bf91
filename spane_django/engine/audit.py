"""The audit trail: who did what to what, what it was before and is after, and why.

An entry is written in the transaction of the verb that it tells of, so that there is no change
without its entry and no entry without its change: a verb that is refused leaves none.  What the
engine does on its own (a deadline, a lost worker) is told by the log, not here.

Values that an operator edited by hand are kept while they are small; of a larger one only the
size is.  Secrets are no values of executions and never come here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from ..core.json import Json, encode
from ..models import AuditEntry, Execution
from .db import alias
from .scope import has_tenants

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

# The most bytes of JSON that an entry keeps of one value.
MAX_VALUE_BYTES = 8_192

_TARGET_LENGTH = 250
_NAME_LENGTH = 150

Facts = Mapping[str, Json]
"""What an entry tells of a thing before or after a change, by name."""


@dataclass(frozen=True, slots=True)
class Owned:
    """What a verb was done to, and the tenant that it belongs to."""

    name: str
    tenant: str


def record(
    verb: str,
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    execution_id: UUID | None = None,
    target: str | Owned = "",
    before: Facts | None = None,
    after: Facts | None = None,
    reason: str = "",
) -> None:
    """Write an entry in the caller's transaction.

    Args:
        verb: What was done, such as ``cancel``.
        by: Who did it; None where nobody is logged in, as on the command line.
        target: What it was done to, if not to the execution as a whole: a node, a workflow; with
            its tenant, if it belongs to one and not to an execution.
        before: What has changed, as it was; values too large to keep become their size.
        after: The same, as it is now.
        reason: Why, in the operator's words.
    """
    whose = target if isinstance(target, Owned) else Owned(target, _tenant_of(execution_id))
    AuditEntry.objects.using(alias()).create(
        at=now,
        user_id=by.pk if by else None,
        username=by.get_username()[:_NAME_LENGTH] if by else "",
        verb=verb,
        execution_id=execution_id,
        target=whose.name[:_TARGET_LENGTH],
        before=_bounded(before),
        after=_bounded(after),
        reason=reason,
        tenant=whose.tenant,
    )


def record_start(
    workflow: str,
    execution_ids: Sequence[UUID],
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    tenant: str = "",
) -> None:
    """Write that somebody has started executions by hand or over HTTP, in the caller's transaction.

    What triggers start, and code, is told by the executions themselves.
    """
    is_one = len(execution_ids) == 1
    record(
        "start",
        now=now,
        by=by,
        execution_id=execution_ids[0] if is_one else None,
        target=Owned(workflow, tenant),
        after=None if is_one else {"executions": len(execution_ids)},
    )


def _tenant_of(execution_id: UUID | None) -> str:
    if execution_id is None or not has_tenants():
        return ""
    tenants = Execution.objects.using(alias()).filter(pk=execution_id)
    return tenants.values_list("tenant", flat=True).first() or ""


def _bounded(facts: Facts | None) -> dict[str, Json] | None:
    return None if facts is None else {name: _kept(value) for name, value in facts.items()}


def _kept(value: Json) -> Json:
    size = len(encode(value).encode())
    return value if size <= MAX_VALUE_BYTES else f"({size:,} bytes of JSON, too large to keep)"
