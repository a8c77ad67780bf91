"""Committing a batch, whatever the database or a single answer in the batch does.

A connection that breaks at a commit leaves open whether it took effect.  Settling again answers
that: what has been settled is refused, and what was claimed in the same breath is found by its
token.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections

from ..conf import settings
from ..core.json import printable
from ..core.outcome import Failure
from ..engine.claim import Claim, Want, claimed
from ..engine.db import PAUSE_SECONDS as _PAUSE_SECONDS
from ..engine.finished import Finished
from ..engine.run import Clock, utc_now
from ..engine.settle import Settlement, settle

logger = logging.getLogger("spane_django.dispatch")


def commit(
    finished: Sequence[Finished], want: Want | None = None, *, clock: Clock = utc_now
) -> Settlement:
    """Settle a batch.

    A database that is away is waited for, as long as the lease lasts: the answers are in hand
    and would have to be worked for again.  An answer that the database refuses becomes a failure
    of its own node and spoils nobody else's.

    Raises:
        OperationalError, InterfaceError: the database stayed away.
    """
    give_up = time.monotonic() + settings.LEASE_SECONDS
    want = replace(want, tokens=(uuid4(), uuid4())) if want is not None else None
    is_in_doubt = False
    while True:
        try:
            if want is not None and is_in_doubt:
                return _settle_again(finished, want, clock)
            return settle(finished, now=clock(), want=want)
        except (OperationalError, InterfaceError) as error:
            if time.monotonic() > give_up:
                raise
            logger.warning("the database does not answer, trying again: %s", error)
            is_in_doubt = True
            close_old_connections()
            time.sleep(_PAUSE_SECONDS)
        except DatabaseError as error:
            if not finished:
                raise
            return _one_by_one(finished, error, want, clock)


def _settle_again(finished: Sequence[Finished], want: Want, clock: Clock) -> Settlement:
    """Settle what may have been settled; go on with what was claimed when it was."""
    found = claimed(want)
    settlement = settle(finished, now=clock(), want=_left(want, found))
    settlement.claims = found + settlement.claims
    return settlement


def _one_by_one(
    finished: Sequence[Finished], error: DatabaseError, want: Want | None, clock: Clock
) -> Settlement:
    # What went straight on before the refusal has been claimed, and nobody else would run it.
    found = claimed(want) if want is not None else []
    if len(finished) == 1:
        logger.error("an answer could not be recorded: %s", error)
        left = _left(want, found) if want is not None else None
        settlement = settle([_refused(finished[0], error)], now=clock(), want=left)
    else:
        settlement = Settlement()
        for item in finished:
            single = commit([item], clock=clock)
            settlement.lost += single.lost
            settlement.left |= single.left
    settlement.claims = found + settlement.claims
    return settlement


def _left(want: Want, found: Sequence[Claim]) -> Want:
    return replace(want, room=max(0, want.room - len(found)))


def _refused(finished: Finished, error: DatabaseError) -> Finished:
    message = printable(f"the node's answer could not be recorded: {error}")[:1_000]
    return Finished(
        claim=finished.claim,
        outcome=Failure(message=message, type="UnstorableOutput", is_retryable=False),
        started_at=finished.started_at,
        finished_at=finished.finished_at,
    )
