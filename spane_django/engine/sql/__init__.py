"""The statements of the hot path, once per dialect, with the same functions.

A verb asks `statements()` for the dialect of the database it is about to write to.  Everything
off the hot path goes through Django's ORM.  Another database needs one more module here.
"""

from __future__ import annotations

from django.utils.module_loading import import_string

from ..db import connection
from .protocol import Statements

__all__ = ["Statements", "UnsupportedDatabase", "statements"]

# By name, because a project on SQLite need not have PostgreSQL's driver.
_DIALECTS = {
    "postgresql": "spane_django.engine.sql.postgresql.PostgreSQL",
    "sqlite": "spane_django.engine.sql.sqlite.SQLite",
}


class UnsupportedDatabase(RuntimeError):
    """The engine speaks PostgreSQL and SQLite."""


def statements() -> Statements:
    """Return the hot path's statements on the connection that the engine writes to.

    Raises:
        UnsupportedDatabase: there is no dialect for it.
    """
    used = connection()
    if used.vendor not in _DIALECTS:
        raise UnsupportedDatabase(f"the engine speaks PostgreSQL and SQLite, not {used.vendor}")
    dialect: type[Statements] = import_string(_DIALECTS[used.vendor])
    return dialect(used)
