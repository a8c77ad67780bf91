"""A site for processes, migrated once per run; definitions and executions for commands."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from spane_django.dispatch.bell import PollingBell
from spane_django.dispatch.drain import Drain
from spane_django.engine.publish import publish
from spane_django.engine.start import start
from spane_django.models import Execution
from tests.management.project import LINE, Project


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the database of a site that has done nothing yet."""
    directory = tmp_path_factory.mktemp("site")
    Project(directory).run("migrate", "--verbosity", "0")
    return directory


@pytest.fixture
def project(migrated: Path, tmp_path: Path) -> Iterator[Project]:
    """A site of its own; what it has started is gone at the end."""
    for file in migrated.iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / "held").mkdir()
    made = Project(tmp_path)
    yield made
    made.close()


@dataclass
class Answer:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def ask(*args: object) -> Answer:
    """Call a command in this process as the shell would, without a terminal."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command(*map(str, args), stdout=out, stderr=err)
    except CommandError as error:
        # What the parser refuses ends a process with 2; in this process it is an error like others.
        code = 2 if str(error).startswith("Error: ") else error.returncode
        return Answer(code, out.getvalue(), err.getvalue() + str(error))
    except SystemExit as ended:
        return Answer(int(ended.code or 0), out.getvalue(), err.getvalue())
    return Answer(0, out.getvalue(), err.getvalue())


@pytest.fixture
def line(wakes: list[str]) -> str:
    """A published workflow of two nodes.  It fails if its input is a list."""
    publish(LINE, now=datetime.now(UTC))
    return "line"


@pytest.fixture
def completed(line: str) -> Execution:
    """An execution that has completed."""
    execution = start(line, {"a": 1}, now=datetime.now(UTC))
    work()
    execution.refresh_from_db()
    return execution


@pytest.fixture
def failed(line: str) -> Execution:
    """An execution whose first node is a dead letter."""
    execution = start(line, [1], now=datetime.now(UTC))
    work()
    execution.refresh_from_db()
    return execution


def work() -> None:
    """Run everything that is ready."""
    Drain(
        "spane",
        make_bell=lambda ring: PollingBell(ring=ring, seconds=0.05),
        wake=lambda queues: None,
        linger=0.0,
    ).run()
