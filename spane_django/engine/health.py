"""Is the engine well?  What the database alone can tell.

Each check passes, warns or fails: a warning is for the operator, a failure means that work is
not being done.  A scheduler that never ran is a warning (a development site may have none); one
that has led and is silent for longer than a restart takes is a failure.  What Redis knows is
added in `spane_django.dispatch.health`.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from django.db import DatabaseError, InterfaceError

from ..conf import settings
from ..core.json import Json
from ..models import Lease, Worker, Workflow

logger = logging.getLogger("spane_django.engine")

# What waits for longer is worth a look; for longer still, workers do not keep up or do nothing.
_SLOW_SECONDS = 60.0
_STUCK_SECONDS = 600.0
_SCHEDULER_GRACE = timedelta(seconds=60)


class Level(StrEnum):
    """How a check came out."""

    OK = "pass"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was looked at.

    Attributes:
        message: What is wrong and what to do; empty if nothing is.
        facts: What was measured.
    """

    level: Level = Level.OK
    message: str = ""
    facts: dict[str, Json] = field(default_factory=dict)


def check_database() -> Check:
    """Ask the database for a row of this package's tables."""
    try:
        Workflow.objects.exists()
    except (DatabaseError, InterfaceError) as error:
        # The message may name hosts and users, and the answer is for everybody.
        logger.error("health: the database does not answer: %s", error)
        message = "the database does not answer, or its tables are not migrated"
        return Check(level=Level.FAIL, message=message)
    return Check()


def check_scheduler(*, now: datetime) -> Check:
    """See how long ago the scheduler was heard of."""
    lease = Lease.objects.filter(name="scheduler").first()
    if lease is None:
        message = "no scheduler has run: start `manage.py spane_scheduler`"
        return Check(level=Level.WARN, message=message, facts={"ageSeconds": None})
    facts: dict[str, Json] = {"ageSeconds": (now - lease.renewed_at).total_seconds()}
    if lease.expires_at > now:
        return Check(facts=facts)
    is_restarting = lease.expires_at > now - _SCHEDULER_GRACE
    message = "the scheduler is silent: start `manage.py spane_scheduler`"
    return Check(level=Level.WARN if is_restarting else Level.FAIL, message=message, facts=facts)


def check_lag(lags: dict[str, float]) -> Check:
    """See how long node runs wait to be claimed.

    Args:
        lags: For each queue in which something waits, for how many seconds it has.
    """
    facts: dict[str, Json] = {"lagSeconds": dict(lags)}
    queue = max(lags, key=lambda name: lags[name], default=None)
    if queue is None or lags[queue] <= _SLOW_SECONDS:
        return Check(facts=facts)
    message = f"node runs wait for {lags[queue]:.0f} s in '{queue}': start more workers for it"
    level = Level.FAIL if lags[queue] > _STUCK_SECONDS else Level.WARN
    return Check(level=level, message=message, facts=facts)


def live_drains(*, now: datetime) -> Counter[str]:
    """Return how many drains are at work on each queue."""
    workers = Worker.objects.alive(now - settings.lease)
    return Counter(workers.values_list("queue", flat=True))
