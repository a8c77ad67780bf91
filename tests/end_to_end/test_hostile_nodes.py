"""Whatever a node does, its node says what happened, and the worker runs the next one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.plant import Plant, plant, until

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="finds processes in /proc")

SETTINGS = {
    "LEASE_SECONDS": 2.0,
    "HEARTBEAT_SECONDS": 0.4,
    "SWEEP_SECONDS": 0.4,
    "MAX_LOSSES": 2,
}

HOSTILE = {
    "hangs-in-python": ("NodeTimeout", "Node execution timed out after 500ms"),
    "hangs-in-c": ("NodeTimeout", "Node execution timed out after 500ms"),
    "holds-the-interpreter": ("WorkerLost", "its worker died while running it (2 of 2)"),
    "exits-the-process": ("WorkerLost", "its worker died while running it (2 of 2)"),
    "asks-to-exit": ("SystemExit", "the node tried to exit the process (status 4)"),
    "raises": ("ValueError", "no such luck"),
    "returns-a-set": ("UnstorableOutput", "not JSON"),
    "returns-nul": ("UnstorableOutput", "NUL character"),
    "returns-too-much": ("UnstorableOutput", "the limit is 33,554,432"),
    "no-such-type": ("UnknownNodeType", "unknown node type 'no-such-type'"),
}


@pytest.fixture(scope="module")
def running() -> Iterator[Plant]:
    with plant(**SETTINGS) as started:
        started.start("scheduler", "spane_scheduler")
        started.start("worker", "rqworker", "spane")
        yield started


@pytest.mark.parametrize("node_type", HOSTILE)
def test_a_hostile_node_fails_with_a_clear_error_and_the_worker_lives(
    running: Plant, node_type: str
):
    error_type, sentence = HOSTILE[node_type]
    node = {"id": "n", "type": node_type, "config": {"retries": 0}, "inputs": [], "outputs": []}
    definition = {"id": node_type, "name": node_type, "entryNodeId": "n", "nodes": [node]}

    (execution,) = running.begin(definition, [None])

    status = "SELECT status FROM spane_django_execution WHERE id = %s"
    assert until(lambda: running.value(status, execution) == "failed"), running.log("worker")
    letter = "SELECT error_type || ': ' || error_message FROM spane_django_deadletter"
    said = running.value(f"{letter} WHERE execution_id = %s", execution)
    assert said.startswith(error_type)
    assert sentence in said
    assert running.processes["worker"].poll() is None
    assert _completes(running)


def _completes(running: Plant) -> bool:
    node = {"id": "n", "type": "storm-work", "inputs": [], "outputs": []}
    definition = {"id": "tame", "name": "Tame", "entryNodeId": "n", "nodes": [node]}
    (execution,) = running.begin(definition, [None])
    status = "SELECT status FROM spane_django_execution WHERE id = %s"
    return until(lambda: running.value(status, execution) == "completed")
