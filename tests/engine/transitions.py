"""Watches every change of status that reaches the database, whoever makes it, by triggers.

The tables of `core.statuses` are compared with what really happens to rows: a test that leads to
a change which no table knows fails, and so does a whole run in which some line never happened.
"""

from __future__ import annotations

from itertools import chain

from django.db import connection

from spane_django.core.statuses import EXECUTION_TRANSITIONS, NODE_TRANSITIONS

Change = tuple[str, str, str]
"""A table's name, a status, and the one that followed it."""

LINES: set[Change] = {
    *(("execution", now.value, then.value) for (now, _), then in EXECUTION_TRANSITIONS.items()),
    *(("noderun", now.value, then.value) for (now, _), then in NODE_TRANSITIONS.items()),
}
# Two lines in one statement: released and claimed; reset and pruned.
COMBINED: set[Change] = {("noderun", "pending", "running"), ("noderun", "cancelled", "skipped")}
LEGAL = LINES | COMBINED

seen: set[Change] = set()

CREATE = "CREATE TABLE tests_transition (subject TEXT, was TEXT, became TEXT)"
SQLITE = """
CREATE TRIGGER tests_{table}_status AFTER UPDATE OF status ON spane_django_{table}
WHEN OLD.status <> NEW.status
BEGIN INSERT INTO tests_transition VALUES ('{table}', OLD.status, NEW.status); END
"""
POSTGRESQL = """
CREATE FUNCTION tests_{table}_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO tests_transition VALUES ('{table}', OLD.status, NEW.status); RETURN NULL; END $$;
CREATE TRIGGER tests_{table}_status AFTER UPDATE OF status ON spane_django_{table}
FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION tests_{table}_status()
"""


def watch() -> None:
    """Begin to record, in a database that has just been made."""
    trigger = SQLITE if connection.vendor == "sqlite" else POSTGRESQL
    with connection.cursor() as cursor:
        cursor.execute(CREATE)
        for table in ("execution", "noderun"):
            cursor.execute(trigger.format(table=table))


def collect() -> set[Change]:
    """Return what has happened since the last call, and remember it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT subject, was, became FROM tests_transition")
        changes = set(cursor.fetchall())
        cursor.execute("DELETE FROM tests_transition")
    seen.update(changes)
    return changes


def drawn(changes: set[Change]) -> list[str]:
    """Return changes as sorted lines of text."""
    return sorted(" ".join(chain(change[:2], ("→", change[2]))) for change in changes)
