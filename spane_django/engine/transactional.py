"""Transactional nodes: what the node writes and its result are committed together, or neither.

The body runs inside a transaction of the engine's database that ends with the settlement of its
own attempt.  If the claim no longer holds by then, or the body fails, everything is rolled back.
So a node whose only effects are rows of this database happens exactly once.

An attempt whose transaction the database ended is lost, as with its worker: it has done nothing,
and what befell it is no failure of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from ..core.outcome import Failure, Lost, Result
from .db import atomic, connection, let_go_when_silent
from .finished import Finished
from .followup import follow_up_or_leave
from .settle import Settlement, apply

# How a body fails whose connection ended under it.
_OF_CONNECTIONS = frozenset({"OperationalError", "InterfaceError", "InternalError"})


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
    ended, session = list[Finished](), None
    try:
        with atomic():
            session = connection().connection
            ended.append(attempt())
            settlement = _settled(ended[0])
    except _RolledBack:
        outcome = ended[0].outcome
        # Django puts another one in the place of a connection that could not even roll back.
        is_broken = connection().connection is not session
        if is_broken and isinstance(outcome, Failure) and outcome.type in _OF_CONNECTIONS:
            ended[0].outcome = transaction_lost(outcome.message)
        return ended[0]
    except BaseException as error:
        return failed(error)
    todo, now = settlement.todo, ended[0].finished_at
    ended[0].settled = settlement.left | follow_up_or_leave(todo, now=now)
    return ended[0]


def transaction_lost(why: str) -> Lost:
    """Return how an attempt ended whose transaction the database ended."""
    return Lost(type="TransactionLost", reason=f"the database ended its transaction: {why}")


def _settled(finished: Finished) -> Settlement:
    if not isinstance(finished.outcome, Result):
        raise _RolledBack
    let_go_when_silent()
    settlement = apply([finished], now=finished.finished_at)
    if settlement.lost:
        raise _RolledBack
    return settlement
