"""Counters of many processes: summed in Redis, bounded, and nobody's concern when it is away."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pytest_django import Settings

from spane_django.dispatch.bell import PollingBell
from spane_django.dispatch.drain import Drain
from spane_django.engine.run import utc_now
from spane_django.observability import counts as counting
from spane_django.observability.counts import OTHER, counts, settled_per_second, totals
from tests.engine.helpers import Machine, status

STARTED = "spane_executions_started"
PROCESS = """
    import django; django.setup()
    from uuid import uuid4
    from spane_django import signals
    from spane_django.signals import StartedExecution
    for number in range({count}):
        signals.executions_started.send(
            sender=None, executions=[StartedExecution(uuid4(), "w"), StartedExecution(uuid4(), "v")]
        )
"""


@contextmanager
def process(count: int, redis_url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that tells of executions and ends."""
    environment = {**os.environ, "REDIS_URL": redis_url, "SPANE": '{"METRICS": true}'}
    environment["DJANGO_SETTINGS_MODULE"] = "demo_project.settings"
    code = textwrap.dedent(PROCESS.format(count=count))
    yield subprocess.Popen([sys.executable, "-c", code], env=environment)


def test_what_two_processes_count_is_summed(counted: Any, redis_url: str) -> None:
    with process(3, redis_url) as one, process(4, redis_url) as other:
        assert (one.wait(60), other.wait(60)) == (0, 0)

    assert totals() == {(STARTED, "w"): 7, (STARTED, "v"): 7}


def test_a_forked_process_hands_on_its_own_counts_alone(counted: Any) -> None:
    counts.add({(STARTED, "parent"): 1})

    child = os.fork()
    if child == 0:
        counts.add({(STARTED, "child"): 1})
        os._exit(0 if counts.flush() else 1)
    _, code = os.waitpid(child, 0)
    of_child = totals()
    counts.flush()

    assert code == 0
    assert of_child == {(STARTED, "child"): 1}
    assert totals() == {(STARTED, "child"): 1, (STARTED, "parent"): 1}


def test_counts_are_handed_on_by_themselves(counted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "FLUSH_SECONDS", 0.01)

    counts.add({(STARTED, "w"): 2})
    timer = counts._timer
    assert timer is not None
    timer.join(10)

    assert totals() == {(STARTED, "w"): 2}


def test_what_a_redis_that_is_away_does_not_take_is_kept(
    counted: Any, settings: Settings, tmp_path: Any, redis_url: str
) -> None:
    settings.RQ_QUEUES = {"spane": {"URL": f"unix://{tmp_path}/nobody.sock"}}
    counts.add({(STARTED, "w"): 2}, {"spane": 1})
    handed_on = counts.flush()
    counts.add({(STARTED, "w"): 1})

    settings.RQ_QUEUES = {"spane": {"URL": redis_url}}

    assert (handed_on, counts.flush()) == (False, True)
    assert totals() == {(STARTED, "w"): 3}


@pytest.mark.django_db(transaction=True)
def test_work_goes_on_while_redis_is_away(
    no_redis: None, settings: Settings, machine: Machine
) -> None:
    settings.SPANE = {**settings.SPANE, "METRICS": True}
    key = machine.begin({"a": ["b"]})

    machine.drain()

    assert status(key) == "completed"


def test_a_flushed_redis_sets_counters_to_zero_and_they_go_on(counted: Any) -> None:
    counts.add({(STARTED, "w"): 5})
    counts.flush()

    counted.flushdb()
    counts.add({(STARTED, "w"): 1})
    counts.flush()

    assert totals() == {(STARTED, "w"): 1}


def test_names_beyond_the_bound_are_counted_together(
    counted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MAX_FIELDS", 2)
    finished = "spane_executions_finished"

    for name in ("a", "b", "c", "d"):
        counts.add({(finished, name, "completed"): 1})
        counts.flush()
    counts.add({(finished, "a", "completed"): 1, (finished, "e", "failed"): 1})
    counts.flush()

    assert totals() == {
        (finished, "a", "completed"): 2,
        (finished, "b", "completed"): 1,
        (finished, OTHER, "completed"): 2,
        (finished, OTHER, "failed"): 1,
    }


def test_names_may_be_anything_that_people_write(counted: Any) -> None:
    counts.add({(STARTED, 'a "b", c|d\n'): 1})
    counts.flush()

    assert totals() == {(STARTED, 'a "b", c|d\n'): 1}


def test_the_pace_of_a_queue_is_that_of_the_last_minutes(counted: Any) -> None:
    counts.add({}, {"spane": 90})
    counts.flush()
    timestamp = utc_now().timestamp()

    paces = settled_per_second(["spane", "gpu"], timestamp=timestamp)
    later = settled_per_second(["spane"], timestamp=timestamp + 180)

    assert 90 / 120 <= paces["spane"] <= 90 / 60
    assert paces["gpu"] == 0
    assert later == {"spane": 0}
    (key,) = counted.keys("spane:metrics:spane:*")
    assert 0 < counted.ttl(key) <= 300


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_ends_hands_on_what_it_has_counted(counted: Any, machine: Machine) -> None:
    machine.begin({"a": ["b"]})

    Drain(
        "spane",
        make_bell=lambda ring: PollingBell(ring=ring),
        wake=lambda queues: None,
        linger=0.0,
    ).run()

    ended = {field: count for field, count in totals().items() if field[0].endswith("attempts")}
    assert ended == {("spane_node_attempts", "spane", "call", "completed"): 2}
