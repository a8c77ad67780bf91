"""A storm: real workers run real executions while they are killed and Redis is emptied.

    python -m tests.end_to_end.storm --executions 500 --kills 10

Two `rqworker` processes and the scheduler work on PostgreSQL and Redis.  Triggers in the database
count how often each node run was released and how often its result was recorded, so that
"exactly once" is observed from outside the engine.  Prints one line of JSON; exit status 0 only
if every execution completed and nothing happened twice.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
import redis as redis_client

ROOT = Path(__file__).resolve().parent.parent.parent

LEASE_SECONDS = 3.0

TRIGGERS = """
CREATE TABLE storm_runs (id bigserial, execution_id uuid, node_id text);
CREATE TABLE storm_events (
    id bigserial, event text, execution_id uuid, node_id text,
    at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION storm_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = 'completed' AND (TG_OP = 'INSERT' OR OLD.status <> 'completed') THEN
        INSERT INTO storm_events (event, execution_id, node_id)
        VALUES ('recorded', NEW.execution_id, NEW.node_id);
    ELSIF NEW.status IN ('ready', 'running') AND (TG_OP = 'INSERT' OR OLD.status = 'pending') THEN
        INSERT INTO storm_events (event, execution_id, node_id)
        VALUES ('released', NEW.execution_id, NEW.node_id);
    ELSIF TG_OP = 'UPDATE' AND NEW.status = 'ready' AND NEW.losses > OLD.losses THEN
        INSERT INTO storm_events (event, execution_id, node_id)
        VALUES ('recovered', NEW.execution_id, NEW.node_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER storm_note AFTER INSERT OR UPDATE ON spane_django_noderun
FOR EACH ROW EXECUTE FUNCTION storm_note();
"""

DEFINITION: dict[str, Any] = {
    "id": "storm",
    "name": "Storm",
    "entryNodeId": "first",
    "nodes": [
        {"id": "first", "type": "storm-work", "inputs": [], "outputs": ["a", "b", "c", "d"]},
        *(
            {"id": name, "type": "storm-work", "inputs": ["first"], "outputs": ["join"]}
            for name in "abcd"
        ),
        {"id": "join", "type": "storm-work", "inputs": ["a", "b", "c", "d"], "outputs": ["last"]},
        {"id": "last", "type": "storm-work", "inputs": ["join"], "outputs": []},
    ],
}


@dataclass
class Outcome:
    """What a storm led to.

    Attributes:
        recorded_twice: Node runs whose result was recorded more than once.
        released_twice: Node runs, joins among them, that were released more than once.
        runs: How often a node's body ran to its end; more than ``nodes`` is the price of kills.
        recovered: Node runs taken back from workers that were killed.
        recovery_seconds: The longest time from a kill to the end of its recoveries.
    """

    executions: int
    completed: int
    nodes: int
    runs: int
    recorded_twice: int
    released_twice: int
    kills: int
    flushes: int
    recovered: int
    recovery_seconds: float
    seconds: float

    @property
    def is_sound(self) -> bool:
        everything = self.completed == self.executions and self.nodes == 7 * self.executions
        return everything and not self.recorded_twice and not self.released_twice


class Storm:
    """The processes of a storm."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self._environment = environment
        self._directory = directory
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *arguments: str) -> None:
        log = (self._directory / f"{name}.log").open("ab")
        self._processes[name] = subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self._environment,
            stdout=log,
            stderr=log,
        )

    def kill_worker(self, name: str) -> None:
        """Kill a worker and its work horse at once, and start another in its place."""
        worker = self._processes[name]
        for pid in [*_children(worker.pid), worker.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        worker.wait()
        self.start(name, "rqworker", "spane")

    def stop(self) -> None:
        for process in self._processes.values():
            for pid in [*_children(process.pid), process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


def storm(executions: int, kills: int, *, timeout: float = 240.0) -> Outcome:
    """Run a storm on servers of its own."""
    from tests.services import postgres, redis

    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        environment = {
            **os.environ,
            "DATABASE_URL": _own_database(stack.enter_context(postgres())),
            "REDIS_URL": stack.enter_context(redis()),
            "SPANE_DATA_DIR": str(directory),
            "EXTRA_APPS": "tests.storm_app",
            "SPANE": json.dumps(
                {
                    "LEASE_SECONDS": LEASE_SECONDS,
                    "HEARTBEAT_SECONDS": 0.5,
                    "SWEEP_SECONDS": 0.5,
                    "MAX_LOSSES": kills + 1,
                }
            ),
        }
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True
        )
        with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as database:
            database.execute(TRIGGERS)
            running = Storm(environment, directory)
            stack.callback(running.stop)
            running.start("scheduler", "spane_scheduler")
            running.start("one", "rqworker", "spane")
            running.start("two", "rqworker", "spane")
            _start_executions(environment, executions)
            return _rage(running, database, environment, executions, kills, timeout)


def _rage(
    running: Storm,
    database: psycopg.Connection[Any],
    environment: dict[str, str],
    executions: int,
    kills: int,
    timeout: float,
) -> Outcome:
    began = time.monotonic()
    redis = redis_client.Redis.from_url(environment["REDIS_URL"])
    killed, flushes = [], 0
    for number in range(kills):
        # Spread over the work by how much of it is done, not by the clock.
        _until_recorded(database, (number + 1) * 7 * executions // (kills + 2), began + timeout)
        running.kill_worker("one" if number % 2 else "two")
        killed.append(_value(database, "SELECT clock_timestamp()"))
        if number % 3 == 1:
            redis.flushall()
            flushes += 1
    _until_recorded(database, 7 * executions, began + timeout)
    seconds = time.monotonic() - began
    while _value(database, "SELECT count(*) FROM spane_django_execution WHERE finished_at IS NULL"):
        if time.monotonic() > began + timeout:
            break
        time.sleep(0.05)
    return _outcome(database, executions, killed, flushes, seconds)


def _outcome(
    database: psycopg.Connection[Any],
    executions: int,
    killed: list[Any],
    flushes: int,
    seconds: float,
) -> Outcome:
    twice = (
        "SELECT count(*) FROM (SELECT 1 FROM storm_events WHERE event = %s "
        "GROUP BY execution_id, node_id HAVING count(*) > 1) d"
    )
    recoveries = database.execute("SELECT at FROM storm_events WHERE event = 'recovered'")
    waits = [
        (at - max(kill for kill in killed if kill <= at)).total_seconds()
        for (at,) in recoveries.fetchall()
        if killed and at >= killed[0]
    ]
    count = "SELECT count(*) FROM "
    return Outcome(
        executions=executions,
        completed=_value(database, f"{count} spane_django_execution WHERE status = 'completed'"),
        nodes=_value(database, f"{count} spane_django_noderun WHERE status = 'completed'"),
        runs=_value(database, f"{count} storm_runs"),
        recorded_twice=_value(database, twice, "recorded"),
        released_twice=_value(database, twice, "released"),
        kills=len(killed),
        flushes=flushes,
        recovered=len(waits),
        recovery_seconds=round(max(waits, default=0.0), 2),
        seconds=round(seconds, 2),
    )


def _until_recorded(database: psycopg.Connection[Any], count: int, give_up: float) -> None:
    query = "SELECT count(*) FROM storm_events WHERE event = 'recorded'"
    while _value(database, query) < count and time.monotonic() < give_up:
        time.sleep(0.02)


def _value(database: psycopg.Connection[Any], query: str, *parameters: object) -> Any:
    row = database.execute(query, parameters).fetchone()
    return row[0] if row else None


def _start_executions(environment: dict[str, str], count: int) -> None:
    code = (
        "import json, sys\n"
        "import django; django.setup()\n"
        "from django.utils import timezone\n"
        "from spane_django.engine.publish import publish\n"
        "from spane_django.engine.start import start_many\n"
        f"publish(json.loads({json.dumps(json.dumps(DEFINITION))}), now=timezone.now())\n"
        f"start_many('storm', [{{'n': n}} for n in range({count})], now=timezone.now())\n"
    )
    environment = {**environment, "DJANGO_SETTINGS_MODULE": "demo_project.settings"}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)


def _own_database(url: str) -> str:
    name = f"storm_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    return url.rpartition("/")[0] + f"/{name}"


def _children(pid: int) -> Iterator[int]:
    """Yield the descendants of a process."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from _children(int(child))
            yield int(child)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--executions", type=int, default=500)
    parser.add_argument("--kills", type=int, default=10)
    options = parser.parse_args()
    outcome = storm(options.executions, options.kills)
    sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
    return 0 if outcome.is_sound else 1


if __name__ == "__main__":
    sys.exit(main())
