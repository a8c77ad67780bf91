"""Bulk operations on a worker: an RQ job takes step after step, and hands over to a fresh one.

The job names the operation and nothing else.  Losing or doubling it changes nothing but how long
it takes: the sweep goes on with what nobody drives.
"""

from __future__ import annotations

import logging
import time
from uuid import UUID

from redis.exceptions import RedisError

from ..clock import now
from ..conf import settings
from ..engine.bulk import UnknownOperation, advance
from ..engine.db import on_commit
from .rq import queue_of

logger = logging.getLogger("spane_django.dispatch")


def hand_over(operation_id: UUID) -> None:
    """Let a worker go on with an operation once the current transaction has committed."""
    on_commit(lambda: _enqueue(operation_id))


def drive(operation_id: str) -> None:
    """Take steps until the operation is done or the slice of time is over: what the job does."""
    until = time.monotonic() + settings.SLICE_SECONDS
    try:
        while advance(UUID(operation_id), now=now()).finished_at is None:
            if time.monotonic() > until:
                _enqueue(UUID(operation_id))
                return
    except UnknownOperation:
        logger.info("the bulk operation %s has been deleted", operation_id)


def _enqueue(operation_id: UUID) -> None:
    try:
        queue_of(settings.QUEUE).enqueue_call(
            drive, args=(str(operation_id),), timeout=-1, result_ttl=0, failure_ttl=3_600,
            description=f"bulk operation {operation_id}",
        )  # fmt: skip
    except (RedisError, OSError, KeyError) as error:
        logger.warning("no worker could be told, the sweep goes on with it: %s", error)
