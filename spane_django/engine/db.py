"""Which database the engine writes to, and its transactions."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import (
    InterfaceError,
    InternalError,
    OperationalError,
    connections,
    router,
    transaction,
)
from django.db.backends.signals import connection_created
from django.dispatch import receiver

from ..conf import settings
from ..models import Execution

logger = logging.getLogger("spane_django.engine")

Returned = TypeVar("Returned")

# PostgreSQL's codes of "try again": serialization_failure and deadlock_detected.
_TRANSIENT = frozenset({"40001", "40P01"})
# Its idle_in_transaction_session_timeout, and its lock_timeout.
_TIMED_OUT, _WAITED_TOO_LONG = "25P03", "55P03"
_TRIES = 3
# Its codes of "not now": connection_exception, and what a server says that shuts down or starts.
_NOT_NOW = ("08", "57P")
# Those of SQLite: busy, locked, a failing disk, a file that cannot be opened.
_NO_FILE = frozenset({5, 6, 10, 14})
PAUSE_SECONDS = 0.2

_threads = threading.local()

# Where a connection of Django's keeps what it was told when it was dedicated.
_SAID = "_spane_dedicated"
_BY_INDEX = (
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;"
    " SET enable_material = off; SET jit = off; SET plan_cache_mode = force_generic_plan;"
)


class DatabaseLost(OperationalError):
    """The database did not answer what was read from it, though it was asked again and again."""


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


def is_manual() -> bool:
    """Say whether somebody commits by hand on it, where `on_commit` works in a block only."""
    return not (connection().in_atomic_block or connection().get_autocommit())


def dedicate(*, by_index: bool = True) -> None:
    """Say that this thread's connection serves the engine alone: a drain's or a scheduler's does.

    It lets go of what it has locked when its process falls silent amid a transaction: one that is
    frozen, or cut off from the database, would keep everybody else from taking its nodes back for
    as long as that lasts.  It may be silent for half a lease: another worker, taken for dead after
    a whole one, may have left nodes behind in the executions that this one has locked.  It also
    waits for others no longer than half of that, or of two who fall silent while one waits for the
    other, the second would only begin to be silent when the first is gone.  PostgreSQL sees to
    both, and a connection that takes the place of a broken one is told anew.

    Args:
        by_index: Every statement looks rows up by an index.  While a table is young PostgreSQL
            takes it for tiny, prefers to read the whole of it, and keeps that plan for a prepared
            statement until statistics arrive, a minute or so later: nodes became slower all the
            while.  Where there is no index (a table of a few rows needs none) the plan looks so
            dear to it that it would be compiled, which takes a hundred times as long as running
            it.  A plan that was made for the values at hand is no better: for a join of 1,000
            parents it compared each with each.
    """
    mine = connection()
    if mine.vendor == "postgresql" and settings.PREPARE_STATEMENTS:
        statements = f"{_timeouts('SET')} {_BY_INDEX if by_index else ''}"
        setattr(mine, _SAID, statements)
        if mine.connection is not None:
            _dedicate_again(mine)


def let_go_when_silent() -> None:
    """Say of the current transaction alone what `dedicate` says of a connection.

    From here on it lets go of what it locks when its process falls silent for half a lease, and
    waits for others no longer than half of that.
    """
    if connection().vendor == "postgresql":
        with connection().cursor() as cursor:
            cursor.execute(_timeouts("SET LOCAL"))


def drop_broken_connections() -> None:
    """Drop this thread's broken connections, as Django does around a request.

    None amid a transaction: a node on a thread of its own is in none, one inside a test is.
    Django's way to the connections takes a while, and most nodes never open one: so a thread keeps
    its own at hand, and looks at each.  That one was opened is not heard from Django's signal: it
    is not sent for one that broke before it was ready, which Django keeps nevertheless.
    """
    try:
        mine = _threads.connections
    except AttributeError:
        mine = _threads.connections = connections.all()
    for each in mine:
        if each.connection is not None and not each.in_atomic_block:
            each.close_if_unusable_or_obsolete()


def in_transaction(work: Callable[[], Returned]) -> Returned:
    """Do ``work`` in a durable transaction, again if the database asks to.

    Raises:
        OperationalError: it failed for another reason, or three times.
    """

    def durably() -> Returned:
        with atomic(durable=True):
            return work()

    return again_if_asked(durably)


def again_if_asked(work: Callable[[], Returned]) -> Returned:
    """Do ``work``, which is one transaction or one statement, again if the database asks to.

    Raises:
        OperationalError: it failed for another reason, or three times.
    """
    for left in reversed(range(_TRIES)):
        try:
            return work()
        except (OperationalError, InternalError) as error:
            code = getattr(error.__cause__, "sqlstate", None)
            if code == _TIMED_OUT:
                # The connection is gone, as after any other end of it; psycopg files it elsewhere.
                raise OperationalError(str(error)) from error.__cause__
            if code not in _TRANSIENT or not left:
                raise
            logger.info("transaction repeated after %s", code)
    raise AssertionError("unreachable")


def steadily(read: Callable[[], Returned]) -> Returned:
    """Read, and again on a new connection if the database was away, as long as a lease lasts.

    Not inside a transaction: that is gone with its connection.

    Raises:
        DatabaseLost: it stayed away.
    """
    give_up = time.monotonic() + settings.LEASE_SECONDS
    while True:
        try:
            return read()
        except (OperationalError, InterfaceError) as error:
            if not _is_away(error):
                raise
            if connection().in_atomic_block or time.monotonic() > give_up:
                raise DatabaseLost(str(error)) from error.__cause__
            logger.warning("the database does not answer, reading again: %s", error)
            drop_broken_connections()
            time.sleep(PAUSE_SECONDS)


def is_passing(error: BaseException) -> bool:
    """Say whether a transaction failed because of what befell the database or its connection.

    Then the same may hold another time: the connection ended, the server was away, another one
    held a lock for too long, or this transaction was chosen as the one to give way.
    """
    if not isinstance(error, (OperationalError, InterfaceError, InternalError)):
        return False
    code = getattr(error.__cause__, "sqlstate", None)
    return code in _TRANSIENT | {_TIMED_OUT, _WAITED_TOO_LONG} or _is_away(error)


def on_commit(function: Callable[[], object]) -> None:
    """Call ``function`` once the current transaction has committed; its errors are logged."""
    transaction.on_commit(function, using=alias(), robust=True)


def _is_away(error: Exception) -> bool:
    """Say whether a database did not answer, rather than refuse what it was asked."""
    cause = error.__cause__
    file_code = getattr(cause, "sqlite_errorcode", None)
    if file_code is not None:
        # The low byte is the error, the others tell more of it.
        return file_code & 0xFF in _NO_FILE
    # A driver that has lost its connection has no code from the server.
    code = getattr(cause, "sqlstate", None)
    return cause is not None and (code is None or code.startswith(_NOT_NOW))


def _timeouts(say: str) -> str:
    silent = int(settings.LEASE_SECONDS * 1_000 / 2)
    amid = f"{say} idle_in_transaction_session_timeout = {silent};"
    return f"{amid} {say} lock_timeout = {silent // 2};"


@receiver(connection_created, dispatch_uid="spane_django.engine.db")
def _dedicate_again(connection: Any, **_: object) -> None:
    if said := getattr(connection, _SAID, ""):
        with connection.cursor() as cursor:
            cursor.execute(said)
