"""``http`` nodes as a way in: redirects and names that change lead to no address inside.

Two real servers of this machine: one that may be called, and one inside that nobody may.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pytest_django import Settings

from spane_django.engine.publish import publish
from spane_django.engine.run import Work, run_async, utc_now
from spane_django.engine.start import start
from spane_django.models import DeadLetter, NodeRun
from tests.engine.helpers import Machine

pytestmark = pytest.mark.django_db(transaction=True)

PUBLIC = "93.184.215.14"


class Server:
    """A web server that counts its visitors and may send them on."""

    def __init__(self) -> None:
        self.visits: list[str] = []
        self.location = ""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.visits.append(self.path)
                self.send_response(302 if outer.location else 200)
                if outer.location:
                    self.send_header("Location", outer.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def inside() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def outside(settings: Settings) -> Iterator[Server]:
    server = Server()
    settings.SPANE = {**settings.SPANE, "HTTP_ALLOWED_HOSTS": ["shop.test"]}
    yield server
    server.close()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names resolve to: each look-up takes the next address, the last one stays."""
    known: dict[str, list[str]] = {"shop.test": ["127.0.0.1"]}
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in known:
            return real(host, port, *args, **kwargs)
        addresses = known[name]
        address = addresses.pop(0) if len(addresses) > 1 else addresses[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


def called(url: str) -> NodeRun:
    """Let a workflow call an address; return how its node ended."""
    node = {"id": "get", "type": "http", "config": {"url": url, "retries": 0, "timeout": 5_000}}
    raw = {"id": "w", "name": "W", "entryNodeId": "get",
           "nodes": [{**node, "inputs": [], "outputs": []}]}  # fmt: skip
    publish(raw, now=utc_now())
    start("w", None, now=utc_now())
    machine = Machine()
    machine.now = utc_now()
    (work,) = machine.works(machine.claim())
    assert isinstance(work, Work)
    machine.settle([asyncio.run(run_async(work))])
    return NodeRun.objects.get()


def test_a_server_that_may_be_called_is_called(outside: Server, names: Any) -> None:
    run = called(f"http://shop.test:{outside.port}/ok")

    assert (run.status, outside.visits) == ("completed", ["/ok"])


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]",
     "0.0.0.0", "inside.test"],
)  # fmt: skip
def test_a_redirect_leads_nowhere_inside(
    outside: Server, inside: Server, names: dict[str, list[str]], host: str
) -> None:
    names["inside.test"] = ["127.0.0.1"]
    outside.location = f"http://{host}:{inside.port}/latest/meta-data/"

    run = called(f"http://shop.test:{outside.port}/")

    assert (run.status, inside.visits, outside.visits) == ("failed", [], ["/"])
    assert run.error_type in ("RefusedAddress", "Permanent")
    assert "meta-data" not in run.error_message + DeadLetter.objects.get().traceback


@pytest.mark.parametrize("scheme", ["file", "ftp", "gopher", "unix", "javascript"])
def test_a_redirect_stays_with_http(outside: Server, names: Any, scheme: str) -> None:
    outside.location = f"{scheme}:///etc/passwd"

    run = called(f"http://shop.test:{outside.port}/")

    assert run.status == "failed"
    assert "root:" not in str(run.output)


@pytest.mark.parametrize(
    "addresses", [[PUBLIC, "127.0.0.1"], ["127.0.0.1", PUBLIC]], ids=["later", "at first"]
)
def test_a_name_that_changes_between_check_and_call_leads_nowhere_inside(
    inside: Server, names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch, addresses: Any
) -> None:
    import anyio

    names["rebind.test"] = list(addresses)
    tried: list[str] = []

    async def connect(remote_host: str, remote_port: int, **_: Any) -> Any:
        tried.append(remote_host)
        raise OSError("no way out of this machine")

    monkeypatch.setattr(anyio, "connect_tcp", connect)

    run = called(f"http://rebind.test:{inside.port}/")

    assert run.status == "failed"
    assert inside.visits == []
    assert set(tried) <= {PUBLIC}
