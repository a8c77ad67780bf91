"""The stage of the examples: Django, a database, a Redis and a worker, all of it for a moment.

An example is one file: node types, workflows and a story, which :func:`play` tells.  Importing
this module sets Django up, so an example imports it first.  The worker is a real one, a process
that runs `rqworker`; it runs the example's own file (``python dlq.py worker``), and so knows the
node types that are defined there.  Everything is in a temporary directory and ends with the story.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

IS_WORKER = sys.argv[1:] == ["worker"]


def _set_up() -> Path:
    if not IS_WORKER:
        os.environ["SPANE_DATA_DIR"] = tempfile.mkdtemp(prefix="spane-example-")
    for chosen in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(chosen, None)
    os.environ["DJANGO_SETTINGS_MODULE"] = "demo_project.settings"
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    import django

    django.setup()
    return Path(os.environ["SPANE_DATA_DIR"])


DIRECTORY = _set_up()

from django.core.management import call_command  # noqa: E402
from rich.console import Console  # noqa: E402

from spane_django.core.json import encode  # noqa: E402
from spane_django.dispatch import children, embedded  # noqa: E402
from spane_django.models import Execution  # noqa: E402

_POLL_SECONDS = 0.02
_failed: list[str] = []
_console = Console(highlight=False, markup=False, soft_wrap=True)


def play(story: Callable[[], None]) -> None:
    """Tell a story with a worker at hand; the exit code says whether all of it came true."""
    if IS_WORKER:
        call_command("rqworker", "spane", verbosity=0)
        return
    try:
        call_command("migrate", verbosity=0)
        with embedded.start(DIRECTORY), _worker():
            story()
    finally:
        shutil.rmtree(DIRECTORY)
    tell("Everything went as expected." if not _failed else f"Not as expected: {_failed}")
    sys.exit(1 if _failed else 0)


def title(text: str) -> None:
    """Begin a part of the story."""
    _console.print(f"\n{text}\n{'-' * len(text)}", style="bold")


def tell(text: str) -> None:
    """Say what happens."""
    _console.print(text)


def expect(sentence: str, *, holds: bool) -> None:
    """Say what is so, or that it is not."""
    _console.print(f"  {'yes' if holds else 'NO '}  {sentence}", style="green" if holds else "red")
    if not holds:
        _failed.append(sentence)


def until(holds: Callable[[], bool], what: str, *, seconds: float = 30.0) -> None:
    """Wait until something holds.

    Raises:
        TimeoutError: it does not, after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s in vain for this: {what}")
        time.sleep(_POLL_SECONDS)


def show(execution: Execution) -> None:
    """List what has become of an execution and of each node that it has come to."""
    execution.refresh_from_db()
    tell(f"  execution {execution.status}")
    for run in execution.node_runs.order_by("id"):
        said = run.error_message or run.reason or (encode(run.output) if run.output else "")
        tell(f"    {run.node_id:<16} {run.status:<10} attempt {run.attempt}  {said[:90]}")


def statuses(execution: Execution) -> dict[str, str]:
    """Return the status of each node that the execution has come to."""
    return dict(execution.node_runs.values_list("node_id", "status"))


@contextmanager
def _worker() -> Iterator[None]:
    log = DIRECTORY / "worker.log"
    with log.open("wb") as output:
        command = [sys.executable, sys.argv[0], "worker"]
        worker = children.spawn(command, stdout=output, stderr=output)
    try:
        yield
    except BaseException:
        tell(f"The worker's log ends:\n{log.read_text(errors='replace')[-2000:]}")
        raise
    finally:
        children.stop(worker)
