"""The supervisor of child processes: it restarts what ends and stops everything, in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spane_django.dispatch import children

DEADLINE = 20  # seconds
ROOT = Path(__file__).resolve().parents[2]
SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('deaf', flush=True)\n"
    "time.sleep(600)",
]

# Two children that write their name when they are asked to stop.
SUPERVISOR = """
import sys
from spane_django.dispatch.children import Children
child = '''
import signal, sys, time
def stop(*_):
    print("stopped", sys.argv[1], flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("started", sys.argv[1], flush=True)
time.sleep(600)
'''
with Children() as family:
    for name in ("redis", "worker"):
        family.start(name, [sys.executable, "-c", child, name])
    family.run(on_end=lambda name, code: print("ended", name, code, flush=True))
print("done", flush=True)
"""

pytestmark = pytest.mark.end_to_end


def test_a_child_that_ends_is_reported_once_and_started_again() -> None:
    with children.Children() as family:
        family.start("worker", SLEEPER)
        first = family.pid("worker")
        os.kill(first, signal.SIGKILL)

        reports = _poll_until(family, lambda: family.pid("worker") != first)

        assert reports == [("worker", -signal.SIGKILL)]
        assert family.poll() == []


def test_a_child_that_keeps_ending_waits_longer_each_time() -> None:
    child = children._Child(lambda: subprocess.Popen(["true"]))
    waits = []

    for _ in range(9):
        child.process.wait()
        ended_at = child.started_at + 0.01
        assert child.look(ended_at) == 0
        assert child.restart_at is not None
        waits.append(round(child.restart_at - ended_at, 3))
        child.look(child.restart_at)

    child.process.wait()
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_child_that_lived_long_is_started_again_after_the_first_wait() -> None:
    child = children._Child(lambda: subprocess.Popen(["true"]), backoff=16)
    child.process.wait()

    ended_at = child.started_at + children.LONGEST_BACKOFF + 1
    child.look(ended_at)

    assert child.restart_at == ended_at + children.FIRST_BACKOFF


@pytest.mark.parametrize("received", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_children_last_started_first(received: signal.Signals) -> None:
    command = [sys.executable, "-c", SUPERVISOR]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        started = {supervisor.stdout.readline().strip() for _ in range(2)}

        supervisor.send_signal(received)

        assert started == {"started redis", "started worker"}
        assert supervisor.stdout.read().split("\n") == [
            "stopped worker",
            "stopped redis",
            "done",
            "",
        ]
        assert supervisor.wait() == 0


def test_a_child_that_ignores_the_signal_is_killed_after_its_grace() -> None:
    child = children.spawn(STUBBORN, stdout=subprocess.PIPE)
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"deaf\n"

        assert children.stop(child, grace=0.1) == -signal.SIGKILL


def _poll_until(family: children.Children, happened: Callable[[], bool]) -> list[tuple[str, int]]:
    deadline = time.monotonic() + DEADLINE
    reports = []
    while not happened():
        assert time.monotonic() < deadline
        reports += family.poll()
        time.sleep(0.01)
    return reports
