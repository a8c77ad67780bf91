"""The output of several child processes in one terminal, each line with the name of its child."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TextIO

_COLOURS = ("36", "33", "32", "35", "34", "31")  # cyan, yellow, green, magenta, blue, red
_LONGEST_WAIT = 2.0  # seconds; a grandchild may keep its end of a pipe open


class Relay:
    """Copies what children write to one stream, a whole line at a time.

    Args:
        is_coloured: Whether names have the colours of a terminal.
        width: What names are filled up to.
    """

    def __init__(self, stream: TextIO, *, is_coloured: bool = False, width: int = 10) -> None:
        self._stream = stream
        self._is_coloured = is_coloured
        self._width = width
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._ends: dict[str, int] = {}

    def end(self, name: str) -> int:
        """Return the file descriptor that a child writes to, the same when it is restarted."""
        if name not in self._ends:
            reading, self._ends[name] = os.pipe()
            prefix = self._prefix(name)
            thread = threading.Thread(target=self._copy, args=(reading, prefix), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self._ends[name]

    def say(self, name: str, line: str) -> None:
        """Write a line on behalf of ``name``."""
        self._write(f"{self._prefix(name)}{line}\n")

    def close(self) -> None:
        """Copy what the children have still written, then end."""
        for end in self._ends.values():
            os.close(end)
        for thread in self._threads:
            thread.join(_LONGEST_WAIT)
        self._ends.clear()
        self._threads.clear()

    def _copy(self, reading: int, prefix: str) -> None:
        with os.fdopen(reading, errors="replace") as lines:
            for line in lines:
                self._write(prefix + line.rstrip("\n") + "\n")

    def _write(self, text: str) -> None:
        # A terminal that has been closed must not stop the children: they are still read.
        with self._lock, suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()

    def _prefix(self, name: str) -> str:
        padded = f"{name:<{self._width}} | "
        if not self._is_coloured:
            return padded
        colour = _COLOURS[sum(name.encode()) % len(_COLOURS)]
        return f"\x1b[{colour}m{padded}\x1b[0m"
