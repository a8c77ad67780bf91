"""A web server with the demo project, and clients that send it requests over kept connections.

Clients are threads of another process than the one that measures, if it calls :func:`send_all`
there; requests are bytes that were made before the clock starts.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from common import ROOT


def request(
    method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> bytes:
    """Return a request as it goes over the wire."""
    all_headers = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **(headers or {})}
    lines = [f"{method} {path} HTTP/1.1", *(f"{key}: {all_headers[key]}" for key in all_headers)]
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextlib.contextmanager
def gunicorn() -> Iterator[int]:
    """Serve the demo project with two processes of four threads; yield the port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [
        sys.executable, "-m", "gunicorn", "demo_project.wsgi:application", "--workers", "2",
        "--worker-class", "gthread", "--threads", "4", "--bind", f"127.0.0.1:{port}",
        "--log-level", "warning", "--keep-alive", "60",
    ]  # fmt: skip
    server = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "DEBUG": "0"})
    try:
        _await(port)
        yield port
    finally:
        server.terminate()
        server.wait(30)


def _await(port: int) -> None:
    give_up = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)


def send_all(port: int, requests: Sequence[bytes], clients: int) -> tuple[float, list[float]]:
    """Send requests over so many connections; return the rate and every latency in seconds."""
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        parts = [requests[index::clients] for index in range(clients)]
        found = list(pool.map(_send, [port] * clients, parts))
    took = time.perf_counter() - began
    return len(requests) / took, [latency for part in found for latency in part]


def _send(port: int, requests: Sequence[bytes]) -> list[float]:
    latencies = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for request in requests:
            began = time.perf_counter()
            connection.sendall(request)
            _read(connection)
            latencies.append(time.perf_counter() - began)
    return latencies


def _read(connection: Any) -> None:
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65_536)
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 202")):
        raise AssertionError(answer)
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65_536)
