"""What the demo shows in the terminal while its executions run, and at their end.

:meth:`Screen.look` may be called as often as one likes: it reads the database twice a second at
most, as a reader that asks all the time would only slow the workers down.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping
from types import TracebackType
from uuid import UUID

from django.utils.timezone import now
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from .outcome import Outcome, read
from .traffic import Scene

_READ_SECONDS = 0.5
_RATE_READS = 7  # the rate shown is that of the last three seconds
_COLUMNS = {"completed": "green", "failed": "red", "running": "cyan", "cancelled": "magenta"}


class Screen:
    """A live view of executions; a context manager that draws while it is open."""

    def __init__(self, started: Mapping[UUID, Scene], console: Console) -> None:
        self._started = started
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._history: deque[tuple[float, int]] = deque(maxlen=_RATE_READS)
        self._next_read = 0.0
        self.outcome = read(started, now=now())

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def look(self) -> bool:
        """Read and draw if it is time to, and return whether all executions have ended."""
        if time.monotonic() >= self._next_read:
            self.outcome = read(self._started, now=now())
            self._next_read = time.monotonic() + _READ_SECONDS
            self._history.append((time.monotonic(), self.outcome.nodes))
            self._live.update(self._view(), refresh=True)
        return self.outcome.ended == len(self._started)

    def _view(self) -> RenderableType:
        ended, started = self.outcome.ended, len(self._started)
        line = Table.grid(padding=(0, 2))
        line.add_row(
            ProgressBar(total=started, completed=ended, width=40),
            f"{ended}/{started} executions",
            f"{self.outcome.nodes} nodes",
            f"{self._rate():,.0f} nodes/s",
            f"{self.outcome.seconds:.1f} s",
        )
        return Group(table(self._started, self.outcome), line)

    def _rate(self) -> float:
        (begin, before), (end, after) = self._history[0], self._history[-1]
        return (after - before) / (end - begin) if end > begin else self.outcome.nodes_per_second


def table(started: Mapping[UUID, Scene], outcome: Outcome) -> Table:
    """Return the outcome as a table: a row per workflow, with what was expected of it."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("workflow", "expected to be", "started"):
        shown.add_column(column, no_wrap=True)
    for status, colour in _COLUMNS.items():
        shown.add_column(status, style=colour, justify="right")
    scenes = {scene.workflow.id: scene for scene in started.values()}
    for workflow, scene in scenes.items():
        counts = outcome.statuses.get(workflow, Counter())
        shown.add_row(
            scene.workflow.name,
            scene.ends.value,
            str(sum(counts.values())),
            *(str(counts.get(status, 0) or "") for status in _COLUMNS),
        )
    return shown
