"""The guard: nodes of a test reach nothing outside.

While a node runs, connecting a socket and looking up a host's name fail, unless the host is one
of the project's own servers (its databases, caches and queues), was allowed by the test, or is
a unix socket.  What a node tried is kept, so that the test fails even if the node swallowed
the error.

Python's own sockets are watched, which is what HTTP clients, ``smtplib`` and cloud libraries
use.  Libraries that connect in C, such as database drivers, are not seen.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_address
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from django.conf import settings

_REDIS_PORT, _MEMCACHED_PORT = 6379, 11211


class NetworkBlocked(AssertionError):
    """A node of a test tried to reach something outside."""


class NetworkGuard:
    """Watches what nodes connect to.

    Attributes:
        attempts: What was tried and refused, as ``host:port``.
    """

    def __init__(self) -> None:
        self.attempts: list[str] = []
        self._hosts: set[str] = set()
        self._is_open = False

    def allow(self, *hosts: str) -> None:
        """Let nodes reach these hosts; without any: everything."""
        self._hosts |= {host.lower() for host in hosts}
        self._is_open |= not hosts

    @contextmanager
    def up(self) -> Iterator[None]:
        """Watch during the block, on every thread."""
        self.attempts.clear()
        if self._is_open:
            yield
            return
        watch = _Watch(self._hosts, self.attempts)
        with ExitStack() as stack:
            stack.enter_context(patch.object(socket.socket, "connect", watch.connect))
            stack.enter_context(patch.object(socket.socket, "connect_ex", watch.connect_ex))
            stack.enter_context(patch.object(socket, "getaddrinfo", watch.getaddrinfo))
            yield


class _Watch:
    """What stands in for the functions of ``socket`` while a node runs."""

    def __init__(self, hosts: set[str], attempts: list[str]) -> None:
        self._hosts = hosts
        self._places: set[tuple[Any, ...]] = set(_own_servers())
        self._attempts = attempts
        connect, connect_ex = socket.socket.connect, socket.socket.connect_ex
        self._getaddrinfo = socket.getaddrinfo

        # Functions, so that they are methods of a socket.
        def watched_connect(sock: socket.socket, address: Any) -> None:
            self._check_address(sock, address)
            connect(sock, address)

        def watched_connect_ex(sock: socket.socket, address: Any) -> int:
            self._check_address(sock, address)
            return connect_ex(sock, address)

        self.connect, self.connect_ex = watched_connect, watched_connect_ex

    def getaddrinfo(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        """Look up names of allowed hosts, and allow the addresses that they turn out to have."""
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        is_lookup = bool(name) and not _is_address(name)
        if is_lookup:
            self._check(name, port)
        found = self._getaddrinfo(host, port, *args, **kwargs)
        if is_lookup:
            self._places |= {entry[4][:2] for entry in found}
        return found

    def _check_address(self, sock: socket.socket, address: Any) -> None:
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            return
        try:
            self._check(address[0], address[1])
        except NetworkBlocked:
            sock.close()  # who made it closes it for an OSError only
            raise

    def _check(self, host: str, port: Any) -> None:
        place = (host.lower(), int(port) if str(port).isdigit() else port)
        if place[0] not in self._hosts and place not in self._places:
            self._attempts.append(f"{host}:{port}")
            raise NetworkBlocked(f"nodes of a test reach nothing outside: {host}:{port}")


def _own_servers() -> Iterator[tuple[str, int]]:
    """Yield the host and port of the project's databases, queues and caches."""
    for database in settings.DATABASES.values():
        if database.get("HOST") and str(database.get("PORT", "")).isdigit():
            yield database["HOST"].lower(), int(database["PORT"])
    for queue in getattr(settings, "RQ_QUEUES", {}).values():
        if queue.get("HOST"):
            yield str(queue["HOST"]).lower(), int(queue.get("PORT", _REDIS_PORT))
        yield from _of_url(str(queue.get("URL", "")))
        yield from ((str(host).lower(), int(port)) for host, port in queue.get("SENTINELS", ()))
    for cache in settings.CACHES.values():
        places = cache.get("LOCATION", "")
        for place in places if isinstance(places, list | tuple) else [places]:
            yield from _of_url(str(place))


def _of_url(url: str) -> Iterator[tuple[str, int]]:
    """Yield what a URL, or ``host:port``, leads to; nothing if it leads to no host."""
    parts = urlsplit(url if "://" in url else f"memcached://{url}")
    usual = {"redis": _REDIS_PORT, "rediss": _REDIS_PORT, "memcached": _MEMCACHED_PORT}
    # A cache in memory may have any name, which then looks like a host, or like a bad port.
    with suppress(ValueError):
        if parts.scheme in usual and parts.hostname:
            yield parts.hostname, parts.port or usual[parts.scheme]


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
