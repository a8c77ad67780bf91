"""Node types whose fate is drawn from the seed in their input, and which record what they did.

A body fails for good, raises or succeeds by its round: the first rounds as its seed says, the
later ones well, so that what fails may be retried.  What it answers does not depend on when or
where it runs; only how often it runs does.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any
from uuid import uuid4

from django.db import connection

from spane_django.core.outcome import Failure, Result
from spane_django.core.retry import Backoff, Retry
from spane_django.nodes.base import Context, node

from .record import note

# Three quick attempts, by the policy of the types.
RETRY = Retry(attempts=3, backoff=Backoff.FIXED, base=timedelta(milliseconds=150))
RECORDED = frozenset(
    {"chaos-work", "chaos-async", "chaos-slow", "chaos-effect", "chaos-late", "chaos-turn"}
)
LATE_SECONDS = 0.4


def _sleep(seconds: Any) -> None:
    threading.Event().wait(seconds)


if "FAKETIME" in os.environ:
    # libfaketime refuses the sleep that Python asks for; waiting for what never comes it allows.
    time.sleep = _sleep


class ChaosError(Exception):
    """Raised by a body whose fate says so; its policy tries again."""


@dataclass
class Fate:
    """How the body of a node behaves.

    Attributes:
        fails: The share of nodes that answer a failure in their first rounds.
        raises: The share that raise in their first rounds.
        chooses: Whether some choose among their children.
        children: Whom they choose among.
        ms: The longest that it takes.
    """

    fails: float = 0.0
    raises: float = 0.0
    chooses: bool = False
    children: list[str] = field(default_factory=list)
    ms: float = 5.0


@node("chaos-work", config=Fate, retry=RETRY)
def work(ctx: Context) -> Any:
    """Work for a moment on a thread."""
    return _recorded(ctx, lambda random: time.sleep(random.random() * ctx.config.ms / 1_000))


@node("chaos-slow", config=Fate, retry=RETRY)
def slow(ctx: Context) -> Any:
    """Work for long, and stop early when nobody wants the answer."""

    def sleep(random: Random) -> None:
        until = time.monotonic() + 0.2 + random.random() * 1.5
        while time.monotonic() < until and not ctx.cancelled:
            time.sleep(0.02)

    return _recorded(ctx, sleep)


@node("chaos-late", config=Fate, retry=RETRY, timeout=LATE_SECONDS)
def late(ctx: Context) -> Any:
    """Outrun the timeout now and then."""
    seconds = (0.0, 0.0, 0.0, 2.5 * LATE_SECONDS)

    def sleep(random: Random) -> None:
        until = time.monotonic() + random.choice(seconds)
        while time.monotonic() < until:
            time.sleep(0.01)

    return _recorded(ctx, sleep)


@node("chaos-effect", config=Fate, retry=RETRY, transactional=True)
def effect(ctx: Context) -> Any:
    """Write a row that is there if and only if the result is."""

    def write(random: Random) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO chaos_effect (execution_id, node_id, attempt) VALUES (%s, %s, %s)",
                [ctx.execution_id, ctx.node_id, ctx.attempt],
            )

    return _recorded(ctx, write)


@node("chaos-async", config=Fate, retry=RETRY)
async def asynchronous(ctx: Context) -> Any:
    """Wait on the event loop."""
    run, random = _begin(ctx)
    await asyncio.sleep(random.random() * 0.2)
    return _answer(ctx, run, random)


@node("chaos-turn", config=Fate, retry=RETRY)
def turn(ctx: Context) -> Any:
    """Go round in a loop until it has been round three times."""
    run, _ = _begin(ctx)
    turns = (ctx.input.get("turns", 0) if isinstance(ctx.input, dict) else 0) + 1
    note(run=run, answer="ok", chosen=None)
    return {"run": run, "seed": _seed(ctx), "turns": turns, "done": turns >= 3}


def _recorded(ctx: Context, do: Callable[[Random], None]) -> Any:
    run, random = _begin(ctx)
    do(random)
    return _answer(ctx, run, random)


def _begin(ctx: Context) -> tuple[str, Random]:
    run = uuid4().hex
    note(
        run=run,
        execution=str(ctx.execution_id),
        node=ctx.node_id,
        attempt=ctx.attempt,
        pid=os.getpid(),
        parents=sorted(ctx.input) if isinstance(ctx.input, dict) else [],
    )
    return run, Random(f"{_seed(ctx)}/{ctx.node_id}")


def _answer(ctx: Context, run: str, random: Random) -> Result | Failure:
    fate, luck, rounds = ctx.config, random.random(), random.randint(1, 4)
    is_unlucky = ctx.round <= rounds
    if is_unlucky and luck < fate.fails:
        note(run=run, answer="fail", chosen=None)
        return Result.failure("the seed says so", type="ChaosFailure")
    if is_unlucky and luck < fate.fails + fate.raises:
        note(run=run, answer="raise", chosen=None)
        raise ChaosError("the seed says so")
    chosen = None
    if fate.chooses and fate.children and random.random() < 0.5:
        chosen = [child for child in fate.children if random.random() < 0.5]
    note(run=run, answer="ok", chosen=chosen)
    return Result({"run": run, "seed": _seed(ctx), "flag": random.random() < 0.5}, chosen)


def _seed(ctx: Context) -> Any:
    """Find the execution's seed in what the parents have handed on."""
    return _found(ctx.input)


def _found(data: Any) -> Any:
    if isinstance(data, dict):
        for key in ("seed", "shared"):
            if key in data:
                return data[key]
        return next((seed for part in data.values() if (seed := _found(part)) is not None), None)
    if isinstance(data, list):
        return next((seed for part in data if (seed := _found(part)) is not None), None)
    return None
