"""How statements reach PostgreSQL: prepared on the server, within Django's transaction.

Django's cursor binds on the client, which rules out prepared statements; a plain psycopg cursor
on the same connection does not, and takes part in the same transaction.  Parameters travel as
one array per column, so a statement's text never depends on the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from types import NoneType
from typing import Any
from uuid import UUID

import psycopg

from ...conf import settings


class PostgreSQLConnection:
    """Django's connection, as the statements use it."""

    def __init__(self, connection: Any) -> None:
        connection.ensure_connection()
        self._connection = connection
        # Django turns preparing off; each of these statements is worth it from its second use.
        if settings.PREPARE_STATEMENTS and connection.connection.prepare_threshold is None:
            connection.connection.prepare_threshold = 1

    def _rows(self, statement: str, parameters: list[Any]) -> list[Any]:
        return self._execute(statement, parameters).fetchall()

    def _execute(self, statement: str, parameters: list[Any]) -> psycopg.Cursor[Any]:
        # Django's own cursor is what turns psycopg's errors into Django's.
        with self._connection.wrap_database_errors:
            cursor = psycopg.Cursor(self._connection.connection)
            return cursor.execute(statement.encode(), parameters)


def columns(rows: Sequence[Any], names: Sequence[str]) -> list[str]:
    """Return rows as one array per column."""
    return [array(map(attrgetter(name), rows)) for name in names]


def array(values: Iterable[Any]) -> str:
    """Return values of one type, or None, as the text of an array, to be cast by the statement.

    psycopg finds out for every value whether it must be quoted, which took a fifth of the time of
    a settlement; here the type says so.  What occurs again, such as a queue or an instant, is
    written once.
    """
    items = list(values)
    if items and type(items[0]) is UUID:
        # Hashing one takes longer than writing it.
        return "{" + ",".join(["NULL" if item is None else item.hex for item in items]) + "}"
    if len(items) == 1:
        return "{" + _text(items[0]) + "}"
    texts = {item: _text(item) for item in set(items)}
    return "{" + ",".join(map(texts.__getitem__, items)) + "}"


def _text(value: Any) -> str:
    return _TEXT.get(type(value), _quoted)(value)


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", r"\\").replace('"', r"\"") + '"'


# https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
_TEXT: dict[type, Callable[[Any], str]] = {
    NoneType: lambda _: "NULL",
    UUID: str,
    bool: str,
    int: str,
    float: str,
    datetime: datetime.isoformat,
}
