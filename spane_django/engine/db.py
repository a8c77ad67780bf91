"""Which database the engine writes to, and its transactions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import OperationalError, connections, router, transaction

from ..conf import settings
from ..models import Execution

logger = logging.getLogger("spane_django.engine")

Returned = TypeVar("Returned")

# PostgreSQL's codes of "try again": serialization_failure and deadlock_detected.
_TRANSIENT = frozenset({"40001", "40P01"})
_TRIES = 3

_BY_INDEX = (
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;"
    " SET enable_material = off; SET jit = off; SET plan_cache_mode = force_generic_plan"
)


def alias() -> str:
    """Return the database of executions; all tables of this package live in one."""
    return router.db_for_write(Execution)


def connection() -> Any:
    """Return Django's connection to it, of this thread."""
    return connections[alias()]


def atomic(*, durable: bool = False) -> transaction.Atomic:
    """Open a transaction on it.

    Args:
        durable: Refuse to run inside another transaction, so that leaving means committed.
    """
    return transaction.atomic(using=alias(), durable=durable)


def dedicate() -> None:
    """Say that this thread's connection serves the engine alone: a drain's does.

    Every statement of the engine looks rows up by an index.  While a table is young PostgreSQL
    takes it for tiny, prefers to read the whole of it, and keeps that plan for a prepared
    statement until statistics arrive, a minute or so later: nodes became slower all the while.
    Where there is no index (a table of a few rows needs none) the plan looks so dear to it that
    it would be compiled, which takes a hundred times as long as running it.  A plan that was made
    for the values at hand is no better: for a join of 1,000 parents it compared each with each.
    """
    if connection().vendor == "postgresql" and settings.PREPARE_STATEMENTS:
        with connection().cursor() as cursor:
            cursor.execute(_BY_INDEX)


def drop_broken_connections() -> None:
    """Drop this thread's broken connections, as Django does around a request.

    None amid a transaction: a node on a thread of its own is in none, one inside a test is.
    """
    for each in connections.all(initialized_only=True):
        if not each.in_atomic_block:
            each.close_if_unusable_or_obsolete()


def in_transaction(work: Callable[[], Returned]) -> Returned:
    """Do ``work`` in a durable transaction, again if the database asks to.

    Raises:
        OperationalError: it failed for another reason, or three times.
    """
    for left in reversed(range(_TRIES)):
        try:
            with atomic(durable=True):
                return work()
        except OperationalError as error:
            code = getattr(error.__cause__, "sqlstate", None)
            if code not in _TRANSIENT or not left:
                raise
            logger.info("transaction repeated after %s", code)
    raise AssertionError("unreachable")


def on_commit(function: Callable[[], object]) -> None:
    """Call ``function`` once the current transaction has committed; its errors are logged."""
    transaction.on_commit(function, using=alias(), robust=True)
