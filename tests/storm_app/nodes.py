"""Nodes that take a little while, and nodes that behave badly."""

import ctypes
import hashlib
import os
import sys
import time

from django.db import connection

from spane_django.nodes.base import Context, node


@node("storm-work")
def work(ctx: Context) -> dict[str, object]:
    """Compute for some milliseconds and note that it ran."""
    until = time.monotonic() + 0.01
    digest = str(ctx.execution_id).encode()
    while time.monotonic() < until:
        digest = hashlib.sha256(digest).digest()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO storm_app_run (execution_id, node_id) VALUES (%s, %s)",
            [ctx.execution_id, ctx.node_id],
        )
    return {"node": ctx.node_id, "seen": sorted(ctx.input) if ctx.input else []}


@node("hangs-in-python", timeout=0.5)
def hangs_in_python(ctx: Context) -> None:
    """Loop for ever; an exception raised in its thread ends it."""
    while True:
        time.sleep(0.01)


@node("hangs-in-c", timeout=0.5)
def hangs_in_c(ctx: Context) -> None:
    """Sleep in one call of C, which nothing but the end of the process interrupts."""
    time.sleep(600)


@node("holds-the-interpreter")
def holds_the_interpreter(ctx: Context) -> None:
    """Sleep in C without letting go of the interpreter: no thread of the process goes on."""
    ctypes.PyDLL(None).sleep(600)


@node("exits-the-process")
def exits_the_process(ctx: Context) -> None:
    """Take the process down without a word."""
    os._exit(3)


@node("asks-to-exit")
def asks_to_exit(ctx: Context) -> None:
    """Raise SystemExit."""
    sys.exit(4)


@node("raises")
def raises(ctx: Context) -> None:
    """Raise an exception."""
    raise ValueError("no such luck")


@node("returns-a-set")
def returns_a_set(ctx: Context) -> object:
    """Answer what is no JSON."""
    return {"tags": {1, 2}}


@node("returns-nul")
def returns_nul(ctx: Context) -> object:
    """Answer what PostgreSQL cannot store."""
    return "a\x00b"


@node("returns-too-much")
def returns_too_much(ctx: Context) -> object:
    """Answer more than the limit."""
    return "x" * 40_000_000


@node("reads-asynchronously")
async def reads_asynchronously(ctx: Context) -> dict[str, object]:
    """Ask for everything that has to be read, from the event loop."""
    return {
        "config": ctx.config["said"],
        "initial": ctx.initial_data,
        "first": ctx.previous_results["first"]["node"],
        "all": sorted(ctx.previous_results),
        "count": len(ctx.previous_results),
    }
