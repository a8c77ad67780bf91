"""What a long history costs: a full database beside an empty one, on the same server.

    python benchmarks/scale.py --data DIRECTORY [--executions N] [--repetitions N]

Fills a PostgreSQL in the directory with 1,000,000 finished executions of 10 nodes each (once: the
directory is used again; about 3 GB), makes an empty database beside it, and measures, in turns:

    chain10, fan1000, single, lone100, starts    the hot path; the ratio is full to empty
    list_…, stats, admin_…                       pages of the API and the admin, p50 in ms
    prune                                        executions deleted per second, on the full one

PostgreSQL has its default 128 MB of shared buffers: most of the history is not in them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import node_types
import shapes
from common import silence
from history import fill, publish_past
from output import parser, progress, say, say_machine
from starts import batched

NAMES = ("full", "empty")
PRUNED = 5_000
PAGES = {
    "list_executions": "/api/executions?limit=50",
    "list_failed": "/api/executions?status=failed&limit=50",
    "list_of_workflow": "/api/executions?workflow=past7&limit=50",
    "list_dead_letters": "/api/dlq?limit=50",
    "stats": "/api/stats",
    "admin_executions": "/admin/spane_django/execution/",
    "admin_failed": "/admin/spane_django/execution/?status__exact=failed",
    "admin_node_runs": "/admin/spane_django/noderun/",
    "admin_dead_letters": "/admin/spane_django/deadletter/",
    "admin_dashboard": "/admin/spane_django/dashboard/",
}
PAGE_SAMPLES = 15
_ENOUGH = 0.9


def main() -> None:
    options = _options()
    os.environ["SPANE"] = json.dumps({"API_RATE": None})
    with _stage(options.data.resolve()) as switch:
        with progress(options.executions) as step:
            _fill(switch, options.executions, step)
        say_machine(**_size(switch))
        with progress(len(options.only)) as step, silence():
            for name in options.only:
                step(name)
                if name in FIGURES:
                    _compare(switch, name, *FIGURES[name], options.repetitions)
                elif name in PAGES:
                    _compare_pages(switch, name, PAGES[name])
                else:
                    switch("full")
                    say(name, _prune(), "executions/s", count=PRUNED)


def _single() -> float:
    return statistics.median(shapes.latencies("single", shapes.chain(1), 50))


def _lone() -> float:
    return statistics.median(shapes.latencies("lone", shapes.chain(100), 2)) / 100


FIGURES: dict[str, tuple[Callable[[], float], str]] = {
    "chain10": (lambda: shapes.throughput("chain10", shapes.chain(10), 1_000), "nodes/s"),
    "fan1000": (lambda: shapes.throughput("fan1000", shapes.fan(1_000), 1, rounds=5), "nodes/s"),
    "single": (_single, "ms"),
    "lone100": (_lone, "ms/node"),
    "starts": (lambda: batched(100, 2_000), "executions/s"),
}


def _compare(
    switch: Callable[[str], None],
    name: str,
    measure: Callable[[], float],
    unit: str,
    repetitions: int,
) -> None:
    """Measure both databases in turns, after a round that is not counted."""
    samples: dict[str, list[float]] = {database: [] for database in NAMES}
    for _ in range(repetitions + 1):
        for database, measured in samples.items():
            switch(database)
            measured.append(measure())
    full, empty = (statistics.median(samples[database][1:]) for database in NAMES)
    say(name, full, unit, baseline=empty, samples=samples["full"][1:])


def _compare_pages(switch: Callable[[str], None], name: str, path: str) -> None:
    found = {}
    for database in reversed(NAMES):
        switch(database)
        found[database] = _page(path)
    say(name, statistics.median(found["full"]), "ms", baseline=statistics.median(found["empty"]))


def _page(path: str) -> list[float]:
    from django.contrib.auth.models import User
    from django.test import Client

    user, _ = User.objects.get_or_create(username="benchmark", is_superuser=True, is_staff=True)
    client = Client()
    client.force_login(user)
    took = []
    for _ in range(PAGE_SAMPLES + 1):
        began = time.perf_counter()
        answer = client.get(path)
        took.append((time.perf_counter() - began) * 1_000)
        if answer.status_code != 200:
            raise AssertionError(f"{path}: {answer.status_code}")
    return took[1:]


def _prune() -> float:
    """Return executions deleted per second, the oldest first."""
    from django.utils import timezone

    from spane_django.core.statuses import ExecutionStatus
    from spane_django.engine.prune import prunable, prune

    before = timezone.now() - timedelta(hours=1)
    oldest = prunable(before=before, statuses=[ExecutionStatus.COMPLETED])
    deleted, began = 0, time.perf_counter()
    for count in prune(oldest, batch=200):
        deleted += count
        if deleted >= PRUNED:
            break
    return deleted / (time.perf_counter() - began)


def _fill(switch: Callable[[str], None], executions: int, step: Callable[[str], None]) -> None:
    from spane_django.models import Execution

    switch("full")
    # What was pruned here before is little; less is the history of another run.
    if Execution.objects.count() < executions * _ENOUGH:
        _make("full", afresh=True)
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            step(f"filling: {done:,}")

        fill(executions, advance)
    # What earlier runs have left dead, autovacuum would have cleared away between them.
    step("vacuum")
    _vacuum()


def _vacuum() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")


def _size(switch: Callable[[str], None]) -> dict[str, float]:
    from django.db import connection

    from spane_django.models import Execution

    switch("full")
    tables = {"node_runs": "spane_django_noderun", "executions": "spane_django_execution"}
    with connection.cursor() as cursor:
        found = {"executions": Execution.objects.count()}
        for name, table in tables.items():
            cursor.execute("SELECT pg_total_relation_size(%s), pg_indexes_size(%s)", [table] * 2)
            total, indexes = cursor.fetchone()
            found |= {f"{name}_mb": total >> 20, f"{name}_indexes_mb": indexes >> 20}
    return found


@contextlib.contextmanager
def _stage(directory: Path) -> Iterator[Callable[[str], None]]:
    """Serve the directory; yield what turns Django to one of its databases."""
    from tests.services import postgres_in, redis

    with (
        postgres_in(directory) as url,
        redis() as redis_url,
        tempfile.TemporaryDirectory() as data,
    ):
        os.environ |= {
            "DATABASE_URL": url, "REDIS_URL": redis_url, "SPANE_DATA_DIR": data,
            "DJANGO_SETTINGS_MODULE": "demo_project.settings",
        }  # fmt: skip
        import django

        django.setup()
        node_types.register()
        from django.conf import settings

        settings.ALLOWED_HOSTS = ["testserver"]
        for name in NAMES:
            _make(name, afresh=name == "empty")
        yield _switch


def _make(name: str, *, afresh: bool) -> None:
    from django.core.management import call_command
    from django.db import connection

    _switch("postgres")
    with connection.cursor() as cursor:
        if afresh:
            cursor.execute(f"DROP DATABASE IF EXISTS spane_{name}")
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [f"spane_{name}"])
        if not cursor.fetchone():
            cursor.execute(f"CREATE DATABASE spane_{name}")
    _switch(name)
    call_command("migrate", verbosity=0)
    publish_past()


def _switch(name: str) -> None:
    """Turn Django, and whatever it forks, to a database."""
    from django.db import connection

    from spane_django.engine.versions import part_of, prepared

    connection.close()
    connection.settings_dict["NAME"] = name if name == "postgres" else f"spane_{name}"
    # The two number their versions alike.
    prepared.cache_clear()
    part_of.cache_clear()


def _options() -> argparse.Namespace:
    made = parser(__doc__, repetitions=5)
    made.add_argument("--data", type=Path, required=True, help="the directory of the PostgreSQL")
    made.add_argument("--executions", type=int, default=1_000_000, help="of the history; 1,000,000")
    names = [*FIGURES, *PAGES, "prune"]
    made.add_argument("--only", nargs="+", choices=names, default=names, help="these alone")
    return made.parse_args()


if __name__ == "__main__":
    main()
