"""What the tests of node types share: a context without an engine, and a web server."""

from __future__ import annotations

import asyncio
import inspect
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from spane_django.core.schema import faults_in
from spane_django.nodes import Context, Node

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)


class RecordingLog:
    """Keeps the lines that a node writes."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def debug(self, message: str, **_: Any) -> None:
        self.lines.append(("debug", message))

    def info(self, message: str, **_: Any) -> None:
        self.lines.append(("info", message))

    def warning(self, message: str, **_: Any) -> None:
        self.lines.append(("warning", message))

    def error(self, message: str, **_: Any) -> None:
        self.lines.append(("error", message))


@pytest.fixture
def context() -> Callable[..., Context]:
    """Return a factory: ``context(config, input, **what_differs)``."""

    def make(config: dict[str, Any], input: Any = None, **differs: Any) -> Context:
        values = {
            "execution_id": UUID(int=1),
            "workflow_id": "w",
            "node_id": "n",
            "node_type": "t",
            "log": RecordingLog(),
            "now": NOW,
        }
        return Context(config=config, input=input, **{**values, **differs})

    return make


@pytest.fixture
def faults() -> Callable[[type[Node], dict[str, Any]], list[str]]:
    """Return what a node type's schema and check say about a config."""

    def of(node_class: type[Node], config: dict[str, Any]) -> list[str]:
        schema = node_class.schema()
        found = [str(fault) for fault in faults_in(schema, config, "config")] if schema else []
        return found or list(node_class().check(config))

    return of


class _HttpServer(ThreadingHTTPServer):
    request_queue_size = 128  # connections of one test at once


class Server:
    """A web server on 127.0.0.1 that answers as its routes say.

    Attributes:
        routes: By path, a function that receives the request handler and writes the response.
        requests: What was asked: method, path, headers (names in lower case) and body.
    """

    def __init__(self) -> None:
        self.routes: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.requests: list[dict[str, Any]] = []
        self.stopping = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:
                    self.close_connection = True

            def do_GET(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                outer.requests.append(
                    {
                        "method": self.command,
                        "path": self.path,
                        "headers": {name.lower(): text for name, text in self.headers.items()},
                        "body": self.rfile.read(length),
                    }
                )
                outer.routes[self.path.partition("?")[0]](self)

            def log_message(self, *_: Any) -> None:
                pass

        for method in ("HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"):
            setattr(Handler, f"do_{method}", Handler.do_GET)
        self._http = _HttpServer(("127.0.0.1", 0), Handler)
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()

    def url(self, path: str, *, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def reply(self, path: str, body: bytes = b"", *, status: int = 200, **headers: str) -> None:
        """Let a path answer ``body``; header names are written with underscores."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in {"content_length": str(len(body)), **headers}.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            handler.wfile.write(body)

        self.routes[path] = answer

    def use_tls(self, certificate: Path, key: Path) -> None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)

    def close(self) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def allow(settings: Any) -> Callable[..., None]:
    """Return a function that sets what ``http`` nodes may reach besides public addresses."""

    def hosts(*allowed: str) -> None:
        settings.SPANE = {**getattr(settings, "SPANE", {}), "HTTP_ALLOWED_HOSTS": allowed}

    return hosts


@pytest.fixture
def run() -> Callable[[Node, Context], Any]:
    """Run a node, plain or async, as a worker does."""

    def execute(node: Node, ctx: Context) -> Any:
        answer = node.execute(ctx)
        return asyncio.run(_awaited(answer)) if inspect.isawaitable(answer) else answer

    async def _awaited(answer: Any) -> Any:
        return await answer

    return execute
