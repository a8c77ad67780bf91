"""Gates as declarations change them and as operators see them; see `core.limits` for their rules.

What is declared holds: rows follow it when a version is published, when a worker starts and when
a claim meets them.  A breaker also follows the operator, who opens it to hold nodes back for as
long as he wants, or closes it early.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from ..core.errors import SpaneError
from ..core.limits import BreakerStatus
from ..models import Gate, NodeRun
from .audit import Facts, record
from .db import atomic
from .rules import Rule
from .sql import statements
from .wake import wake_on_commit

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

# A breaker that an operator has opened stays open until somebody closes it.
FOREVER = datetime(9999, 12, 31, tzinfo=UTC)

_KEPT = timedelta(days=30)
_FLIPPED = ["breaker", "failures", "successes", "blocked_until", "updated_at"]


class UnknownGate(SpaneError):
    """There is no such gate: a gate is there from the first time that a node comes to it."""


def align(declared: Iterable[Rule], *, now: datetime) -> None:
    """Write what is declared into the gates that are there.

    Locks:
        Those gates; one that somebody else has locked is aligned by the next claim.
    """
    rules = {rule.base: rule for rule in declared}
    if not rules:
        return
    meant = Q(key__in=rules)
    for rule in rules.values():
        meant |= Q(key__startswith=f"{rule.base}:") if rule.limit.per_key else Q()
    with atomic():
        rows = statements().lock_gates(list(Gate.objects.filter(meant).values_list(flat=True)))
        changed = [row for row in rows if _meant(row.key, rules).applied_to(row)]
        if changed:
            statements().change_gates(changed, now=now)


def flip(
    key: str,
    status: BreakerStatus,
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    reason: str = "",
) -> Gate:
    """Open or close the breaker of a gate by hand, whether or not one is declared.

    Args:
        status: ``open`` holds everything back until somebody closes it; ``half_open`` lets one
            node at a time try; ``closed`` lets all through and forgets the failures.

    Locks:
        The gate.

    Raises:
        UnknownGate: nothing has changed.
    """
    with atomic():
        gate = _locked(key)
        before = _told(gate)
        gate.breaker = status.value
        gate.failures = gate.successes = 0
        gate.blocked_until = FOREVER if status is BreakerStatus.OPEN else None
        gate.save(update_fields=_FLIPPED)
        record(
            "flip_gate", now=now, by=by, target=key, reason=reason,
            before=before, after=_told(gate),
        )  # fmt: skip
        if status is not BreakerStatus.OPEN:
            _wake(gate, now=now)
    return gate


def reset(key: str, *, now: datetime, by: AbstractBaseUser | None = None, reason: str = "") -> Gate:
    """Let a gate begin anew: its breaker closed, its failures and its rate's past forgotten.

    Locks:
        The gate.

    Raises:
        UnknownGate: nothing has changed.
    """
    with atomic():
        gate = _locked(key)
        before = _told(gate)
        gate.breaker = BreakerStatus.CLOSED.value
        gate.failures = gate.successes = 0
        gate.blocked_until = gate.full_at = None
        gate.save(update_fields=[*_FLIPPED, "full_at"])
        record(
            "reset_gate", now=now, by=by, target=key, reason=reason,
            before=before, after=_told(gate),
        )  # fmt: skip
        _wake(gate, now=now)
    return gate


def forget_idle(*, now: datetime) -> int:
    """Delete gates at rest that have not changed for a month; return how many.

    There may be one for each key that ever was.  One that is still needed comes back with the
    next node, as it was declared.
    """
    rested = Q(full_at=None) | Q(full_at__lt=now)
    opened = Q(blocked_until=None) | Q(blocked_until__lt=now)
    idle = Gate.objects.filter(
        rested, opened, breaker=Gate.Breaker.CLOSED, failures=0, updated_at__lt=now - _KEPT
    )
    return idle.delete()[0]


def listed() -> QuerySet[Gate]:
    """Return all gates, with how many nodes run there as ``running``, counted now."""
    at_gate = NodeRun.objects.running().exclude(gate="").filter(gate=OuterRef("key"))
    counts = at_gate.order_by().values("gate").annotate(count=Count("id")).values("count")
    return Gate.objects.annotate(running=Coalesce(Subquery(counts), 0))


def _meant(key: str, rules: dict[str, Rule]) -> Rule:
    return rules.get(key) or next(
        rule for base, rule in rules.items() if rule.limit.per_key and key.startswith(f"{base}:")
    )


def _locked(key: str) -> Gate:
    gate = Gate.objects.select_for_update().filter(key=key).first()
    if gate is None:
        raise UnknownGate(f"there is no gate '{key[:250]}': no node has come to it yet")
    return gate


def _wake(gate: Gate, *, now: datetime) -> None:
    waiting = NodeRun.objects.claimable(now).filter(gate=gate.key)
    wake_on_commit(waiting.values_list("queue", flat=True).distinct())


def _told(gate: Gate) -> Facts:
    until = gate.blocked_until
    return {"breaker": gate.breaker, "blockedUntil": until.isoformat() if until else None}
