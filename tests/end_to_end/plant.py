"""A plant: PostgreSQL, Redis, real workers and the scheduler, for as long as a block lasts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.services import postgres, redis

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass
class Plant:
    """The processes and how to reach what they share.

    Attributes:
        environment: Of every process: databases, directories, settings.
        database: A connection of the test's own, in autocommit.
    """

    environment: dict[str, str]
    directory: Path
    database: psycopg.Connection[Any]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *arguments: str) -> None:
        """Start ``manage.py`` with arguments; its output goes to a file of that name."""
        self.launch(name, "manage.py", *arguments)

    def launch(self, name: str, *arguments: str) -> None:
        """Start Python with arguments; its output goes to a file of that name."""
        with (self.directory / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def kill(self, name: str) -> None:
        """Kill a process with all that it has started, and wait until it is gone."""
        process = self.processes.pop(name)
        for pid in [*descendants(process.pid), process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()

    def python(self, code: str) -> str:
        """Run Python in a Django process of its own and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-c", f"import django; django.setup()\n{code}"],
            cwd=ROOT,
            env=self.environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout.strip()

    def begin(self, definition: dict[str, Any], inputs: list[Any]) -> list[str]:
        """Publish a definition without checking its nodes, start executions, return their ids."""
        printed = self.python(
            "import json\n"
            "from django.utils import timezone\n"
            "from spane_django.engine.publish import publish\n"
            "from spane_django.engine.start import start_many\n"
            f"definition = json.loads({json.dumps(json.dumps(definition))})\n"
            f"inputs = json.loads({json.dumps(json.dumps(inputs))})\n"
            "publish(definition, now=timezone.now(), check_nodes=False)\n"
            "ids = start_many(definition['id'], inputs, now=timezone.now())\n"
            "print(json.dumps(list(map(str, ids))))\n"
        )
        ids: list[str] = json.loads(printed)
        return ids

    def value(self, query: str, *parameters: object) -> Any:
        """Return the first column of the first row."""
        row = self.database.execute(query, parameters).fetchone()
        return row[0] if row else None

    def log(self, name: str) -> str:
        """Return what a process has written."""
        return (self.directory / f"{name}.log").read_text(errors="replace")


@contextlib.contextmanager
def plant(**settings: Any) -> Iterator[Plant]:
    """Run a plant without workers.

    Args:
        settings: What ``SPANE`` holds for its processes.
    """
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "demo_project.settings",
            "DATABASE_URL": _own_database(stack.enter_context(postgres())),
            "REDIS_URL": stack.enter_context(redis()),
            "SPANE_DATA_DIR": str(directory),
            "EXTRA_APPS": "tests.storm_app",
            "SPANE": json.dumps(settings),
        }
        migrate = [sys.executable, "manage.py", "migrate", "-v0", "--run-syncdb"]
        subprocess.run(migrate, cwd=ROOT, env=environment, check=True)
        url = environment["DATABASE_URL"]
        database = stack.enter_context(psycopg.connect(url, autocommit=True))
        running = Plant(environment, directory, database)
        try:
            yield running
        finally:
            for name in list(running.processes):
                running.kill(name)


def until(is_so: Callable[[], Any], *, seconds: float = 30.0) -> bool:
    """Wait until something is so; False if it was not in time."""
    give_up = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.02)
    return True


def descendants(pid: int) -> Iterator[int]:
    """Yield what a process has started, and what those have, innermost first."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from descendants(int(child))
            yield int(child)


def _own_database(url: str) -> str:
    name = f"plant_{os.getpid()}_{time.monotonic_ns()}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    return url.rpartition("/")[0] + f"/{name}"
