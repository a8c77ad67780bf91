"""Faults at the driver: every statement and every commit passes here, and one of them fails.

A *point* is a moment at which a fault may strike: before a statement or a commit reaches the
server, after something took effect and before the caller heard of it, or a wake on its way to the
workers.  Points are found by running, below Django's cursors and the engine's own: a statement
that is new in a verb is covered without a line of test.

A fault is one of two harms.  With `Harm.BREAK` the connection breaks and the process hears of it;
with `Harm.KILL` the process is gone.  On PostgreSQL the server itself ends the connection, so
that what is raised is what a restart would raise; on SQLite it is what a locked file or a failing
disk would raise.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, close_old_connections, connections
from django.db.backends.signals import connection_created

Returned = TypeVar("Returned")

# Of these nothing is seen by anybody else.
_READS = ("SELECT", "PRAGMA", "SET", "BEGIN", "SAVEPOINT", "RELEASE", "ROLLBACK", "FETCH")
_PATIENCE_SECONDS = 10
_LIVES = "SELECT FROM pg_stat_activity WHERE pid = %s"
_COMMIT = "COMMIT"


class Died(BaseException):
    """The process is gone: nothing of what it would have done after this is done."""


class Harm(StrEnum):
    BREAK = "break"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Point:
    """A moment at which a fault may strike.

    Attributes:
        verb: What was being done.
        number: Which of the moments of a run it is.
        statement: What was on its way.
        is_after: Whether it had taken effect already.
        shape: What the verb had sent until then in this transaction; where it is the same, the
            point is.
        is_inside: Whether it is amid a transaction, which will be as if it had never begun.
    """

    verb: str
    number: int
    statement: str
    is_after: bool
    shape: str
    is_inside: bool = False

    @property
    def harms(self) -> list[Harm]:
        """What may happen here: who dies amid a transaction leaves the same behind at any point."""
        is_same = self.is_inside and self.statement != _COMMIT
        return [Harm.BREAK] if is_same else list(Harm)

    def __str__(self) -> str:
        when = "after" if self.is_after else "before"
        return f"{self.verb}: {when} #{self.number} {self.statement[:100]}"


class Injector:
    """Takes down the points of a run, or strikes at one of them.

    Attributes:
        points: What there was, if nothing was to be struck.
        has_struck: Whether the fault has happened.
        is_dead: Whether the process that it has killed still tries to do something.
    """

    def __init__(self, target: Point | None = None, harm: Harm = Harm.BREAK) -> None:
        self.points: list[Point] = []
        self.has_struck = self.is_dead = False
        self._target = target
        self._harm = harm
        self._verb = ""
        self._sent: list[str] = []
        self._number = 0
        self._is_paused = False

    @contextmanager
    def during(self, verb: str) -> Iterator[None]:
        """Let the statements of the block be points of a verb."""
        outer, self._verb = (self._verb, self._sent), verb
        self._sent = []
        try:
            yield
        finally:
            self._verb, self._sent = outer

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let nothing in the block be a point."""
        self._is_paused = True
        try:
            yield
        finally:
            self._is_paused = False

    def send(
        self, statement: str, connection: Connection, work: Callable[[], Returned]
    ) -> Returned:
        """Do what sends a statement, with the points before and after it."""
        if self.is_dead:
            raise Died
        if not self._verb or self._is_paused or self.has_struck:
            return work()
        self._sent.append(shape_of(statement))
        if self._is_here(statement, is_inside=not connection.has_settled()):
            self._die()
            connection.break_off()
            return connection.fail(statement, work)
        returned = work()
        if connection.has_settled():
            if not _is_read(statement) and self._is_here(statement, is_after=True):
                self._die()
                connection.break_off()
                return connection.fail(statement, connection.ask)
            self._sent = []
        return returned

    def revive(self) -> None:
        """Go on in another process."""
        self.is_dead = False
        _hand_over()

    def wake(self, queues: list[str], deliver: Callable[[list[str]], None]) -> None:
        """Tell workers, unless the hint gets lost."""
        if self._verb and not self.has_struck:
            self._sent.append("wake")
            if self._is_here(f"wake of {queues}"):
                self._die()
                return
        deliver(queues)

    def _is_here(self, statement: str, *, is_after: bool = False, is_inside: bool = False) -> bool:
        self._number += 1
        if self._target is None:
            shape = "\n".join([self._verb, *self._sent])
            text = " ".join(statement.split())
            point = Point(self._verb, self._number, text, is_after, shape, is_inside)
            self.points.append(point)
        self.has_struck = self._target is not None and self._number == self._target.number
        return self.has_struck

    def _die(self) -> None:
        if self._harm is Harm.KILL:
            self.is_dead = True
            raise Died


class Connection:
    """A driver's connection, as a fault sees it."""

    def has_settled(self) -> bool:
        """Say whether what was sent last has taken effect: no transaction is open."""
        raise NotImplementedError

    def break_off(self) -> None:
        """Break the connection."""
        raise NotImplementedError

    def ask(self) -> Any:
        """Send something that changes nothing."""
        raise NotImplementedError

    def fail(self, statement: str, work: Callable[[], Any]) -> Any:
        """Raise what a process hears of a broken connection, and do no work."""
        raise NotImplementedError


class SQLite(Connection):
    """A file: what breaks is the disk under it, or somebody else has locked it."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw

    def has_settled(self) -> bool:
        return not self._raw.in_transaction

    def break_off(self) -> None:
        """Do nothing: an open transaction is rolled back by who hears of the fault."""

    def ask(self) -> Any:
        return None

    def fail(self, statement: str, work: Callable[[], Any]) -> Any:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        if statement.startswith("BEGIN"):
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise error


class PostgreSQL(Connection):
    """A session, which the server ends."""

    def __init__(self, raw: Any, send: Callable[[Any], Any]) -> None:
        self._raw = raw
        self._send = send

    def has_settled(self) -> bool:
        return self._raw.pgconn.transaction_status == 0

    def break_off(self) -> None:
        pid, give_up = self._raw.info.backend_pid, time.monotonic() + _PATIENCE_SECONDS
        with _administrator().cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
            # Asked again and again, as the server itself would look ten times a second.
            while cursor.execute(_LIVES, [pid]).fetchone():
                assert time.monotonic() < give_up, "the server did not end the session"

    def ask(self) -> Any:
        cursor = self._raw.cursor()
        return self._send(cursor._execute_gen(b"SELECT 1"))

    def fail(self, statement: str, work: Callable[[], Any]) -> Any:
        work()
        raise AssertionError(f"the server answered on a connection that it had ended: {statement}")


_injectors: list[Injector] = []


@contextmanager
def watched(injector: Injector) -> Iterator[Injector]:
    """Let an injector see what is sent during the block."""
    # However the last one ended, the first statement asks whether the connection still lives.
    close_old_connections()
    _injectors.append(injector)
    try:
        yield injector
    finally:
        _injectors.remove(injector)


@contextmanager
def wired() -> Iterator[None]:
    """Make connections that injectors can see; none is open before or after the block."""
    connections.close_all()
    # Whoever drops the database closes this one first.
    original = connections[DEFAULT_DB_ALIAS]
    del connections[DEFAULT_DB_ALIAS]
    is_file = original.vendor == "sqlite"
    settings = connections.settings[DEFAULT_DB_ALIAS]
    options, kept = settings["OPTIONS"], settings["CONN_MAX_AGE"]
    # As workers have it: closing a file between nodes would take longer than the nodes.
    settings["CONN_MAX_AGE"] = None
    if is_file:
        options["factory"] = _SQLiteConnection
    else:
        connection_created.connect(_wire)
    try:
        yield
    finally:
        _drop()
        connections[DEFAULT_DB_ALIAS] = original
        settings["CONN_MAX_AGE"] = kept
        if is_file:
            del options["factory"]
        else:
            connection_created.disconnect(_wire)
            _administrator().close()
            _administrator.cache_clear()


def shape_of(statement: str) -> str:
    """Return a statement without what differs from run to run, such as how many values it lists."""
    text = re.sub(r"\s+", " ", statement)
    text = re.sub(r"(, )?(%s|\?|\(%s\))", "?", text)
    return re.sub(r"\d+", "0", re.sub(r"[?]+", "?", text))


class _SQLiteConnection(sqlite3.Connection):
    def cursor(self, factory: type[sqlite3.Cursor] = sqlite3.Cursor) -> sqlite3.Cursor:
        return super().cursor(factory=_cursor_like(factory))

    @property
    def isolation_level(self) -> Any:
        return sqlite3.Connection.isolation_level.__get__(self)

    @isolation_level.setter
    def isolation_level(self, level: Any) -> None:
        # Of a process that is gone: this would commit what it has begun.
        if _is_dead():
            raise Died
        sqlite3.Connection.isolation_level.__set__(self, level)

    def commit(self) -> None:
        _send(_COMMIT, SQLite(self), super().commit)


@cache
def _cursor_like(base: type[sqlite3.Cursor]) -> type[sqlite3.Cursor]:
    class Cursor(base):  # type: ignore[misc, valid-type]
        def execute(self, statement: str, *parameters: Any) -> Any:
            work = super().execute
            return _send(statement, SQLite(self.connection), lambda: work(statement, *parameters))

        def executemany(self, statement: str, rows: Any) -> Any:
            work = super().executemany
            return _send(statement, SQLite(self.connection), lambda: work(statement, rows))

    return Cursor


def _wire(*, connection: Any, **_: Any) -> None:
    """Put an injector between psycopg's connection and its socket."""
    raw = connection.connection
    if connection.alias != DEFAULT_DB_ALIAS:
        return
    # The server stays up: whether what it has committed would survive that is not asked here.
    raw.execute("SET synchronous_commit TO off; SET jit TO off")
    raw.commit()
    through = raw.wait
    wired = PostgreSQL(raw, through)

    def wait(generator: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
        statement = _statement_of(generator, raw)
        if statement is None and not _is_dead():
            return through(generator, *args, **kwargs)
        return _send(statement or "", wired, lambda: through(generator, *args, **kwargs))

    raw.wait = wait


def _statement_of(generator: Generator[Any, Any, Any], raw: Any) -> str | None:
    """Return what a protocol exchange is about to send; None: nothing, or a rollback."""
    name = generator.gi_code.co_name
    if name == "_commit_gen":
        return None if raw.pgconn.transaction_status == 0 else _COMMIT
    query = generator.gi_frame.f_locals.get("query")
    if query is None:
        return None
    return query.decode() if isinstance(query, bytes) else str(query)


def _send(statement: str, connection: Connection, work: Callable[[], Returned]) -> Returned:
    return _injectors[-1].send(statement, connection, work) if _injectors else work()


def _drop() -> None:
    """Leave a connection as it stands, whatever it was amid, and have another one next."""
    raw = connections[DEFAULT_DB_ALIAS].connection
    if raw is not None:
        raw.close()
    del connections[DEFAULT_DB_ALIAS]


def _hand_over() -> None:
    """Let the next process have the session of a dead one, what that had begun rolled back.

    A server does the same with a client that is gone; a new session would take as long as all the
    rest of a run.
    """
    old = connections[DEFAULT_DB_ALIAS]
    if old.vendor == "sqlite" or old.connection is None:
        _drop()
        return
    old.connection.rollback()
    del connections[DEFAULT_DB_ALIAS]
    new = connections[DEFAULT_DB_ALIAS]
    new.connection, new.health_check_enabled = old.connection, old.health_check_enabled
    new.health_check_done = True
    new.set_autocommit(True)


def _is_read(statement: str) -> bool:
    return statement.lstrip().upper().startswith(_READS)


def _is_dead() -> bool:
    return bool(_injectors) and _injectors[-1].is_dead


@cache
def _administrator() -> Any:
    return connections[DEFAULT_DB_ALIAS].copy("administrator")
