"""Start thousands of mixed executions, tear at everything that runs them, then check every promise.

It starts a PostgreSQL (fsync on), a Redis, three workers and two schedulers of its own.  While
executions are started and operators pause, cancel, retry, replay and answer, workers and
schedulers are killed and frozen, Redis is emptied and restarted, PostgreSQL is restarted and
crashed, connections are ended amid statements, the queue is filled with garbage, a worker's clock
is wrong, and a worker's host is cut off from PostgreSQL or Redis and healed.  Then everything is
mended, what has been started must end, and every invariant is checked against an independent
reference: see docs/faults.md.

Prints JSON lines: the plan, each violation, the figures.  Exit status 0: every invariant holds;
1: one does not; 2: it could not be run.  The same seed gives the same plan of starts, verbs and
faults, not the same course: who claims what, and what a fault hits, is up to the machine.

examples:
  python benchmarks/chaos.py                          one minute, seed 1
  python benchmarks/chaos.py --minutes 4 --seed 7     as long as a run should be
  python benchmarks/chaos.py --only "freeze worker past its lease" --minutes 1
                                                      one kind of fault, to look into it
  python benchmarks/chaos.py --keep /tmp/run          leave logs and the record of bodies there

It needs root and Linux to cut hosts off (network namespaces), and libfaketime
(apt-get install libfaketime) for wrong clocks; without, those faults are left out, and it says so.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import psycopg
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from . import hosts, plan, plant, shapes
from .plant import LEASE_SECONDS, Plant

WORKFLOWS = 40
WORKERS, SCHEDULERS = 3, 2
RATE = 10.0  # executions per second, so that two cores keep up with them and the faults
_SETTLE_SECONDS = 120.0  # without an end of anything, what is left is stuck
_SLACK_SECONDS = 5.0
_SHOWN, _STORIES = 20, 8


def main() -> int:
    options = _options()
    without = _impossible() | frozenset(
        kind for kind in plan.FAULTS if options.only and kind not in options.only
    )
    drawn = plan.draw(
        options.seed,
        seconds=options.minutes * 60,
        workflows=WORKFLOWS,
        rate=options.rate,
        without=without,
    )
    _say(
        "plan", seed=options.seed, minutes=options.minutes, starts=len(drawn.starts),
        verbs=len(drawn.acts), faults=dict(Counter(fault.kind for fault in drawn.faults)),
        left_out=sorted(_impossible()), lease_seconds=LEASE_SECONDS,
    )  # fmt: skip
    with plant.plant(WORKERS, SCHEDULERS) as running:
        try:
            return _run(running, drawn, options)
        finally:
            if options.keep:
                running.close()
                shutil.copytree(running.directory, options.keep, dirs_exist_ok=True)


def _run(running: Plant, drawn: plan.Plan, options: argparse.Namespace) -> int:
    _set_up(running)
    from .course import Course

    definitions = shapes.workflows(Random(f"{options.seed}/shapes"), WORKFLOWS, running.web.url)
    course = Course(running, definitions)
    columns = (TextColumn("{task.description:<58}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("chaos", total=options.minutes * 60)

        def show(seconds: float, what: str) -> None:
            bar.update(task, completed=seconds, description=what)

        course.rage(drawn, show)
        left = course.settle(show, _SETTLE_SECONDS)
        bar.update(task, description="checking")
        return _report(course, left)


def _set_up(running: Plant) -> None:
    """Become a client of the plant: Django of this process works on its database."""
    os.environ |= running.environment | {"DATABASE_URL": running.postgres.url("127.0.0.1")}
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def _report(course: Any, left: int) -> int:
    from .checks import Violation, all_violations, story
    from .evidence import gather
    from .recovery import recoveries, stalls

    with psycopg.connect(course.admin, autocommit=True) as database:
        known = gather(course.plant, course.journal, database)
        found = list(all_violations(known, database)) + course.sampler.violations
    down = [*course.plant.postgres.down, *course.plant.unled]
    still = stalls(course.faults.strikes, known.changes, course.plant.workers(), down)
    found += [
        Violation("idle", f"a worker was whole for {one.idle:.1f} s, and no node began: {one}")
        for one in still
        if one.idle > LEASE_SECONDS + _SLACK_SECONDS
    ]
    recovered = list(recoveries(course.faults.strikes, known.changes, known.pids, down))
    slow = [one for one in recovered if one.seconds > LEASE_SECONDS + _SLACK_SECONDS]
    shown: Counter[str] = Counter()
    for violation in found:
        shown[violation.check] += 1
        if shown[violation.check] <= _SHOWN:
            _say("violation", **asdict(violation))
    for one in sorted(slow, key=lambda one: -one.seconds)[:_SHOWN]:
        _say(
            "violation",
            check="recovery",
            **asdict(one),
            around=_around(course, one.at, one.seconds),
        )
    for one in still[:3]:
        _say("stall", **asdict(one), around=_around(course, one.at, one.seconds))
    for key in list(dict.fromkeys(one.execution for one in found if one.execution))[:_STORIES]:
        _say("story", execution=key, **story(known, key))
    _figures(course, known, recovered, still, left, Counter(one.check for one in found), len(slow))
    return 1 if found or slow or left else 0


def _around(course: Any, at: float, seconds: float) -> list[str]:
    """Return what else went wrong at a time, each with its seconds after that."""
    return [
        f"{strike.at - at:+.1f} {strike.kind} {strike.target} {strike.seconds:.1f}"
        for strike in course.faults.strikes
        if at - 15 < strike.at < at + seconds
    ]


def _figures(
    course: Any,
    known: Any,
    recovered: list[Any],
    still: list[Any],
    left: int,
    found: Counter[str],
    slow: int,
) -> None:
    journal, seconds = course.journal, [one.seconds for one in recovered]
    runs = [run for ended in known.executions.values() for run in ended.runs.values()]
    _say(
        "figures",
        seconds=round(course.seconds, 1),
        faults=dict(Counter(strike.kind for strike in course.faults.strikes if not strike.note)),
        faults_not_done=[strike.note for strike in course.faults.strikes if strike.note],
        verbs=dict(journal.done),
        refused=dict(journal.refused),
        unanswered=dict(Counter(journal.unanswered)),
        executions=len(known.executions),
        executions_by_status=dict(Counter(one.status for one in known.executions.values())),
        node_runs=len(runs),
        node_runs_by_status=dict(Counter(run.status for run in runs)),
        bodies=sum(map(len, known.bodies.values())),
        losses=sum(run.losses for run in runs),
        process_starts=course.plant.starts,
        samples=course.sampler.samples,
        settle_seconds=round(course.settle_seconds, 1),
        recoveries=len(seconds),
        recovery_p50=round(statistics.median(seconds), 2) if seconds else None,
        recovery_max=round(max(seconds), 2) if seconds else None,
        postgres_down_seconds=_total(course.plant.postgres.down),
        unled_seconds=_total(course.plant.unled),
        longest_stall=round(still[0].seconds, 2) if still else None,
        longest_idle=round(max(one.idle for one in still), 2) if still else None,
        recovery_bound=LEASE_SECONDS + _SLACK_SECONDS,
        too_slow=slow,
        stuck=left,
        violations=dict(found),
    )


def _total(times: list[tuple[float, float]]) -> float:
    return round(sum(until - since for since, until in times), 1)


def _impossible() -> frozenset[str]:
    """Return the kinds of faults that this machine cannot do."""
    kinds: frozenset[str] = frozenset()
    if not hosts.are_possible():
        kinds |= plan.NEEDS_HOSTS
    if not plant.faketime():
        kinds |= plan.NEEDS_FAKETIME
    return kinds


def _say(event: str, **values: Any) -> None:
    print(json.dumps({"event": event, **values}, default=str), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="how long to rage; 1")
    parser.add_argument("--seed", type=int, default=1, help="what the plan is drawn from; 1")
    parser.add_argument("--rate", type=float, default=RATE, help=f"starts per second; {RATE:g}")
    parser.add_argument(
        "--only", action="append", choices=list(plan.FAULTS), metavar="KIND",
        help="this kind of fault alone; may be repeated: " + ", ".join(plan.FAULTS),
    )  # fmt: skip
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="where to leave the logs")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
