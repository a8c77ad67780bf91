"""Hosts: network namespaces in which workers live, and which can be cut off from a service.

Each host has one link (a pair of virtual Ethernet devices) per service, and each service has an
address of its own on this machine's loopback device.  To cut a host off is to take down its link:
packets vanish in both directions without a word, as behind a switch that has died, and whoever
waits for an answer waits.  Healing brings the link up again, and what TCP still repeats arrives.

That takes root and Linux.  Without them there are no hosts (`are_possible`): workers run beside
the servers, and nothing is cut off.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

SERVICES = ("postgres", "redis", "web")


def are_possible() -> bool:
    """Say whether this process may make network namespaces."""
    tried = subprocess.run(["unshare", "-n", "ip", "link"], check=False, capture_output=True)
    return os.geteuid() == 0 and tried.returncode == 0


@dataclass(frozen=True)
class Network:
    """The addresses of the services and the hosts that reach them.

    Attributes:
        number: Of the network 10.number.0.0/16, so that two runs do not meet.
        count: How many hosts there are; 0: none, and everything is local.
    """

    number: int
    count: int

    def address(self, service: str) -> str:
        if not self.count:
            return "127.0.0.1"
        return f"10.{self.number}.255.{SERVICES.index(service) + 1}"

    def command(self, host: int | None) -> list[str]:
        """Return what runs a command on a host; None: on this machine."""
        if host is None or not self.count:
            return []
        return ["ip", "netns", "exec", self._name(host)]

    def cut(self, host: int, service: str) -> None:
        """Let nothing through between a host and a service."""
        _ip("link", "set", self._device(host, service), "down")

    def heal(self, host: int, service: str) -> None:
        """Let everything through again."""
        _ip("link", "set", self._device(host, service), "up")

    def make(self) -> None:
        for service in SERVICES:
            _ip("address", "add", f"{self.address(service)}/32", "dev", "lo")
        for host in range(self.count):
            _ip("netns", "add", self._name(host))
            _ip("-n", self._name(host), "link", "set", "lo", "up")
            for place, service in enumerate(SERVICES):
                self._link(host, place, service)

    def remove(self) -> None:
        for host in range(self.count):
            for service in SERVICES:
                _try_ip("link", "delete", self._device(host, service))
            _try_ip("netns", "delete", self._name(host))
        for service in SERVICES:
            _try_ip("address", "delete", f"{self.address(service)}/32", "dev", "lo")

    def _link(self, host: int, place: int, service: str) -> None:
        here, there = self._device(host, service), f"{service[:3]}{self.number}-{host}"
        near, far = (f"10.{self.number}.{host}.{4 * place + end}" for end in (1, 2))
        name = self._name(host)
        _ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
        _ip("address", "add", f"{near}/30", "dev", here)
        _ip("link", "set", here, "up")
        _ip("-n", name, "address", "add", f"{far}/30", "dev", there)
        _ip("-n", name, "link", "set", there, "up")
        _ip("-n", name, "route", "add", f"{self.address(service)}/32", "via", near)

    def _name(self, host: int) -> str:
        return f"chaos-{self.number}-{host}"

    def _device(self, host: int, service: str) -> str:
        return f"ch{self.number}-{host}{service[:3]}"


@contextlib.contextmanager
def network(count: int) -> Iterator[Network]:
    """Make so many hosts for the time of a block; none where that is not possible."""
    made = Network(number=100 + os.getpid() % 100, count=count if are_possible() else 0)
    if not made.count:
        yield made
        return
    try:
        made.make()
        yield made
    finally:
        made.remove()


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def _try_ip(*arguments: str) -> None:
    with contextlib.suppress(RuntimeError):
        _ip(*arguments)
