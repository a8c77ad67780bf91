"""How statements reach PostgreSQL: prepared on the server, within Django's transaction.

Django's cursor binds on the client, which rules out prepared statements; a plain psycopg cursor
on the same connection does not, and takes part in the same transaction.  Parameters travel as
one array per column, so a statement's text never depends on the number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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


# Text that most rows leave empty.  Quoting an empty text costs more than any other value: with six
# such columns a start took a fifth longer.
_MOSTLY_EMPTY = frozenset({"lane", "gate", "reason", "key", "slot", "relation"})


def columns(rows: Sequence[Any], names: Sequence[str]) -> list[list[Any] | None]:
    """Return rows as one array per column; None for text that is mostly empty and is in all."""
    found = ([getattr(row, name) for row in rows] for name in names)
    return [
        None if name in _MOSTLY_EMPTY and not any(values) else values
        for name, values in zip(names, found, strict=True)
    ]
