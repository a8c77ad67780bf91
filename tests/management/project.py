"""A site of its own for processes: a directory with an SQLite database and room for a Redis.

What the processes do is read from the database's file, never guessed at: :func:`until` looks
again and again, up to a deadline.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 40.0

Found = TypeVar("Found")

LINE = {
    "id": "line",
    "name": "Line",
    "entryNodeId": "first",
    "nodes": [
        {"id": "first", "type": "set", "config": {"values": {"n": 1}}, "outputs": ["last"]},
        {"id": "last", "type": "set", "config": {"values": {"m": 2}}, "inputs": ["first"]},
    ],
}
HELD = {
    "id": "held",
    "name": "Held",
    "entryNodeId": "first",
    "nodes": [
        {"id": "first", "type": "hold", "outputs": ["last"]},
        {"id": "last", "type": "set", "config": {"values": {"m": 2}}, "inputs": ["first"]},
    ],
}


@dataclass
class Project:
    """The site in ``directory``."""

    directory: Path
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key not in _SERVERS}
        return {
            **kept,
            "DJANGO_SETTINGS_MODULE": "tests.management.process_settings",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "SPANE_DATA_DIR": str(self.directory),
            "HOLD_DIR": str(self.directory / "held"),
        }

    @property
    def redis_socket(self) -> Path:
        return self.directory / "redis.sock"

    def run(self, *args: str, code: int = 0, stdin: str = "", **environment: str) -> str:
        """Run a command to its end; return what it wrote to standard output."""
        done = subprocess.run(
            [sys.executable, "-m", "django", *args],
            check=False, capture_output=True, text=True, cwd=ROOT, input=stdin,
            env={**self.environment, **environment}, timeout=DEADLINE_SECONDS,
        )  # fmt: skip
        said = f"{args} gave {done.returncode}:\n{done.stdout}{done.stderr}"
        assert done.returncode == code, said
        return done.stdout

    def begin(self, *args: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command that runs until it is stopped; its output goes to a file."""
        return self.begin_program([sys.executable, "-m", "django", *args], **environment)

    def begin_program(self, command: list[str], **environment: str) -> subprocess.Popen[str]:
        """Start any program in the same environment."""
        with self.output(len(self.processes)).open("w") as output:
            process = subprocess.Popen(
                command, text=True, cwd=ROOT, env={**self.environment, **environment},
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def output(self, number: int = 0) -> Path:
        """Return the file with the output of the n-th process that was started."""
        return self.directory / f"output-{number}.txt"

    def publish(self, *definitions: dict[str, Any]) -> None:
        self.run("spane_publish", "-", stdin=json.dumps(definitions))

    def start(self, workflow: str, *args: str) -> str:
        """Start an execution; return its id."""
        return self.run("spane_start", workflow, *args).strip()

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.directory / "demo.sqlite3", timeout=20)
        try:
            return connection.execute(query, parameters).fetchall()
        finally:
            connection.close()

    def status(self, execution_id: str) -> str:
        query = "SELECT status FROM spane_django_execution WHERE id = ?"
        ((status,),) = self.rows(query, execution_id.replace("-", ""))
        return str(status)

    def nodes(self, execution_id: str) -> dict[str, str]:
        query = "SELECT node_id, status FROM spane_django_noderun WHERE execution_id = ?"
        return dict(self.rows(query, execution_id.replace("-", "")))

    def held_by(self, execution_id: str, node_id: str = "first") -> int | None:
        """Return the process in which a held node runs; None while it does not run."""
        note = self.directory / "held" / f"{execution_id}.{node_id}"
        text = note.read_text() if note.exists() else ""
        return int(text) if text else None

    def let_go(self) -> None:
        """Let held nodes end."""
        (self.directory / "held" / "go").touch()

    def close(self) -> None:
        """Kill what still runs, and what it has left behind."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for pid in self.survivors():
            os.kill(pid, signal.SIGKILL)

    def survivors(self) -> list[int]:
        """Return the processes that belong to this site, by environment or, Redis, by directory."""
        mine = f"SPANE_DATA_DIR={self.directory}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
                is_here = (entry / "cwd").readlink() == self.directory
            except OSError:  # gone, or somebody else's
                continue
            if (mine in environment or is_here) and _runs(entry):
                found.append(int(entry.name))
        return found


_SERVERS = ("DATABASE_URL", "REDIS_URL", "SPANE", "DJANGO_SETTINGS_MODULE")


def until(
    look: Callable[[], Found | None], what: str, *, seconds: float = DEADLINE_SECONDS
) -> Found:
    """Return what ``look`` finds as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.02)
    return found


def _runs(entry: Path) -> bool:
    """Say whether a process is more than the corpse of one."""
    try:
        return (entry / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
