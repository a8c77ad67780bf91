"""Timekeeping: workers and schedulers go by the database's clock where their machine's is wrong.

Heartbeats, leases and timers are instants in rows that all machines compare.  A worker an hour
ahead would take every other one for dead, and one that is behind would be taken for dead itself,
again and again.  So whoever works asks the database what time it is, at the beginning and with
each heartbeat, and goes by that if the machine's clock is off by more than `TOLERATED`.

SQLite has the clock of the machine, so that nothing is asked there.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from .. import clock
from ..engine.db import connection

logger = logging.getLogger("spane_django.dispatch")

# Clocks that somebody sets by network time differ by milliseconds; below this nothing suffers.
TOLERATED = timedelta(seconds=0.5)


def keep_time() -> None:
    """Compare the machine's clock with the database's, and go by the latter if they differ."""
    if connection().vendor != "postgresql":
        return
    before = datetime.now(UTC)
    with connection().cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (told,) = cursor.fetchone()
    took = datetime.now(UTC) - before
    ahead = before + took / 2 - told
    # Nobody knows when, within a slow round trip, the database looked at its clock.
    is_wrong = abs(ahead) > TOLERATED + took
    was_wrong = clock.correction() != timedelta()
    if is_wrong and not was_wrong:
        seconds = ahead.total_seconds()
        logger.warning(
            "this machine's clock is off by %+.1f s, going by that of the database", seconds
        )
    clock.correct(-ahead if is_wrong else timedelta())
