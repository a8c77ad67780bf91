"""A database with a long past, made in a minute: executions, node runs, logs, dead letters, audit.

Rows are made by PostgreSQL itself (``generate_series``), not by the engine, and look as the engine
leaves them: twenty workflows of which some run far more than others, a month that is busier at its
end, most executions completed, some failed, few still going, some children, tenants for a third.
The same numbers give the same rows but for random digits of ids.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

WORKFLOWS = 20
AUDIT_SHARE = 0.1
DAYS = 30

_ID = """
CREATE FUNCTION pg_temp.made_id(n int, at timestamptz) RETURNS uuid LANGUAGE sql AS $$
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
        || substr(md5(n::text), 1, 3) || 'a' || substr(md5(n::text), 4, 15))::uuid
$$
"""

# How long ago: squared, so that the end of the month is busier than its beginning.
_MADE = """
CREATE TEMPORARY TABLE made AS
SELECT n,
       now() - make_interval(secs => {seconds} * power((n + 0.5) / {count}, 2)) AS at,
       -- The square again: the first workflows run most.
       1 + floor(power(((n::bigint * 7919) % 10007) / 10007.0, 2) * {workflows})::int AS place,
       ((n::bigint * 104729) % 10000) / 100.0 AS luck
FROM generate_series(0, {count} - 1) AS n
"""

_EXECUTIONS = """
INSERT INTO spane_django_execution
    (id, workflow_id, version_id, parent_id, status, reason, input, priority, active_nodes,
     failed_nodes, parent_round, relation, depth, follows_parent, key, tenant, trigger,
     subject_type, subject_id, slot, created_at, started_at, finished_at)
SELECT pg_temp.made_id(made.n, made.at), w.id, w.current_version_id,
       pg_temp.made_id(parent.n, parent.at), s.status, '', jsonb_build_object('order', made.n), 5,
       (s.status IN ('running', 'paused'))::int, (s.status = 'failed')::int, 0,
       CASE WHEN parent.n IS NULL THEN '' ELSE 'child' END, (parent.n IS NOT NULL)::int, true, '',
       CASE WHEN made.n % 3 = 0 THEN 'tenant-' || made.n % 60 ELSE '' END,
       CASE WHEN made.n % 4 = 0 THEN 'schedule' ELSE '' END, '', '', '',
       made.at, CASE WHEN s.status <> 'pending' THEN made.at + interval '20 ms' END,
       CASE WHEN s.status IN ('completed', 'failed', 'cancelled')
            THEN least(now(), made.at + make_interval(secs => 0.1 * exp(made.luck / 12))) END
FROM made JOIN places w USING (place)
LEFT JOIN made parent ON made.n % 10 = 9 AND parent.n = made.n + 1,
LATERAL (SELECT CASE WHEN made.luck < 94.5 THEN 'completed' WHEN made.luck < 97.5 THEN 'failed'
                     WHEN made.luck < 99.4 THEN 'cancelled' WHEN made.luck < 99.7 THEN 'running'
                     WHEN made.luck < 99.9 THEN 'paused' ELSE 'pending' END AS status) s
ORDER BY made.n DESC
"""

_NODE_RUNS = """
INSERT INTO spane_django_noderun
    (execution_id, node_id, node_type, status, reason, queue, priority, available_at, is_held,
     lane, gate, is_limited, signal_name, signal_key, attempt, failures, losses, output,
     open_edges, live_edges, broken_edges, error_type, error_message, created_at, started_at,
     finished_at)
SELECT e.id, 'work', 'log', s.status, '', 'spane', 5,
       CASE WHEN finished_at IS NULL THEN created_at + interval '1 year' END,
       e.status <> 'running' AND finished_at IS NULL, '', '', false, '', '', 1, 0, 0,
       '{{"n": 1}}', 0, 0, 0, CASE WHEN e.status = 'failed' THEN 'HTTPError' ELSE '' END,
       CASE WHEN e.status = 'failed' THEN '503 Service Unavailable' ELSE '' END,
       created_at, started_at, finished_at
FROM spane_django_execution e,
LATERAL (SELECT CASE WHEN finished_at IS NULL THEN 'waiting' ELSE e.status END AS status) s
ORDER BY e.id
"""

_LOG_LINES = """
INSERT INTO spane_django_logline (execution_id, node_id, attempt, level, message, created_at)
SELECT execution_id, node_id, 1, CASE WHEN status = 'failed' THEN 'error' ELSE 'info' END,
       'order ' || id || ' was looked at', created_at
FROM spane_django_noderun ORDER BY id
"""

_DEAD_LETTERS = """
INSERT INTO spane_django_deadletter
    (execution_id, node_run_id, node_id, node_type, attempts, error_type, error_message,
     traceback, input, created_at, resolved_at, resolution)
SELECT execution_id, id, node_id || '-' || id % 7, node_type, 5,
       (ARRAY['HTTPError', 'KeyError', 'Timeout', 'OperationalError'])[1 + id % 4],
       error_message, repeat('  File "shop/orders.py", line 12, in charge' || chr(10), 20),
       '{{"order": 1}}', finished_at,
       CASE WHEN n > {letters} THEN finished_at + interval '1 hour' END,
       CASE WHEN n > {letters} THEN 'retried' ELSE '' END
FROM (SELECT *, row_number() OVER (ORDER BY id DESC) AS n
      FROM spane_django_noderun WHERE status = 'failed') failed
ORDER BY id
"""

_AUDIT = """
INSERT INTO spane_django_auditentry (at, username, verb, execution_id, target, reason, tenant)
SELECT created_at, 'operator-' || floor(random() * 9), (ARRAY['cancel', 'retry', 'pause'])
       [1 + floor(random() * 3)::int], id, 'work', 'because', tenant
FROM spane_django_execution WHERE random() < {audit} ORDER BY id
"""

_ROLLUPS = """
INSERT INTO spane_django_rollup
    (period, at, tenant, workflow_id, started, completed, failed, cancelled, durations)
SELECT '{period}', date_trunc('{period}', created_at), tenant, workflow_id, count(*),
       count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'failed'),
       count(*) FILTER (WHERE status = 'cancelled'), '{{"14": 3, "20": 1}}'
FROM spane_django_execution
WHERE created_at > now() - interval '{kept}' AND created_at < date_trunc('minute', now())
GROUP BY 2, 3, 4
"""

_SAMPLES = """
INSERT INTO spane_django_queuesample (at, queue, waiting, delayed, active, workers)
SELECT at, 'spane', random() * 100, 3, 4, 2
FROM generate_series(date_trunc('minute', now()) - interval '2 days',
                     date_trunc('minute', now()) - interval '1 minute', '1 minute') AS at
"""


def fill(executions: int, letters: int, *, tell: Callable[[str], None]) -> None:
    """Make a past of so many executions, the newest of its failures as open dead letters.

    Args:
        tell: Called with what is made next.
    """
    _publish()
    numbers = {
        "count": executions, "letters": letters, "workflows": WORKFLOWS, "audit": AUDIT_SHARE,
        "seconds": DAYS * 86_400,
    }  # fmt: skip
    for said, statement in _steps():
        tell(said)
        _run(statement.format(**numbers))


def steps() -> int:
    """Return how many steps there are to make a past."""
    return len(_steps())


def _steps() -> list[tuple[str, str]]:
    hours = _ROLLUPS.replace("{period}", "hour").replace("{kept}", f"{DAYS} days")
    minutes = _ROLLUPS.replace("{period}", "minute").replace("{kept}", "2 days")
    return [
        ("ids", _ID),
        ("times", _MADE),
        ("executions", _EXECUTIONS),
        ("node runs", _NODE_RUNS),
        ("log lines", _LOG_LINES),
        ("dead letters", _DEAD_LETTERS),
        ("audit entries", _AUDIT),
        ("sums per hour", hours),
        ("sums per minute", minutes),
        ("samples of queues", _SAMPLES),
        # What autovacuum does within minutes of such an amount.
        ("statistics", "VACUUM ANALYZE"),
    ]


def _publish() -> None:
    from common import publish

    from spane_django.models import Workflow

    for number in range(WORKFLOWS):
        key = f"flow-{number}"
        node: dict[str, Any] = {"id": "work", "type": "log", "config": {"message": "done"}}
        publish({"id": key, "name": f"Flow {number}", "entryNodeId": "work", "nodes": [node]})
    _run(
        "CREATE TEMPORARY TABLE places AS SELECT id, current_version_id, "
        f"row_number() OVER (ORDER BY id) AS place FROM {Workflow._meta.db_table}"
    )


def _run(statement: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement)
