"""DBOS: workflows as Python functions whose steps are recorded in PostgreSQL.

Two processes, each with an executor and a database pool of its own, start and run half of the
workflows each, which spares the queue; steps are coroutines on an event loop, so that many
workflows wait for the database at once.  See `protocol` for how it is asked.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from typing import Any

from dbos import DBOS
from protocol import Asked, answer, asked, measure

PROCESSES = 2
POOL = 10
IN_FLIGHT = 10
SETTINGS = (
    f"{PROCESSES} processes that start and run their own workflows, coroutines, "
    f"{IN_FLIGHT} in flight and {POOL} connections each"
)


@DBOS.step()
async def nothing() -> dict[str, int]:
    return {"n": 1}


@DBOS.workflow()
async def chain(length: int) -> None:
    for _ in range(length):
        await nothing()


@DBOS.workflow()
async def fan(width: int) -> None:
    await nothing()
    await asyncio.gather(*[nothing() for _ in range(width)])
    await nothing()


def main() -> None:
    wanted = asked()
    count = min(PROCESSES, wanted.executions if wanted.shape != "single" else 1)
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(count)]
    processes = [
        context.Process(target=_serve, args=(number, pipe[1]), daemon=True)
        for number, pipe in enumerate(pipes)
    ]
    # One after the other: the first makes the tables.
    for process, (pipe, _) in zip(processes, pipes, strict=True):
        process.start()
        pipe.recv()
    ends = [pipe for pipe, _ in pipes]
    answer(measure(wanted, lambda part: _run(ends, part)), SETTINGS)
    for process in processes:
        process.terminate()


def _run(pipes: list[Any], wanted: Asked) -> float:
    """Let each process run its part; return the seconds until the last has ended."""
    began = time.perf_counter()
    for number, pipe in enumerate(pipes):
        part = wanted.executions // len(pipes) + (number < wanted.executions % len(pipes))
        pipe.send((wanted.shape, part, wanted.size))
    took = [pipe.recv() for pipe in pipes]
    # Of one execution alone: without the way through the pipe.
    return max(took) if wanted.executions == 1 else time.perf_counter() - began


def _serve(number: int, pipe: Any) -> None:
    DBOS(
        config={
            "name": "benchmark",
            "system_database_url": os.environ["DATABASE_URL"],
            "sys_db_pool_size": POOL,
            "executor_id": f"executor-{number}",
            "application_version": "1",
            "log_level": "ERROR",
            "enable_otlp": False,
        }
    )
    asyncio.run(_answer(pipe))


async def _answer(pipe: Any) -> None:
    DBOS.launch()
    pipe.send("ready")
    while True:
        shape, executions, size = await asyncio.to_thread(pipe.recv)
        workflow = fan if shape == "fan" else chain
        limit = asyncio.Semaphore(IN_FLIGHT)
        began = time.perf_counter()
        await asyncio.gather(*[_one(limit, workflow, size) for _ in range(executions)])
        pipe.send(time.perf_counter() - began)


async def _one(limit: asyncio.Semaphore, workflow: Any, size: int) -> None:
    async with limit:
        handle = await DBOS.start_workflow_async(workflow, size)
        await handle.get_result()


if __name__ == "__main__":
    main()
