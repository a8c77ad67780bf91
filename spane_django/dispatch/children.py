"""Child processes that do not outlive their parent, and a supervisor for a handful of them.

:func:`spawn` starts a child that is told to stop as soon as its parent is gone, however the
parent went, ``kill -9`` included.  On Linux the kernel sees to it (``PR_SET_PDEATHSIG``);
elsewhere a small watcher beside the child looks for both of them twice a second.

The rules:

* a child has its own session, so that Ctrl-C in the terminal reaches the parent alone, which
  stops its children in the order it chooses;
* a child is asked to stop first and killed, with all of its session, only after a grace;
* a supervised child that ends is started again, after a wait that doubles while it keeps ending.

What the children are, and in which order they start, is the caller's business.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

KERNEL_WATCHES = sys.platform == "linux"
GRACE = 10.0  # seconds; a worker that needs longer to finish its nodes is given longer
FIRST_BACKOFF = 0.5  # seconds
LONGEST_BACKOFF = 30.0  # seconds; a child that lived longer starts from the first again
POLL_INTERVAL = 0.2  # seconds

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_LIBC = ctypes.CDLL(None)

# The watcher ends with whichever of the two ends first; killing a child that is gone does nothing.
_WATCH = """
(while kill -0 "$1" && kill -0 "$2"; do sleep 0.5; done; kill -s "$3" "$2") 2>/dev/null &
"""


def spawn(
    args: Sequence[str | Path],
    *,
    death_signal: signal.Signals = signal.SIGTERM,
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Start a child that gets ``death_signal`` when its parent dies.

    Call it from a thread that lives as long as the child may: the kernel takes the end of the
    *thread* that started a child for the death of its parent.

    Args:
        args: The command.
        death_signal: What the child is sent; a PostgreSQL server, which waits for its clients
            on SIGTERM, wants SIGINT.
        options: Passed on to :class:`subprocess.Popen`, hence untyped; ``stdin`` is closed
            unless given.

    See: prctl(2), PR_SET_PDEATHSIG.
    """
    options.setdefault("stdin", subprocess.DEVNULL)
    if KERNEL_WATCHES:
        options["preexec_fn"] = partial(_die_with, os.getpid(), death_signal)
    child = subprocess.Popen(args, start_new_session=True, **options)  # noqa: S603 - the caller's own command
    if not KERNEL_WATCHES:
        _watch(child.pid, death_signal)
    return child


def stop(
    child: subprocess.Popen[bytes],
    *,
    with_signal: signal.Signals = signal.SIGTERM,
    grace: float = GRACE,
    is_urgent: Callable[[], bool] = lambda: False,
) -> int:
    """Ask ``child`` to stop, kill its session after ``grace`` seconds, return its exit code.

    Args:
        is_urgent: Ends the grace once it says so.
    """
    if child.poll() is None:
        child.send_signal(with_signal)
    deadline = time.monotonic() + grace
    while (left := deadline - time.monotonic()) > 0 and not is_urgent():
        with suppress(subprocess.TimeoutExpired):
            return child.wait(min(left, POLL_INTERVAL))
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    return child.wait()


class Children:
    """Named children, started in order, restarted when they end, stopped in reverse order.

    In its ``with`` block, which only the main thread may enter, SIGTERM and SIGINT do nothing
    but end :meth:`run`; they do not interrupt a start halfway.
    """

    def __init__(self, *, grace: float = GRACE) -> None:
        self._children: dict[str, _Child] = {}
        self._grace = grace
        self._received: list[int] = []
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Children:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._handlers[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def start(self, name: str, args: Sequence[str | Path], **options: Any) -> None:
        """Start ``args`` under ``name``, with the options of :func:`spawn`."""
        self._children[name] = _Child(partial(spawn, args, **options))

    def pid(self, name: str) -> int:
        """Return the process id of a child, which changes when it is restarted."""
        return self._children[name].process.pid

    def code(self, name: str) -> int | None:
        """Return the exit code of a child; None while it runs."""
        return self._children[name].process.poll()

    def run(
        self, on_end: Callable[[str, int], None], until: Callable[[], bool] = lambda: False
    ) -> None:
        """Keep the children running until SIGTERM or SIGINT.

        Args:
            on_end: Told the name and exit code of each child that ended by itself.
            until: Asked several times a second; ends it as well once it says so.
        """
        while not self._received and not until():
            for name, code in self.poll():
                on_end(name, code)
            time.sleep(POLL_INTERVAL)

    def poll(self) -> list[tuple[str, int]]:
        """Restart what is due and return the name and exit code of each child found ended."""
        now = time.monotonic()
        looks = [(name, child.look(now)) for name, child in self._children.items()]
        return [(name, code) for name, code in looks if code is not None]

    def stop(self) -> None:
        """Stop them all, the last started first.

        Each has the whole grace, unless a second signal arrives: then nobody has any.
        """
        for child in reversed(self._children.values()):
            stop(child.process, grace=self._grace, is_urgent=lambda: len(self._received) > 1)
        self._children.clear()

    def _receive(self, number: int, _frame: object) -> None:
        self._received.append(number)


@dataclass
class _Child:
    """One supervised child: how to start it, and when to start it again.

    Attributes:
        started_at: On the monotonic clock.
        restart_at: On the monotonic clock; None while the child runs.
    """

    begin: Callable[[], subprocess.Popen[bytes]]
    process: subprocess.Popen[bytes] = field(init=False)
    started_at: float = field(init=False)
    backoff: float = FIRST_BACKOFF
    restart_at: float | None = None

    def __post_init__(self) -> None:
        self._start()

    def look(self, now: float) -> int | None:
        """Return the exit code if the child has ended since the last look; restart it if due."""
        if self.restart_at is None:
            code = self.process.poll()
            if code is not None:
                lived = now - self.started_at
                self.backoff = FIRST_BACKOFF if lived > LONGEST_BACKOFF else self.backoff
                self.restart_at = now + self.backoff
            return code
        if now >= self.restart_at:
            self.backoff = min(self.backoff * 2, LONGEST_BACKOFF)
            self._start()
        return None

    def _start(self) -> None:
        self.process = self.begin()
        self.started_at = time.monotonic()
        self.restart_at = None


def _die_with(parent: int, death_signal: int) -> None:
    # Runs in the child between fork and exec, after a change of user, which would undo it.
    _LIBC.prctl(_PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent:  # the parent died before the call: no signal will come
        os._exit(1)


def _watch(pid: int, death_signal: signal.Signals) -> None:
    subprocess.run(  # noqa: S603 - a constant script
        ["/bin/sh", "-c", _WATCH, "watch", str(os.getpid()), str(pid), death_signal.name[3:]],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
