"""What an idle worker holds, and what it asks of the database.

    python benchmarks/memory.py [--seconds N]

A plain ``manage.py rqworker`` runs some nodes and is then left alone, twice: after its drain has
ended, when only RQ's own process is left (``idle``), and while its drain lingers for more
(``lingering``).  Resident memory; sessions that began at the database in a minute; connections
that ran a statement meanwhile.  Transactions are not counted: autovacuum's are among them, which
comes by after a burst.  The baseline of memory is a Python that has set the same project up and
does nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from common import ROOT, rqworker, silence, stage, until_completed
from output import parser, progress, say, say_machine
from processes import held
from shapes import chain, publish_shape

EXECUTIONS = 200
LINGER_SECONDS = {"idle": 0.5, "lingering": 600.0}
BARE = "import django, time; django.setup(); print('ready', flush=True); time.sleep(600)"


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--seconds", type=float, default=60.0, help="how long it is left alone; 60")
    options = made.parse_args()
    say_machine()
    with stage(), progress(3) as step:
        publish_shape("memory", chain(10))
        step("a project that does nothing")
        bare = _bare()
        say("bare_django", bare, "MB")
        for name, linger in LINGER_SECONDS.items():
            step(name)
            _leave_alone(name, linger, options.seconds, bare)


def _bare() -> float:
    process = subprocess.Popen([sys.executable, "-c", BARE], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        return held(process.pid).rss_mb
    finally:
        process.kill()
        process.wait()


def _leave_alone(name: str, linger: float, seconds: float, bare: float) -> None:
    from django.db import connection
    from django.utils import timezone

    from spane_django.engine.start import start_many
    from spane_django.models import Worker

    database = connection.settings_dict["NAME"]
    with silence():
        pass
    # A slice that ends meanwhile would measure the handover to a fresh job.
    with rqworker("spane", LINGER_SECONDS=linger, SLICE_SECONDS=linger + 60) as worker:
        until_completed(start_many("memory", [{"n": 1}] * EXECUTIONS, now=timezone.now()))
        while name == "idle" and Worker.objects.filter(stopped_at=None).exists():
            time.sleep(0.1)
        connection.close()
        # What a backend has done last, it tells the statistics when it has been idle for 10 s.
        time.sleep(12)
        before = _activity(database)
        time.sleep(seconds)
        after = _activity(database)
        found = held(worker.pid)
    minutes = seconds / 60
    say(f"{name}_rss", found.rss_mb, "MB", baseline=bare, tree_mb=found.tree_mb)
    say(f"{name}_sessions", (after[0] - before[0]) / minutes, "sessions/minute")
    say(f"{name}_queries", len(after[1] - before[1]) / minutes, "changed connections/minute")
    say(f"{name}_connections", len(after[1]), "connections", threads=found.threads)


def _activity(database: str) -> tuple[int, set[tuple[object, ...]]]:
    """Return a database's sessions so far and its connections, asked from another one."""
    import psycopg

    url = os.environ["DATABASE_URL"].rpartition("/")[0] + "/postgres"
    with psycopg.connect(url) as elsewhere:
        row = elsewhere.execute(
            "SELECT sessions FROM pg_stat_database WHERE datname = %s",
            [database],
        ).fetchone()
        backends = elsewhere.execute(
            "SELECT pid, query_start, state_change FROM pg_stat_activity "
            "WHERE datname = %s AND backend_type = 'client backend'",
            [database],
        ).fetchall()
    assert row is not None
    return row[0], set(backends)


if __name__ == "__main__":
    main()
