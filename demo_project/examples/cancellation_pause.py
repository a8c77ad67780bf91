"""Pause, resume and cancel executions while their nodes run, and give up what takes too long.

What to see: a pause lets the node in flight finish and starts nothing new; a resume goes on where
it was; a cancel takes effect at once, and the node's code learns of it; an attempt that outruns
its timeout is given up.

    python demo_project/examples/cancellation_pause.py
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from _stage import DIRECTORY, expect, play, show, statuses, tell, title, until

from spane_django import Context, Retry, Workflow, cancel, node, pause, resume, wait_for
from spane_django.models import DeadLetter, Execution

LINKS = 10


@node("derive-key", config={"type": "object", "properties": {"rounds": {"type": "integer"}}})
def derive_key(ctx: Context) -> Any:
    """Stretch a password: some tenths of a second of work."""
    password = str(ctx.input).encode()
    key = hashlib.pbkdf2_hmac("sha256", password, b"example", ctx.config["rounds"])
    return {"key": key.hex()}


@node("search", retry=Retry(attempts=1))
def search(ctx: Context) -> Any:
    """Look for a hash that nobody will find, with a file of notes that must not stay behind."""
    with tempfile.NamedTemporaryFile(dir=DIRECTORY, prefix="notes-") as notes:
        number = 0
        while not ctx.cancelled:
            number += 1
            digest = hashlib.sha256(str(number).encode()).hexdigest()
            if digest.startswith("0" * 32):
                return {"found": number}
            if number % 100_000 == 0:
                notes.write(f"{number}\n".encode())
    return {"gaveUpAt": number}


def story() -> None:
    pausing()
    cancelling()
    timing_out()


def pausing() -> None:
    title("Pause and resume")
    flow = Workflow("key-stretching")
    steps = [
        flow.add(f"round-{place:02}", derive_key, {"rounds": 500_000}) for place in range(LINKS)
    ]
    for before, after in pairwise(steps):
        before >> after

    execution = flow.start("a password")
    until(lambda: count(execution, "completed") >= 2, "two nodes have completed")
    paused = pause(execution, reason="the machine is needed for something else")
    tell(f"  paused: {paused.reason}")
    until(lambda: not count(execution, "running"), "the node in flight has finished")
    done = count(execution, "completed")
    time.sleep(1)
    show(execution)
    expect("the execution is paused", holds=execution.status == "paused")
    expect("nothing new starts", holds=count(execution, "completed") == done < LINKS)

    resume(execution)
    execution = wait_for(execution)
    tell(f"  after the resume: {execution.status}")
    expect("the execution completes", holds=execution.status == "completed")
    expect("every node ran", holds=count(execution, "completed") == LINKS)


def cancelling() -> None:
    title("Cancel, while a node is running")
    flow = Workflow("endless-search")
    flow.add("search", search) >> flow.add("celebrate", "log", {"message": "found it"})

    execution = flow.start()
    until(lambda: bool(notes()), "the search has begun")
    cancel(execution, reason="nobody waits for it any more")
    show(execution)
    expect("the execution is cancelled at once", holds=execution.status == "cancelled")
    expect("what would have followed never runs", holds="celebrate" not in ran(execution))
    until(lambda: not notes(), "the node has learned of it and tidied up")
    expect("the node saw ctx.cancelled and removed its notes", holds=not notes())


def timing_out() -> None:
    title("A node that takes too long")
    flow = Workflow("hurried-search")
    flow.add("search", search, timeout=0.5)

    execution = wait_for(flow.start())
    show(execution)
    letter = DeadLetter.objects.get(execution=execution)
    expect("the execution has failed", holds=execution.status == "failed")
    expect("the dead letter says why", holds=letter.error_type == "NodeTimeout")


def count(execution: Execution, status: str) -> int:
    return execution.node_runs.filter(status=status).count()


def ran(execution: Execution) -> set[str]:
    return {node_id for node_id, status in statuses(execution).items() if status == "completed"}


def notes() -> list[Path]:
    return list(DIRECTORY.glob("notes-*"))


if __name__ == "__main__":
    play(story)
