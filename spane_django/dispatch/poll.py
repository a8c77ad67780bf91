"""A worker without Redis and without RQ: it asks the database, because the rows are the queue.

It is the same drain as everywhere, with a bell that rings by the clock.  An idle worker costs
the database a claim per ring, so this is for machines where no Redis can be had.  One process
works on one queue; more processes work faster.
"""

from __future__ import annotations

import faulthandler
import logging
import math
import time
from collections.abc import Callable, Iterable

from django.db import Error, connections

from ..conf import settings
from .bell import Bell, PollingBell
from .drain import Drain

logger = logging.getLogger("spane_django.dispatch")

# How often a worker asks for work, and how long it rests when the database is away.
SECONDS = 0.5
_REST_SECONDS = 1.0


def work(queue: str, *, should_stop: Callable[[], bool], seconds: float = SECONDS) -> bool:
    """Run the nodes of a queue until told to stop.

    Nodes in flight are given ``SHUTDOWN_SECONDS``; what has not begun is handed back.

    Args:
        should_stop: Asked all the time, so it must be cheap.
        seconds: Between two looks for work while there is none.

    Returns:
        Whether it stopped because it was told to.  False: code that outran its timeout holds a
        thread for ever, and the process must be replaced.
    """
    while not should_stop():
        try:
            report = _drain(queue, should_stop, seconds).run()
        except Error as error:
            logger.warning("the database does not answer, trying again: %s", error)
            connections.close_all()
            _rest(should_stop)
        else:
            if report.has_stuck_threads:
                return False
        finally:
            faulthandler.cancel_dump_traceback_later()
    return True


def _drain(queue: str, should_stop: Callable[[], bool], seconds: float) -> Drain:
    def make_bell(ring: Callable[[], None]) -> Bell:
        return PollingBell(ring=ring, seconds=seconds)

    # A node that holds the interpreter in C code stops the heartbeat, too: better to end, and
    # to be started again by whoever supervises this process.
    watchdog = settings.LEASE_SECONDS
    return Drain(
        queue,
        make_bell=make_bell,
        wake=_wake_nobody,
        should_stop=should_stop,
        on_turn=lambda: faulthandler.dump_traceback_later(watchdog, exit=True),
        linger=math.inf,
    )


def _wake_nobody(queues: Iterable[str]) -> None:
    """Leave it to the clock: whoever works without Redis looks by himself."""


def _rest(should_stop: Callable[[], bool]) -> None:
    until = time.monotonic() + _REST_SECONDS
    while time.monotonic() < until and not should_stop():
        time.sleep(0.05)
