"""How statements reach SQLite: the driver's own cursor, with values as Django stores them.

UUIDs are stored as 32 hexadecimal digits and instants as text in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID


class SQLiteConnection:
    """Django's connection, as the statements use it."""

    def __init__(self, connection: Any) -> None:
        connection.ensure_connection()
        self._connection = connection

    def _row(self, statement: str, parameters: Iterable[Any]) -> Any:
        return self._execute(statement, parameters).fetchone()

    def _execute(self, statement: str, parameters: Iterable[Any]) -> Any:
        with self._connection.wrap_database_errors:
            cursor = self._connection.connection.cursor()
            return cursor.execute(statement, [_stored(value) for value in parameters])


def instant(value: datetime | None) -> datetime | None:
    """Return an instant that was read from a column."""
    # Django has taught the driver to read columns of instants, but not that they are in UTC.
    return value and value.replace(tzinfo=UTC)


def _stored(value: Any) -> Any:
    if isinstance(value, UUID):
        return value.hex
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
    return str(value) if isinstance(value, str) else value
