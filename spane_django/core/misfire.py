"""Which of the ticks that have come are started: the late ones all, the missed ones by policy.

A tick is *late* while it is no older than the grace: a scheduler was busy, or another one took
over.  It is *missed* once it is older: nobody was at work.  Late ticks are always started.  Of
missed ones, ``skip`` starts none and ``all`` the latest, up to a cap; ``once`` starts the latest
of all that are due, late ones included, and lets it stand for the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from .ticks import Ticks, latest, ticks_between

_INSTANT = timedelta(microseconds=1)


class Misfire(StrEnum):
    """What becomes of missed ticks."""

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class MisfirePolicy:
    """What becomes of missed ticks, and which are.

    Attributes:
        cap: The most missed ticks that ``all`` starts.
        grace: How old a late tick may be.
    """

    misfire: Misfire = Misfire.ONCE
    cap: int = 100
    grace: timedelta = timedelta(minutes=1)


def due(ticks: Ticks, policy: MisfirePolicy, *, since: datetime, now: datetime) -> list[datetime]:
    """Return the ticks to start, in order.

    Args:
        since: Up to then, every tick has been dealt with.
    """
    first = ticks.after(since)
    if first is None or first > now:
        return []
    missed_until = now - policy.grace - _INSTANT
    if first > missed_until:
        return list(ticks_between(ticks, since, now))
    if policy.misfire is Misfire.ONCE:
        return latest(ticks, since, now, 1)
    late = list(ticks_between(ticks, missed_until, now))
    if policy.misfire is Misfire.SKIP or not policy.cap:
        return late
    return [*latest(ticks, since, missed_until, policy.cap), *late]
