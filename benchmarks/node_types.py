"""The node types that benchmarks run; :func:`register` makes them known to this process."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

NOTHING = "benchmark-nothing"
ECHO = "benchmark-echo"
SLOW = "benchmark-slow"
WAITING = "benchmark-waiting"
FLAKY = "benchmark-flaky"
SLOW_SECONDS = 0.01
WAITING_SECONDS = 0.1


def register() -> None:
    """Register them: after Django has been set up, before anything is published."""
    from spane_django.nodes.base import node

    node(NOTHING)(_nothing)
    node(ECHO)(_echo)
    node(SLOW)(_slow)
    node(WAITING)(_waiting)
    node(FLAKY, retry=_soon())(_flaky)


def _soon() -> Any:
    from spane_django import Retry

    return Retry(attempts=3, base=timedelta(milliseconds=200))


def _nothing(ctx: Any) -> dict[str, int]:
    return {"n": 1}


def _echo(ctx: Any) -> Any:
    return ctx.input


def _slow(ctx: Any) -> dict[str, int]:
    time.sleep(SLOW_SECONDS)
    return {"n": 1}


async def _waiting(ctx: Any) -> dict[str, int]:
    await asyncio.sleep(WAITING_SECONDS)
    return {"n": 1}


def _flaky(ctx: Any) -> dict[str, int]:
    if ctx.attempt == 1:
        raise RuntimeError("the first attempt always fails")
    return {"n": ctx.attempt}
