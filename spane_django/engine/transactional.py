"""Transactional nodes: what the node writes and its result are committed together, or neither.

The body runs inside a transaction of the engine's database that ends with the settlement of its
own attempt.  If the claim no longer holds by then, or the body fails, everything is rolled back.
So a node whose only effects are rows of this database happens exactly once.
"""

from __future__ import annotations

from collections.abc import Callable

from ..core.outcome import Result
from .db import atomic, let_go_when_silent
from .finished import Finished
from .followup import follow_up_or_leave
from .settle import Settlement, apply


class _RolledBack(Exception):
    """Ends the transaction of a body whose writes must not stay."""


def in_one_transaction(
    attempt: Callable[[], Finished], failed: Callable[[BaseException], Finished]
) -> Finished:
    """Run an attempt and settle it in one transaction; return how it ended.  Never raises.

    An attempt that did not succeed has written nothing and is not settled yet.

    Args:
        failed: Makes an ended attempt of what went wrong in the settlement or the commit.
    """
    ended: list[Finished] = []
    try:
        with atomic():
            ended.append(attempt())
            settlement = _settled(ended[0])
    except _RolledBack:
        return ended[0]
    except BaseException as error:
        return failed(error)
    todo, now = settlement.todo, ended[0].finished_at
    ended[0].settled = settlement.left | follow_up_or_leave(todo, now=now)
    return ended[0]


def _settled(finished: Finished) -> Settlement:
    if not isinstance(finished.outcome, Result):
        raise _RolledBack
    let_go_when_silent()
    settlement = apply([finished], now=finished.finished_at)
    if settlement.lost:
        raise _RolledBack
    return settlement
