"""A whole site in one terminal: web server, workers and scheduler, supervised as children.

:class:`Site` is what `spane_run` is made of, and whatever else wants a running site for a while:

    with Site(SiteOptions(port=8000)) as site:   # main thread; everything has been started
        site.wait_until_ready()                  # the web server answers
        site.run()                               # until Ctrl-C or SIGTERM; restarts what ends

Leaving the block stops everything, last started first.  The children die with this process,
``kill -9`` included.

How workers learn of work is decided by what there is, see :func:`carrier_of`: the Redis of
``RQ_QUEUES`` if it answers; else, if its address is a unix socket, an embedded one on exactly
that socket; else, if no server is installed, workers that poll the database.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from django.conf import settings as django_settings
from redis.exceptions import AuthenticationError, RedisError

from ..conf import settings
from ..core.errors import SpaneError
from . import embedded, rq
from .children import Children
from .relay import Relay

# What a child needs to end after its nodes had their time.
_MARGIN_SECONDS = 5.0
_POLL_SECONDS = 0.05


class NoCarrier(SpaneError):
    """The Redis of a queue does not answer and cannot be started here."""


class PortTaken(SpaneError):
    """Something else listens on the web server's port."""


class NotReady(SpaneError):
    """The web server did not answer in time."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """How the workers of a queue learn of work.

    Attributes:
        socket: Where an embedded Redis is to be started; None: nowhere.
        polls: Whether workers poll the database instead of waiting in Redis.
    """

    socket: Path | None = None
    polls: bool = False


@dataclass(frozen=True, kw_only=True)
class SiteOptions:
    """What a site consists of.

    Attributes:
        host: The address that the web server listens on; this machine alone sees the default.
        port: Its port.
        workers: How many workers each queue gets.
        queues: Which queues get workers; empty: all of ``RQ_QUEUES``.
        has_web: Whether there is a web server.
        has_scheduler: Whether there is a scheduler.
        verbosity: As of Django's commands: 0 says little, 2 much.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    queues: Sequence[str] = ()
    has_web: bool = True
    has_scheduler: bool = True
    verbosity: int = 1

    @property
    def url(self) -> str:
        """Where the site is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"


@dataclass
class Site:
    """The running site.  A context manager that only the main thread may enter.

    Args:
        stream: Where the output of all children goes.
        is_coloured: Whether their names are coloured.

    Raises:
        NoCarrier, PortTaken: on entering; nothing has been started, or all of it has been stopped.
    """

    options: SiteOptions = field(default_factory=SiteOptions)
    stream: TextIO = field(default_factory=lambda: sys.stdout)
    is_coloured: bool = False
    carriers: dict[str, Carrier] = field(init=False)
    _children: Children = field(init=False)
    _relay: Relay = field(init=False)
    _logs: ExitStack = field(init=False, default_factory=ExitStack)

    def __enter__(self) -> Site:
        options = self.options
        if options.has_web:
            _check_port(options.host, options.port)
        queues = options.queues or list(django_settings.RQ_QUEUES)
        self.carriers = {queue: carrier_of(queue) for queue in queues}
        self._relay = Relay(self.stream, is_coloured=self.is_coloured)
        self._children = Children(grace=settings.SHUTDOWN_SECONDS + _MARGIN_SECONDS)
        self._children.__enter__()
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.say("stopping (a second Ctrl-C does not wait: nodes in flight run again later)")
        self._stop()

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Keep everything running until SIGTERM or SIGINT.

        Args:
            until: Asked several times a second; ends it as well once it says so.
        """
        self._children.run(on_end=self._tell_end, until=until)

    def say(self, line: str) -> None:
        """Write a line among the output of the children."""
        self._relay.say("site", line)

    def pid(self, name: str) -> int:
        """Return the process id of ``web``, ``scheduler``, ``redis`` or a worker."""
        return self._children.pid(name)

    def wait_until_ready(self, seconds: float = 30.0) -> None:
        """Wait until the web server accepts connections.

        Raises:
            NotReady: it ended, or took longer; its output says why.
        """
        deadline = time.monotonic() + seconds
        while not _listens(self.options.host, self.options.port):
            if self._children.code("web") is not None or time.monotonic() > deadline:
                raise NotReady(f"Nothing answers at {self.options.url}: see the output of 'web'.")
            time.sleep(_POLL_SECONDS)

    def _start(self) -> None:
        options = self.options
        sockets = {item.socket: None for item in self.carriers.values() if item.socket}
        for number, path in enumerate(sockets):
            self._start_redis("redis" if not number else f"redis-{number + 1}", path)
        verbosity = f"--verbosity={options.verbosity}"
        if options.has_scheduler:
            self._start_command("scheduler", "spane_scheduler", verbosity)
        for queue, carrier in self.carriers.items():
            command = "spane_worker" if carrier.polls else "rqworker"
            for name in self._worker_names(queue):
                self._start_command(name, command, queue, verbosity)
        if options.has_web:
            address = options.url.removeprefix("http://").rstrip("/")
            self._start_command("web", "runserver", "--noreload", "--skip-checks", address)

    def _worker_names(self, queue: str) -> list[str]:
        base = "worker" if len(self.carriers) == 1 else queue
        if self.options.workers == 1:
            return [base]
        return [f"{base}-{number}" for number in range(1, self.options.workers + 1)]

    def _start_redis(self, name: str, path: Path) -> None:
        directory = path.parent
        directory.mkdir(parents=True, exist_ok=True)
        log = directory / "redis.log"
        # Open as long as the site runs: a server that is started again writes to it, too.
        output = self._logs.enter_context(log.open("wb"))
        command = embedded.command(directory, path)
        self._children.start(name, command, cwd=directory, stdout=output, stderr=output)
        embedded.wait_until_ready(
            path, log, has_ended=lambda: self._children.code(name) is not None
        )
        self.say(f"embedded Redis on {path}")

    def _start_command(self, name: str, *args: str) -> None:
        end = self._relay.end(name)
        command, environment = django_command(*args)
        self._children.start(name, command, env=environment, stdout=end, stderr=end)

    def _tell_end(self, name: str, code: int) -> None:
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self.say(f"{name} ended ({how}), it is started again")

    def _stop(self) -> None:
        self._children.__exit__()
        self._relay.close()
        self._logs.close()


def carrier_of(queue: str) -> Carrier:
    """Decide how the workers of a queue learn of work.

    Raises:
        NoCarrier: Redis does not answer, and it is not one that could be started here.
    """
    try:
        connection = rq.redis_of(queue)
    except KeyError:
        known = ", ".join(django_settings.RQ_QUEUES) or "none"
        message = f"Queue '{queue}' is not in RQ_QUEUES (there: {known}): add it to the settings."
        raise NoCarrier(message) from None
    parameters = connection.get_connection_kwargs()
    try:
        connection.ping()
    except AuthenticationError as error:
        raise NoCarrier(
            f"The Redis of queue '{queue}' refuses us: {error}.  Correct the user and the "
            "password of its URL in RQ_QUEUES."
        ) from error
    except (RedisError, OSError) as error:
        return _substitute(queue, parameters, error)
    return Carrier()


def django_command(*args: str) -> tuple[list[str], dict[str, str]]:
    """Return the command line and the environment that run a management command of this project.

    However this process was started: by ``manage.py``, ``django-admin`` or a test runner.
    """
    path = [sys.path[0], os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(part for part in path if part),
        "PYTHONUNBUFFERED": "1",
        # Python forks in a worker; without this, macOS ends the fork.
        "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",
    }
    return [sys.executable, "-m", "django", *args], environment


def _substitute(queue: str, parameters: dict[str, object], error: Exception) -> Carrier:
    """Return what takes the place of a Redis that does not answer."""
    path = parameters.get("path")
    if not path:
        raise NoCarrier(
            f"The Redis of queue '{queue}' does not answer: {error}.  Start it; or correct its "
            "URL in RQ_QUEUES; or give it a URL such as unix:///path/of/redis.sock, and an "
            "embedded Redis is started there."
        ) from error
    if parameters.get("password"):
        raise NoCarrier(
            f"The Redis of queue '{queue}' does not answer, and an embedded one has no password: "
            "start yours, or take the password out of its URL in RQ_QUEUES."
        ) from error
    try:
        embedded.binary()
    except embedded.NoRedisBinary:
        return Carrier(polls=True)
    socket_path = Path(str(path)).absolute()
    if len(os.fsencode(socket_path)) > embedded.LONGEST_SOCKET_PATH:
        raise NoCarrier(
            f"{socket_path} is too long for a unix socket: at most "
            f"{embedded.LONGEST_SOCKET_PATH} bytes.  Choose a shorter path in RQ_QUEUES."
        ) from error
    return Carrier(socket=socket_path)


def _check_port(host: str, port: int) -> None:
    if _listens(host, port):
        raise PortTaken(
            f"Port {port} of {host} is in use: stop what listens there, or choose another port."
        )


def _listens(host: str, port: int) -> bool:
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared only
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False
