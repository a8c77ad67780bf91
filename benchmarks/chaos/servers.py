"""A PostgreSQL, a Redis and a web service of the run's own, which can be stopped and started.

PostgreSQL is as durable as in production (``fsync``, ``synchronous_commit`` and
``full_page_writes`` are on) and comes from where the tests' comes from, see `tests.services`.
Redis keeps nothing on disk, so a restart empties it.  The web service fails the first requests of
some keys, and remembers what it has answered to whom.
"""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import redis

from spane_django.dispatch import children, embedded
from tests import services

_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}


@dataclass
class Postgres:
    """A PostgreSQL that listens on some addresses.

    Attributes:
        down: When it was down: begin and end by the machine's clock.
    """

    directory: Path
    addresses: Sequence[str]
    password: str
    port: int = field(default_factory=services._free_port)
    down: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._account = services._account(self.directory)
        found = services.postgres_binaries()
        self._binaries = services._within_reach(found, self.directory, self._account)
        services._initialise(self._binaries, self.directory, self._account, self.password)
        with (self.directory / "data" / "pg_hba.conf").open("a") as access:
            access.write("host all all 10.0.0.0/8 scram-sha-256\n")
        self._serve()

    def url(self, address: str) -> str:
        return f"postgresql://postgres:{self.password}@{address}:{self.port}/postgres"

    def restart(self, mode: str, seconds: float) -> None:
        """Stop it, ``fast`` or ``immediate`` as if it had crashed, and start it after a while."""
        began = time.time()
        children.stop(self._process, with_signal=_SIGNALS[mode])
        time.sleep(seconds)
        self._serve()
        self.down.append((began, time.time()))

    def stop(self) -> None:
        children.stop(self._process, with_signal=signal.SIGINT)

    def _serve(self) -> None:
        values = {
            "listen_addresses": ",".join(self.addresses),
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "on",
            "max_connections": 200,
            "shared_buffers": "128MB",
        }
        flags = [part for name, value in values.items() for part in ("-c", f"{name}={value}")]
        with (self.directory / "postgres.log").open("ab") as log:
            self._process = children.spawn(
                [self._binaries / "postgres", "-D", self.directory / "data", *flags],
                death_signal=signal.SIGINT,
                stdout=log,
                stderr=subprocess.STDOUT,
                **self._account,
            )
        url = self.url(self.addresses[0])
        services._wait_until_ready(self._process, url, self.directory / "postgres.log")


@dataclass
class Redis:
    """A Redis that listens on some addresses and keeps nothing."""

    directory: Path
    addresses: Sequence[str]
    port: int = field(default_factory=services._free_port)

    def __post_init__(self) -> None:
        self.client = redis.Redis(host=self.addresses[0], port=self.port, socket_timeout=2)
        self._serve()

    def url(self, address: str) -> str:
        return f"redis://{address}:{self.port}/0"

    def restart(self, seconds: float) -> None:
        """Kill it, and start an empty one after a while."""
        children.stop(self._process, with_signal=signal.SIGKILL)
        time.sleep(seconds)
        self._serve()

    def stop(self) -> None:
        children.stop(self._process)

    def _serve(self) -> None:
        command = [
            *(str(embedded.binary()), "--port", str(self.port), "--bind", *self.addresses),
            *("--save", "", "--appendonly", "no", "--protected-mode", "no"),
        ]
        with (self.directory / "redis.log").open("ab") as log:
            self._process = children.spawn(command, stdout=log, stderr=subprocess.STDOUT)


@dataclass
class Answers:
    """What the web service has answered: the ids of its successes, by idempotency key."""

    given: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    asked: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, key: str, path: str) -> str | None:
        """Return the id of a success; None: this request fails."""
        fails = Random(f"{path}/{key[-3:]}").choice((0, 0, 0, 1, 2))
        with self.lock:
            self.asked[key] += 1
            if self.asked[key] <= fails:
                return None
            self.given[key].append(uuid4().hex)
            return self.given[key][-1]


class Web:
    """A web service that sometimes fails."""

    def __init__(self, address: str) -> None:
        self.answers = Answers()
        handler = type("Handler", (_Handler,), {"answers": self.answers})
        self._server = ThreadingHTTPServer((address, 0), handler)
        self.url = f"http://{address}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    answers: Answers

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "null")
        run = self.answers.answer(self.headers.get("Idempotency-Key", ""), self.path)
        body = json.dumps({"run": run, "seed": sent.get("seed")}).encode()
        self.send_response(200 if run else 503)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: the answers are remembered."""
