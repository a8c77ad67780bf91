"""A storm: real workers run real executions while they are killed and Redis is emptied.

    python -m tests.end_to_end.storm --executions 500 --kills 10

Two `rqworker` processes and the scheduler work on PostgreSQL and Redis.  Triggers in the database
count how often each node run was released and how often its result was recorded, so that
"exactly once" is observed from outside the engine.  Prints one line of JSON; exit status 0 only
if every execution completed and nothing happened twice.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from redis import Redis

from tests.end_to_end.plant import Plant, plant, until

LEASE_SECONDS = 3.0

TRIGGERS = """
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


def storm(executions: int, kills: int, *, timeout: float = 240.0) -> Outcome:
    """Run a storm on servers of its own."""
    settings = {
        "LEASE_SECONDS": LEASE_SECONDS,
        "HEARTBEAT_SECONDS": 0.5,
        "SWEEP_SECONDS": 0.5,
        "MAX_LOSSES": kills + 1,
    }
    with plant(**settings) as running:
        running.database.execute(TRIGGERS)
        running.start("scheduler", "spane_scheduler")
        running.start("one", "rqworker", "spane")
        running.start("two", "rqworker", "spane")
        running.begin(DEFINITION, [{"n": number} for number in range(executions)])
        return _rage(running, executions, kills, timeout)


def _rage(running: Plant, executions: int, kills: int, timeout: float) -> Outcome:
    began = time.monotonic()
    redis = Redis.from_url(running.environment["REDIS_URL"])
    killed: list[Any] = []
    flushes = 0
    for number in range(kills):
        # Spread over the work by how much of it is done, not by the clock.
        _until_recorded(running, (number + 1) * 7 * executions // (kills + 2), timeout)
        name = "one" if number % 2 else "two"
        running.kill(name)
        killed.append(running.value("SELECT clock_timestamp()"))
        running.start(name, "rqworker", "spane")
        if number % 3 == 1:
            redis.flushall()
            flushes += 1
    _until_recorded(running, 7 * executions, timeout)
    seconds = time.monotonic() - began
    unfinished = "SELECT count(*) FROM spane_django_execution WHERE finished_at IS NULL"
    until(lambda: not running.value(unfinished), seconds=10)
    return _outcome(running, executions, killed, flushes, seconds)


def _outcome(
    running: Plant, executions: int, killed: list[Any], flushes: int, seconds: float
) -> Outcome:
    twice = (
        "SELECT count(*) FROM (SELECT 1 FROM storm_events WHERE event = %s "
        "GROUP BY execution_id, node_id HAVING count(*) > 1) d"
    )
    recoveries = running.database.execute("SELECT at FROM storm_events WHERE event = 'recovered'")
    waits = [
        (at - max(kill for kill in killed if kill <= at)).total_seconds()
        for (at,) in recoveries.fetchall()
        if killed and at >= killed[0]
    ]
    count = "SELECT count(*) FROM"
    return Outcome(
        executions=executions,
        completed=running.value(f"{count} spane_django_execution WHERE status = 'completed'"),
        nodes=running.value(f"{count} spane_django_noderun WHERE status = 'completed'"),
        runs=running.value(f"{count} storm_app_run"),
        recorded_twice=running.value(twice, "recorded"),
        released_twice=running.value(twice, "released"),
        kills=len(killed),
        flushes=flushes,
        recovered=len(waits),
        recovery_seconds=round(max(waits, default=0.0), 2),
        seconds=round(seconds, 2),
    )


def _until_recorded(running: Plant, count: int, timeout: float) -> None:
    query = "SELECT count(*) FROM storm_events WHERE event = 'recorded'"
    until(lambda: running.value(query) >= count, seconds=timeout)


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
