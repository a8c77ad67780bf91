"""What changed in the database, and when, as triggers saw it: the word of the database.

Every change of a node run's or an execution's status, and every change of hands, is a row that
commits together with the change.  Nothing of the engine reads or writes these rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

SCHEMA = """
CREATE TABLE chaos_effect (
    id bigserial PRIMARY KEY, execution_id uuid, node_id text, attempt int);
CREATE TABLE chaos_history (
    id bigserial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(),
    execution_id uuid, run_id bigint, node_id text, was text, became text,
    attempt int, worker_id uuid, was_worker_id uuid);
CREATE FUNCTION chaos_note_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos_history
        (execution_id, run_id, node_id, was, became, attempt, worker_id, was_worker_id)
    VALUES (NEW.execution_id, NEW.id, NEW.node_id,
        CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END, NEW.status, NEW.attempt, NEW.worker_id,
        CASE WHEN TG_OP = 'UPDATE' THEN OLD.worker_id END);
    RETURN NULL;
END $$;
CREATE FUNCTION chaos_note_execution() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos_history (execution_id, was, became)
    VALUES (NEW.id, CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END, NEW.status);
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_run_made AFTER INSERT ON spane_django_noderun
    FOR EACH ROW EXECUTE FUNCTION chaos_note_run();
CREATE TRIGGER chaos_run AFTER UPDATE ON spane_django_noderun FOR EACH ROW
    WHEN (OLD.status <> NEW.status OR OLD.claim_token IS DISTINCT FROM NEW.claim_token
          OR OLD.attempt <> NEW.attempt)
    EXECUTE FUNCTION chaos_note_run();
CREATE TRIGGER chaos_execution_made AFTER INSERT ON spane_django_execution
    FOR EACH ROW EXECUTE FUNCTION chaos_note_execution();
CREATE TRIGGER chaos_execution AFTER UPDATE ON spane_django_execution FOR EACH ROW
    WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION chaos_note_execution();
"""


@dataclass(slots=True)
class Change:
    """One change of a node run, or of an execution (``run_id`` is None).

    Attributes:
        was: The status before; None: the row was made.
        was_worker_id: Who held it before.
    """

    id: int
    at: datetime
    execution_id: Any
    run_id: int | None
    node_id: str | None
    was: str | None
    became: str
    attempt: int | None
    worker_id: Any
    was_worker_id: Any


def changes(database: psycopg.Connection[Any]) -> list[Change]:
    """Return every change, in the order in which they were made."""
    with database.cursor(row_factory=class_row(Change)) as cursor:
        return cursor.execute("SELECT * FROM chaos_history ORDER BY id").fetchall()
