"""Fills a database with executions that have ended, as if they had run over the past weeks.

Ids carry the time of the start, as the engine's own do, so that rows lie in the order in which
they would; one in fifty has failed with a dead letter, one in a hundred was cancelled.  Foreign
keys are not checked while it fills (the rows refer to each other by construction); everything
else, constraints and indexes, is as in production.  Afterwards the tables are analysed and their
visibility is mapped, as autovacuum would have done over the weeks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

NODES = 10
WORKFLOWS = 20
DAYS = 30
CHUNK = 20_000

# An id of version 7 from a number of milliseconds, with the number of the row for the rest.
_ID = """(lpad(to_hex(ms), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8'
          || substr(md5(n::text), 4, 15))::uuid"""

_ENDED = f"""
CREATE TEMPORARY TABLE ended ON COMMIT DROP AS
SELECT {_ID} AS id, n,
       to_timestamp(ms / 1000.0) AS at,
       CASE WHEN n %% 50 = 7 THEN 'failed' WHEN n %% 100 = 11 THEN 'cancelled' ELSE 'completed' END
         AS status,
       (%(workflows)s::bigint[])[1 + n %% {WORKFLOWS}] AS workflow,
       (%(versions)s::bigint[])[1 + n %% {WORKFLOWS}] AS version
FROM (
  SELECT n, ((extract(epoch FROM now()) - 600 - {DAYS} * 86400.0 * (1 - n::float / %(total)s))
              * 1000)::bigint AS ms
  FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
) AS numbered
"""

# What rows hold besides their columns' defaults, as SQL over the temporary table.
_EXECUTION = {
    "id": "id",
    "workflow_id": "workflow",
    "version_id": "version",
    "status": "status",
    "input": """'{"order": 4711}'""",
    "failed_nodes": "(status = 'failed')::int",
    "created_at": "at",
    "started_at": "at",
    "finished_at": "at + interval '2 seconds'",
}
_LAST = NODES - 1
_NODE_RUN = {
    "execution_id": "id",
    "node_id": "'n' || node",
    "node_type": "'benchmark-nothing'",
    "queue": "'spane'",
    "status": f"CASE WHEN node = {_LAST} THEN status ELSE 'completed' END",
    "failures": f"(node = {_LAST} AND status = 'failed')::int",
    "live_edges": "1",
    "output": """'{"n": 1}'""",
    "error_type": f"CASE WHEN node = {_LAST} AND status = 'failed' THEN 'ValueError' ELSE '' END",
    "created_at": "at",
    "started_at": "at",
    "finished_at": "at + interval '1 second'",
}
_DEAD_LETTER = {
    "execution_id": "ended.id",
    "node_run_id": "run.id",
    "node_id": "run.node_id",
    "node_type": "run.node_type",
    "attempts": "1",
    "error_type": "'ValueError'",
    "error_message": "'the card was declined'",
    "created_at": "ended.at",
}


def fill(total: int, advance: Callable[[int], None]) -> None:
    """Add so many executions with their node runs to the database that Django is set to.

    Args:
        advance: Called with how many were added, after each transaction.
    """
    from django.db import connection, transaction

    from spane_django.models import DeadLetter, Execution, NodeRun

    workflows, versions = publish_past()
    fixed = {"total": total, "workflows": workflows, "versions": versions}
    for first in range(1, total + 1, CHUNK):
        last = min(total, first + CHUNK - 1)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute("SET LOCAL synchronous_commit = off")
            cursor.execute(_ENDED, fixed | {"first": first, "last": last})
            _insert(cursor, Execution, _EXECUTION, "ended ORDER BY n")
            nodes = f"ended, generate_series(0, {_LAST}) AS node ORDER BY n, node"
            _insert(cursor, NodeRun, _NODE_RUN, nodes)
            failed = "run.execution_id = ended.id AND run.status = 'failed'"
            runs = f"ended JOIN spane_django_noderun AS run ON {failed} ORDER BY n"
            _insert(cursor, DeadLetter, _DEAD_LETTER, runs)
        advance(last - first + 1)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")
        cursor.execute("CHECKPOINT")


def publish_past() -> tuple[list[int], list[int]]:
    """Publish the workflows that had run; return their keys and their versions'."""
    from shapes import chain, publish_shape

    from spane_django.models import Workflow

    keys = [f"past{number}" for number in range(WORKFLOWS)]
    for key in keys:
        publish_shape(key, chain(NODES))
    found = list(
        Workflow.objects.filter(key__in=keys).values_list("pk", "current_version_id").order_by("pk")
    )
    return [pk for pk, _ in found], [version for _, version in found]


def _insert(cursor: Any, model: Any, told: Mapping[str, str], source: str) -> None:
    """Insert a row per row of the source; columns that are not told get their defaults."""
    from django.db import connection

    columns, values, defaults = [], [], []
    for field in model._meta.concrete_fields:
        if field.column in told:
            values.append(told[field.column])
        elif field.primary_key:
            continue
        else:
            defaults.append(field.get_db_prep_save(field.get_default(), connection))
            values.append("%s")
        columns.append(field.column)
    table, names, told_values = model._meta.db_table, ", ".join(columns), ", ".join(values)
    cursor.execute(f"INSERT INTO {table} ({names}) SELECT {told_values} FROM {source}", defaults)
