"""Prefect: flows whose task runs are reported to a server, here one of our own on this machine.

One flow run per execution, its tasks called in its own thread (which spares the pool) or, where
they fan out, submitted to a thread pool; flow runs take turns in two processes.  The server has
no UI and no schedules, analytics and the shipping of logs are off.  See `protocol` for how it is
asked.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from typing import Any

from protocol import Asked, answer, asked, measure

PROCESSES = 2
THREADS = 8
SETTINGS = (
    f"{PROCESSES} processes that run flows against one server (SQLite in WAL mode), "
    f"{THREADS} threads where tasks fan out, no logs shipped"
)
QUIET = {
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    "DO_NOT_TRACK": "1",
}


def main() -> None:
    wanted = asked()
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(QUIET, PREFECT_HOME=home)
        port = _free_port()
        os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "prefect", "server", "start", "--no-ui"),
                *("--host", "127.0.0.1", "--port", str(port)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _await(f"{os.environ['PREFECT_API_URL']}/health")
            answer(_measured(wanted), SETTINGS)
        finally:
            server.terminate()
            server.wait(30)


def _measured(wanted: Asked) -> list[float]:
    count = min(PROCESSES, wanted.executions if wanted.shape != "single" else 1)
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(count)]
    processes = [context.Process(target=_serve, args=(pipe[1],), daemon=True) for pipe in pipes]
    for process in processes:
        process.start()
    ends = [pipe for pipe, _ in pipes]
    try:
        return measure(wanted, lambda part: _run(ends, part))
    finally:
        for process in processes:
            process.terminate()
            process.join(10)


def _run(pipes: list[Any], wanted: Asked) -> float:
    began = time.perf_counter()
    for number, pipe in enumerate(pipes):
        part = wanted.executions // len(pipes) + (number < wanted.executions % len(pipes))
        pipe.send((wanted.shape, part, wanted.size))
    for pipe in pipes:
        pipe.recv()
    return time.perf_counter() - began


def _serve(pipe: Any) -> None:
    from prefect import flow, task
    from prefect.task_runners import ThreadPoolTaskRunner

    @task
    def nothing(_: Any = None) -> int:
        return 1

    @flow
    def chain(length: int) -> None:
        for _ in range(length):
            nothing()

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=THREADS))
    def fan(width: int) -> None:
        first = nothing()
        middle = [nothing.submit(first) for _ in range(width)]
        nothing([one.result() for one in middle])

    while True:
        shape, executions, size = pipe.recv()
        for _ in range(executions):
            (fan if shape == "fan" else chain)(size)
        pipe.send("done")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(url: str) -> None:
    give_up = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.2)


if __name__ == "__main__":
    main()
