"""A clock under fire: two schedulers, a schedule of every second, and the leader killed again.

    python -m tests.end_to_end.ticks --seconds 60 --kills 2

On PostgreSQL, without a Redis, a worker or anything of Celery.  The schedule makes up for all
that it has missed; it begins and ends at given seconds.  Prints one line of JSON: how many
seconds there were, how many executions each got, and how late they were; exit status 0 only if
every second has exactly one.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.end_to_end.plant import Plant, plant, until

SECOND = timedelta(seconds=1)
# To the first tick, for the process that makes the schedule.
_AHEAD = 8 * SECOND
# A lease of 15 seconds runs out, and whoever stands by looks once a second.
_TAKEOVER_SECONDS = 30.0
_LEADER = "SELECT holder FROM spane_django_lease WHERE name = 'scheduler'"

DEFINITION: dict[str, Any] = {
    "id": "tick",
    "name": "Tick",
    "entryNodeId": "first",
    "nodes": [{"id": "first", "type": "set", "config": {"values": {}}}],
}

MAKE = """
from datetime import datetime
from spane_django import publish, schedule
publish({definition!r})
made = schedule(
    "tick", cron="* * * * * *", timezone="UTC", misfire="all", cap=1_000,
    input={{"at": "{{{{ scheduledFor }}}}"}},
    start_time=datetime.fromisoformat({begin!r}), expires=datetime.fromisoformat({end!r}),
)
print(made.pk)
"""


@dataclass
class Outcome:
    """What became of the seconds.

    Attributes:
        ticks: Seconds in which something was due.
        executions: Those that the schedule started.
        doubles: Executions beyond the first of a second.
        losses: Seconds without an execution.
        strays: Executions of a second in which nothing was due.
        kills: How often the leader was killed.
        takeover_seconds: The longest time from a kill to the next execution.
        late_ms: How late starts were that no takeover delayed, in the middle.
    """

    ticks: int
    executions: int
    doubles: int
    losses: int
    strays: int
    kills: int
    takeover_seconds: float
    late_ms: float
    seconds: float

    @property
    def is_sound(self) -> bool:
        return self.executions == self.ticks and not (self.doubles or self.losses or self.strays)


def tick(seconds: int, kills: int) -> Outcome:
    """Let so many seconds pass on a database of its own."""
    began = time.monotonic()
    with plant() as running:
        running.environment["REDIS_URL"] = "redis://127.0.0.1:1/0"
        for name in ("one", "two"):
            running.start(name, "spane_scheduler")
        until(lambda: running.value(_LEADER), seconds=_TAKEOVER_SECONDS)
        begin = datetime.now(UTC).replace(microsecond=0) + _AHEAD
        end = begin + seconds * SECOND
        running.python(
            MAKE.format(definition=DEFINITION, begin=begin.isoformat(), end=end.isoformat())
        )
        waits = [
            _kill_leader(running, begin + (number + 1) * (end - begin) / (kills + 1))
            for number in range(kills)
        ]
        _sleep_until(end)
        until(lambda: _count(running) >= seconds, seconds=_TAKEOVER_SECONDS)
        # Whatever would come twice has a moment to do so.
        time.sleep(2)
        return _outcome(running, begin, seconds, waits, time.monotonic() - began)


def _kill_leader(running: Plant, at: datetime) -> float:
    """Kill the leader at an instant, start another in its place; return how long nothing came."""
    _sleep_until(at)
    pid = int(running.value(_LEADER).split(":")[1])
    name = next(name for name, process in running.processes.items() if process.pid == pid)
    before = running.value("SELECT max(started_at) FROM spane_django_scheduledstart")
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    running.processes.pop(name).wait()
    running.start(name, "spane_scheduler")
    newer = "SELECT count(*) FROM spane_django_scheduledstart WHERE started_at > %s + '1.5 s'"
    until(lambda: running.value(newer, before), seconds=_TAKEOVER_SECONDS)
    return time.monotonic() - killed


def _outcome(
    running: Plant, begin: datetime, seconds: int, waits: list[float], took: float
) -> Outcome:
    rows = running.database.execute(
        "SELECT input->>'at', trigger FROM spane_django_execution ORDER BY id"
    ).fetchall()
    found = [datetime.fromisoformat(at) for at, _ in rows]
    wanted = {begin + number * SECOND for number in range(seconds)}
    late = running.value(
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY started_at - scheduled_for) "
        "FROM spane_django_scheduledstart WHERE started_at - scheduled_for < '1 s'"
    )
    return Outcome(
        ticks=seconds,
        executions=len(found),
        doubles=len(found) - len(set(found)),
        losses=len(wanted - set(found)),
        strays=len(set(found) - wanted),
        kills=len(waits),
        takeover_seconds=round(max(waits, default=0.0), 1),
        late_ms=round(late.total_seconds() * 1_000, 1),
        seconds=round(took, 1),
    )


def _count(running: Plant) -> int:
    return int(running.value("SELECT count(*) FROM spane_django_scheduledstart"))


def _sleep_until(at: datetime) -> None:
    time.sleep(max(0.0, (at - datetime.now(UTC)).total_seconds()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--kills", type=int, default=2)
    options = parser.parse_args()
    outcome = tick(options.seconds, options.kills)
    sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
    return 0 if outcome.is_sound else 1


if __name__ == "__main__":
    sys.exit(main())
