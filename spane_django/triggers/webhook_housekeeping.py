"""Old deliveries go, a little at a time: a duty of the scheduler's leader.

A delivery is forgotten once it is older than ``WEBHOOK_KEEP_DAYS``; what it started stays.  Its id
grows with time, so that the oldest are found by the primary key.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from ..conf import settings
from ..core.ids import first_id
from ..engine.db import alias
from ..models import WebhookDelivery

SECONDS = 3_600.0
BATCH = 1_000


class DeliveryHousekeeping:
    """A duty of the scheduler."""

    def __init__(self) -> None:
        self._next_at = 0.0

    def __call__(self, now: datetime) -> bool:
        """Delete some of what is old enough; say whether there is more."""
        if time.monotonic() < self._next_at:
            return False
        has_more = prune_deliveries(now=now, batch=BATCH) == BATCH
        self._next_at = 0.0 if has_more else time.monotonic() + SECONDS
        return has_more


def prune_deliveries(*, now: datetime, batch: int = BATCH) -> int:
    """Delete the oldest deliveries that have been kept long enough; return how many.

    Args:
        batch: The most that one transaction deletes.
    """
    before = now - timedelta(days=settings.WEBHOOK_KEEP_DAYS)
    old = WebhookDelivery.objects.using(alias()).older_than(first_id(before)).order_by("id")
    ids = list(old.values_list("id", flat=True)[:batch])
    WebhookDelivery.objects.filter(id__in=ids)._raw_delete(alias())
    return len(ids)
