"""Events over a real connection: uvicorn, a worker, and a client that loses both now and then."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.api.test_events_stream import lines_of, nodes_of, parsed
from tests.end_to_end.plant import ROOT, Plant, plant, until

pytestmark = pytest.mark.end_to_end

STEPS = 12

MAKE_TOKEN = """
from django.contrib.auth.models import User
from django.utils import timezone
from spane_django.engine.tokens import issue
print(issue(User.objects.create_superuser("ada"), "test", now=timezone.now())[0])
"""


def steps() -> dict[str, Any]:
    """Return a chain that writes a line and sleeps a moment, again and again."""
    ids = [f"{kind}{number}" for number in range(STEPS) for kind in ("say", "nap")]
    nodes = [
        {
            "id": node,
            "type": "log" if node.startswith("say") else "delay",
            "config": {"message": node} if node.startswith("say") else {"duration": 150},
            "inputs": ids[max(0, place - 1) : place],
            "outputs": ids[place + 1 : place + 2],
        }
        for place, node in enumerate(ids)
    ]
    return {"id": "steps", "name": "Steps", "entryNodeId": ids[0], "nodes": nodes}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def uvicorn(running: Plant, port: int) -> Iterator[int]:
    """Run the demo project on ASGI; yield the process id of the server."""
    command = [sys.executable, "-m", "uvicorn", "demo_project.asgi:application"]
    with (running.directory / "uvicorn.log").open("ab") as log:
        server = subprocess.Popen(
            [*command, "--port", str(port), "--lifespan", "off"],
            cwd=ROOT,
            env=running.environment,
            stdout=log,
            stderr=log,
        )
    try:
        assert until(lambda: answers(port)), running.log("uvicorn")
        yield server.pid
    finally:
        server.kill()
        server.wait()


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/live").status_code == 200
    except httpx.TransportError:
        return False


def listen(url: str, token: str, last: str, most: int) -> Iterator[dict[str, Any]]:
    """Yield at most so many events behind the last one, then break the connection off."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    if last:
        headers["Last-Event-ID"] = last
    text = ""
    with httpx.stream("GET", url, headers=headers, timeout=20) as answer:
        assert answer.status_code == 200, answer.read()
        for part in answer.iter_text():
            *whole, text = (text + part).split("\n\n")
            for event in parsed("\n\n".join(whole)):
                yield event
                most -= 1
                if not most or event["event"] == "end":
                    return


def test_a_client_that_is_cut_off_again_and_again_misses_no_event_and_no_line() -> None:
    port = free_port()
    with plant() as running:
        token = running.python(MAKE_TOKEN)
        (execution,) = running.begin(steps(), [None])
        url = f"http://127.0.0.1:{port}/api/executions/{execution}/events"
        events: list[dict[str, Any]] = []
        running.start("worker", "rqworker", "spane")

        with uvicorn(running, port):
            events += listen(url, token, "", 3)
            events += listen(url, token, events[-1]["id"], 5)
        with uvicorn(running, port) as server:
            for event in listen(url, token, events[-1]["id"], 7):
                events.append(event)
            os.kill(server, signal.SIGKILL)
        with uvicorn(running, port):
            while events[-1]["event"] != "end":
                events += listen(url, token, events[-1]["id"], 6)

        said = [f"say{number}" for number in range(STEPS)]
        assert lines_of(events) == said
        assert set(nodes_of(events).values()) == {"completed"}
        assert len(nodes_of(events)) == 2 * STEPS
        assert events[-1]["data"]["status"] == "completed"
