"""A worker without work leaves the database alone, and hears of new work at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.plant import Plant, plant, until

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="finds processes in /proc")

TAME = {
    "id": "tame",
    "name": "Tame",
    "entryNodeId": "n",
    "nodes": [{"id": "n", "type": "storm-work", "inputs": [], "outputs": []}],
}
OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
OBSERVED_SECONDS = 4.0


@pytest.fixture(scope="module")
def running() -> Iterator[Plant]:
    with plant(LINGER_SECONDS=120.0, SLICE_SECONDS=300.0, HEARTBEAT_SECONDS=1.0) as started:
        started.start("worker", "rqworker", "spane")
        assert completes(started)
        yield started


def completes(running: Plant) -> bool:
    (execution,) = running.begin(TAME, [None])
    status = "SELECT status FROM spane_django_execution WHERE id = %s"
    return until(lambda: running.value(status, execution) == "completed")


def test_a_lingering_worker_asks_the_database_nothing_not_even_at_heartbeats(running: Plant):
    quiet = f"SELECT max(query_start) < clock_timestamp() - interval '1 second' {OTHERS}"
    assert until(lambda: running.value(quiet))
    last = running.value(f"SELECT max(query_start) {OTHERS}")

    asked = until(
        lambda: running.value(f"SELECT max(query_start) {OTHERS}") != last,
        seconds=OBSERVED_SECONDS,
    )

    assert running.value(f"SELECT count(*) {OTHERS}") > 0
    assert not asked


def test_a_lingering_worker_runs_new_work_within_moments(running: Plant):
    assert completes(running)

    took = running.value(
        "SELECT max(extract(epoch FROM finished_at - created_at)) FROM spane_django_execution "
        "WHERE id = (SELECT max(id::text)::uuid FROM spane_django_execution)"
    )
    assert took < 1.0
