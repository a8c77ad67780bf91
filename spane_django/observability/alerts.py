"""Alerting: a duty of the scheduler that looks, notes and tells, every few seconds.

Nothing of it happens in the engine's transactions.  Telling may take long, and a leader that is
held up loses its lease: a thread of its own delivers and notes that it has.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from datetime import datetime

from django.db import DatabaseError, connections

from ..clock import now as current_time
from ..conf import alert_settings
from ..core.alerting import AlertSettings
from ..models import Alert
from .findings import find
from .gauges import Listeners
from .ledger import note, take, told
from .notices import notice_of

logger = logging.getLogger("spane_django.observability")

TURN_SECONDS = 10.0


class Alerts:
    """A duty of the scheduler; see `dispatch.scheduler.Duty`.

    Args:
        listeners: Says how many workers listen on a queue.
    """

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners
        self._look_at = 0.0
        self._delivery: threading.Thread | None = None

    def __call__(self, now: datetime) -> bool:
        """Look, if it is time to, and tell what is due; say that there is no hurry."""
        options = alert_settings()
        if not options.goes_anywhere or time.monotonic() < self._look_at:
            return False
        self._look_at = time.monotonic() + TURN_SECONDS
        note(find(options, self._listeners, now=now), options, now=now)
        is_busy = self._delivery is not None and self._delivery.is_alive()
        if not is_busy and (taken := take(options, now=now)):
            # A daemon: a mail server that hangs keeps no process from ending.
            self._delivery = threading.Thread(
                target=_tell, args=(taken, options), name="spane-alerts", daemon=True
            )
            self._delivery.start()
        return False

    def finish(self, seconds: float = 30.0) -> None:
        """Wait for what is being delivered: for a process that is about to end."""
        if self._delivery is not None:
            self._delivery.join(seconds)


def _tell(alerts: Sequence[Alert], options: AlertSettings) -> None:
    # Not before: httpx holds about 10 MB, and most schedulers have nothing to tell for days.
    from .delivery import deliver  # noqa: PLC0415

    try:
        if deliver(notice_of(alerts), options):
            told(alerts, options, now=current_time())
    except DatabaseError as error:
        logger.error("alerts were told and are told once more: %s", error)
    finally:
        connections.close_all()
