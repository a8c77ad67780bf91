"""How many requests to a webhook the demo project takes in, each checked, stored and started.

    python benchmarks/webhooks.py [--requests N] [--clients N]

Gunicorn with two workers of four threads on PostgreSQL; clients on threads of another process
keep their connections and send small JSON bodies, signed as GitHub does.  Rounds of the webhook
take turns with rounds of ``GET /health/live``, which touches no database, so that a machine that
is busy with something else is busy for both.  Prints one JSON object: requests per second,
latencies in milliseconds, and the ratio of the two rates.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

from common import ROOT, fork, publish, silence, stage

SECRET = "known-to-the-sender-too"
ROUNDS = 3

DEFINITION = {
    "id": "intake",
    "name": "Intake",
    "entryNodeId": "note",
    "nodes": [
        {"id": "note", "type": "log", "config": {"message": "in"}, "inputs": [], "outputs": []}
    ],
}


def main() -> None:
    options = _options()
    with stage(), silence():
        publish(DEFINITION)
        path = _make_webhook()
        with _gunicorn() as port, ProcessPoolExecutor(1, mp_context=fork) as client:

            def measure(requests: list[bytes]) -> tuple[float, list[float]]:
                return client.submit(_send_all, port, requests, options.clients).result()

            live = [_live()] * options.requests
            measure(live[:200])
            measure(_deliveries(path, 200))
            samples = [
                (measure(live)[0], *measure(_deliveries(path, options.requests)))
                for _ in range(ROUNDS)
            ]
        _check(200 + ROUNDS * options.requests)
    base = statistics.median(sample[0] for sample in samples)
    rate = statistics.median(sample[1] for sample in samples)
    latencies = sorted(latency for sample in samples for latency in sample[2])
    found = {
        "requests_per_second": round(rate),
        "p50_ms": round(1_000 * latencies[len(latencies) // 2], 1),
        "p95_ms": round(1_000 * latencies[int(len(latencies) * 0.95)], 1),
        "health_live_per_second": round(base),
        "ratio": round(rate / base, 3),
    }
    print(json.dumps(found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=2_000, help="of each round")
    parser.add_argument("--clients", type=int, default=8)
    return parser.parse_args()


def _make_webhook() -> str:
    from spane_django.clock import now
    from spane_django.triggers.webhooks import create

    asked = {"workflowId": "intake", "signature": {"kind": "github"}, "secret": SECRET}
    return create(asked, now=now())[0].path


@contextlib.contextmanager
def _gunicorn() -> Iterator[int]:
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


def _live() -> bytes:
    return b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def _deliveries(path: str, count: int) -> list[bytes]:
    from spane_django.clock import now
    from spane_django.core.signatures import PRESETS, sign

    made = []
    for number in range(count):
        body = json.dumps({"order": f"{time.time_ns()}-{number}", "total": 990}).encode()
        headers = {
            "Host": "127.0.0.1",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "X-GitHub-Delivery": f"{time.time_ns()}-{number}",
            **sign(PRESETS["github"], body, SECRET, now=now()),
        }
        lines = [f"POST /api/webhooks/{path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        made.append("\r\n".join([*lines, "", ""]).encode() + body)
    return made


def _send_all(port: int, requests: Sequence[bytes], clients: int) -> tuple[float, list[float]]:
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


def _check(count: int) -> None:
    from spane_django.models import Execution, WebhookDelivery

    found = Execution.objects.count(), WebhookDelivery.objects.filter(status="started").count()
    if found != (count, count):
        raise AssertionError(f"{found} are stored and started, not {count}")


if __name__ == "__main__":
    main()
