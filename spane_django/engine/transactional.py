"""Transactional nodes: what the node writes and its result are committed together, or neither.

The body runs inside a transaction of the engine's database that ends with the settlement of its
own attempt.  If the claim no longer holds by then, or the body fails, everything is rolled back.
So a node whose only effects are rows of this database happens exactly once.
"""

from __future__ import annotations

from collections.abc import Callable

from ..core.outcome import Failure, Result
from .db import atomic
from .finished import Finished
from .followup import follow_up
from .settle import Settlement, apply
from .wake import wake


class _RolledBack(Exception):
    """Ends the transaction of a body whose writes must not stay."""


def in_one_transaction(
    attempt: Callable[[], Finished], failure_of: Callable[[BaseException], Failure]
) -> Finished:
    """Run an attempt and settle it in one transaction; return how it ended.

    An attempt that did not succeed has written nothing and is not settled yet.

    Args:
        failure_of: Makes a failure of what went wrong in the settlement or the commit.
    """
    finished: Finished | None = None
    settlement = Settlement()
    try:
        with atomic():
            finished = attempt()
            if not isinstance(finished.outcome, Result):
                raise _RolledBack
            settlement = apply([finished], now=finished.finished_at)
            if settlement.lost:
                raise _RolledBack
    except _RolledBack:
        pass
    except BaseException as error:
        if finished is None:
            raise
        finished.outcome, finished.output = failure_of(error), "null"
    else:
        finished.settled = settlement.left | follow_up(settlement.todo, now=finished.finished_at)
        wake(finished.settled)
    if finished is None:
        raise AssertionError("unreachable: an attempt always ends")
    return finished
