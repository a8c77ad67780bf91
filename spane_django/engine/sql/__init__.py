"""The statements of the hot path, once per dialect, with the same functions.

A verb asks `statements()` for the dialect of the database it is about to write to.  Everything
off the hot path goes through Django's ORM.  Another database needs one more module here.
"""

from __future__ import annotations

from ..db import connection
from .postgresql import PostgreSQL
from .protocol import Statements
from .sqlite import SQLite

__all__ = ["Statements", "statements"]

_DIALECTS: dict[str, type[PostgreSQL] | type[SQLite]] = {
    "postgresql": PostgreSQL,
    "sqlite": SQLite,
}


class UnsupportedDatabase(RuntimeError):
    """The engine speaks PostgreSQL and SQLite."""


def statements() -> Statements:
    """Return the hot path's statements on the connection that the engine writes to.

    Raises:
        UnsupportedDatabase: there is no dialect for it.
    """
    used = connection()
    dialect = _DIALECTS.get(used.vendor)
    if dialect is None:
        raise UnsupportedDatabase(f"the engine speaks PostgreSQL and SQLite, not {used.vendor}")
    return dialect(used)
