"""The plant: servers, workers and schedulers, real processes that are started again when they end.

Each worker is an `rqworker` on a host of its own, so that it can be cut off from PostgreSQL or
from Redis; schedulers run beside the servers.  Leases are short, so that a run of minutes sees
many of them run out.  The other settings that differ from the defaults are said in `SETTINGS`.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import Any

from spane_django.dispatch import children
from tests.end_to_end.plant import descendants
from tests.services import _directory

from .hosts import Network, network
from .record import VARIABLE
from .servers import Postgres, Redis, Web

ROOT = Path(__file__).resolve().parent.parent.parent
LEASE_SECONDS = 6.0
SETTINGS: dict[str, Any] = {
    "LEASE_SECONDS": LEASE_SECONDS,
    "HEARTBEAT_SECONDS": 1.0,
    "SWEEP_SECONDS": 1.0,
    "SLICE_SECONDS": 12.0,
    "LINGER_SECONDS": 2.0,
    "SHUTDOWN_SECONDS": 3.0,
    # A node may well lose three workers here, and whether it is given up is no matter of chance.
    "MAX_LOSSES": 1_000_000,
}
_RESTART_SECONDS = 0.5


@dataclass
class Process:
    """One worker or scheduler.

    Attributes:
        skew: Seconds by which its clock is wrong.
        held_until: It is not started again before, by the monotonic clock.
        frozen_until: It does nothing before, by the same clock.
        log_begins: Where in its log this run of it begins.
    """

    name: str
    arguments: list[str]
    host: int | None = None
    skew: float = 0.0
    running: subprocess.Popen[bytes] | None = None
    held_until: float = 0.0
    frozen_until: float = 0.0
    log_begins: int = 0

    def pids(self) -> list[int]:
        """Return its process ids, those of its children first."""
        if self.running is None:
            return []
        return [*descendants(self.running.pid), self.running.pid]


@dataclass
class Plant:
    """Everything that runs.

    Attributes:
        environment: Of every process.
        record: Where bodies say what they did.
        unled: When no scheduler was up: begin and end by the machine's clock.
    """

    directory: Path
    net: Network
    postgres: Postgres
    redis: Redis
    web: Web
    environment: dict[str, str]
    record: Path
    processes: dict[str, Process] = field(default_factory=dict)
    starts: int = 0
    unled: list[tuple[float, float]] = field(default_factory=list)
    unled_since: float | None = None
    is_closing: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    def add(self, name: str, *arguments: str, host: int | None = None) -> None:
        self.processes[name] = Process(name, list(arguments), host)

    def workers(self) -> list[str]:
        return [name for name in self.processes if name.startswith("worker")]

    def schedulers(self) -> list[str]:
        return [name for name in self.processes if name.startswith("scheduler")]

    def look(self) -> None:
        """Start what is not running."""
        with self.lock:
            for process in self.processes.values():
                running = process.running
                if running is None or running.poll() is not None:
                    self._start(process)
            self._watch_schedulers()

    def kill(self, name: str, *, skew: float = 0.0) -> list[int]:
        """Kill a process with all that it has started; return their ids."""
        with self.lock:
            process = self.processes[name]
            killed = send(process.pids(), signal.SIGKILL)
            if process.running is not None:
                process.running.wait()
            process.held_until, process.skew = time.monotonic() + _RESTART_SECONDS, skew
        return killed

    def close(self) -> None:
        with self.lock:
            self.is_closing = True
            for name, process in self.processes.items():
                send(process.pids(), signal.SIGCONT)
                self.kill(name)

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def _watch_schedulers(self) -> None:
        is_led = any(self._is_up(self.processes[name]) for name in self.schedulers())
        if not is_led and self.unled_since is None:
            self.unled_since = time.time()
        elif is_led and self.unled_since is not None:
            self.unled.append((self.unled_since, time.time()))
            self.unled_since = None

    def _is_up(self, process: Process) -> bool:
        """Say whether a scheduler has come up and can do something."""
        running = process.running
        if running is None or running.poll() is not None:
            return False
        said = (self.directory / f"{process.name}.log").read_bytes()[process.log_begins :]
        return b"stands by" in said and time.monotonic() > process.frozen_until

    def _start(self, process: Process) -> None:
        if self.is_closing or time.monotonic() < process.held_until:
            return
        self.starts += 1
        process.held_until = time.monotonic() + _RESTART_SECONDS
        command = [*self.net.command(process.host), sys.executable, "manage.py"]
        with (self.directory / f"{process.name}.log").open("ab") as log:
            process.log_begins = log.tell()
            process.running = children.spawn(
                [*command, *process.arguments],
                death_signal=signal.SIGKILL,
                cwd=ROOT,
                env=self.environment | _skewed(process.skew),
                stdout=log,
                stderr=log,
            )


def send(pids: list[int], number: signal.Signals) -> list[int]:
    """Send a signal to processes; return those that were there."""
    reached = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            reached.append(pid)
    return reached


def faketime() -> str:
    """Return where libfaketime is, which gives a process a wrong clock; "": there is none."""
    found = [*glob("/usr/lib/*/faketime/libfaketimeMT.so.1"), *glob("/usr/lib/faketime/*MT.so.1")]
    return found[0] if found else ""


@contextlib.contextmanager
def plant(workers: int, schedulers: int) -> Iterator[Plant]:
    """Start servers; processes are added, and start with the first `Plant.look`."""
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(network(workers))
        home = stack.enter_context(_directory())
        own = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        addresses = {name: net.address(name) for name in ("postgres", "redis", "web")}
        postgres = Postgres(home, ["127.0.0.1", addresses["postgres"]], secrets.token_urlsafe(16))
        stack.callback(postgres.stop)
        redis = Redis(own, ["127.0.0.1", addresses["redis"]])
        stack.callback(redis.stop)
        web = Web(addresses["web"])
        stack.callback(web.stop)
        record = own / "bodies.jsonl"
        record.touch()
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "demo_project.settings",
            "DATABASE_URL": postgres.url(addresses["postgres"]),
            "REDIS_URL": redis.url(addresses["redis"]),
            "SPANE_DATA_DIR": str(own),
            "EXTRA_APPS": "benchmarks.chaos",
            "SPANE": json.dumps(SETTINGS | {"HTTP_ALLOWED_HOSTS": [addresses["web"]]}),
            VARIABLE: str(record),
        }
        made = Plant(own, net, postgres, redis, web, environment, record)
        for index in range(workers):
            made.add(f"worker-{index}", "rqworker", "spane", "--verbosity", "0", host=index)
        for index in range(schedulers):
            made.add(f"scheduler-{index}", "spane_scheduler")
        stack.callback(made.close)
        yield made


def _skewed(seconds: float) -> dict[str, str]:
    if not seconds:
        return {}
    return {
        "LD_PRELOAD": faketime(),
        "FAKETIME": f"{seconds:+g}s",
        # Intervals stay true, as they do on a machine whose clock is wrong.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
