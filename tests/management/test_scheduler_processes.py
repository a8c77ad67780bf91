"""Schedulers as processes: one leads, another takes over, and a signal ends them at once."""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import datetime
from typing import Any

import psycopg
import pytest

from tests import services
from tests.management.project import LINE, Project, until

pytestmark = pytest.mark.end_to_end

LEASE_SECONDS = 2.0
DROP_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
WITH_A_SHORT_LEASE = f"""
import django
django.setup()
from datetime import timedelta
from spane_django.dispatch.scheduler import Scheduler
Scheduler(lease=timedelta(seconds={LEASE_SECONDS})).run()
"""


def test_another_scheduler_takes_over_from_a_killed_leader_within_its_lease(
    project: Project,
) -> None:
    schedulers = [project.begin_program([sys.executable, "-c", WITH_A_SHORT_LEASE]) for _ in "ab"]
    pids = {process.pid for process in schedulers}
    leader = until(lambda: _leader(project), "one leads")
    assert leader in pids

    os.kill(leader, signal.SIGKILL)
    killed_at = time.monotonic()
    until(lambda: _leader(project) in pids - {leader}, "the other leads")

    # A stand-by looks once a second.
    assert time.monotonic() - killed_at < LEASE_SECONDS + 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_scheduler_ends_and_lets_another_lead_before_its_lease_is_over(
    project: Project, number: signal.Signals
) -> None:
    first = project.begin("spane_scheduler")
    until(lambda: _leader(project) == first.pid, "the first leads")
    second = project.begin("spane_scheduler")
    until(lambda: "stands by" in project.output(1).read_text(), "the second stands by")

    stopped_at = time.monotonic()
    first.send_signal(number)
    until(lambda: _leader(project) == second.pid, "the second leads")
    waited = time.monotonic() - stopped_at

    assert waited < LEASE_SECONDS
    assert first.wait(30) == 0


def test_a_delayed_start_happens_although_no_worker_was_at_work(project: Project) -> None:
    project.publish(LINE)
    execution_id = project.start("line", "--delay", "1s")
    assert project.status(execution_id) == "pending"

    project.begin("spane_scheduler")

    until(lambda: project.status(execution_id) == "running", "started")
    assert project.nodes(execution_id) == {"first": "ready"}


def test_once_does_what_is_due_and_ends(project: Project) -> None:
    project.publish(LINE)
    execution_id = project.start("line", "--delay", "0.001s")

    project.run("spane_scheduler", "--once")

    assert project.status(execution_id) == "running"
    assert _leader(project) is None


def test_once_does_nothing_beside_a_scheduler_that_leads(project: Project) -> None:
    running = project.begin("spane_scheduler")
    until(lambda: _leader(project) == running.pid, "it leads")

    project.run("spane_scheduler", "--once", code=1)

    assert _leader(project) == running.pid


def test_a_scheduler_refuses_a_database_without_tables(project: Project) -> None:
    (project.directory / "demo.sqlite3").unlink()

    project.run("spane_scheduler", code=1)


@pytest.mark.postgresql
def test_a_scheduler_goes_on_when_the_database_has_dropped_its_connection(
    project: Project,
) -> None:
    with services.postgres() as url:
        project.run("migrate", "--verbosity", "0", DATABASE_URL=url)
        process = project.begin("spane_scheduler", DATABASE_URL=url)
        with psycopg.connect(url, autocommit=True) as connection:
            until(lambda: _renewed_at(connection), "it leads")

            for _ in range(3):
                connection.execute(DROP_OTHERS)
                _wait_for_renewal(connection)

            assert process.poll() is None
            assert "the database does not answer, trying again" in project.output().read_text()


def _leader(project: Project) -> int | None:
    """Return the process that holds the lease; None if it has run out or was given up."""
    query = """
        SELECT holder FROM spane_django_lease
        WHERE name = 'scheduler' AND expires_at > strftime('%Y-%m-%d %H:%M:%f', 'now')
    """
    found: list[tuple[Any, ...]] = project.rows(query)
    return int(found[0][0].split(":")[1]) if found else None


def _wait_for_renewal(connection: psycopg.Connection[Any]) -> None:
    before = _renewed_at(connection)
    until(lambda: _renewed_at(connection) != before, "it leads on")


def _renewed_at(connection: psycopg.Connection[Any]) -> datetime | None:
    row = connection.execute("SELECT renewed_at FROM spane_django_lease").fetchone()
    return row[0] if row else None
