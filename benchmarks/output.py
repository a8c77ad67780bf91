"""What benchmarks print: JSON lines on standard output, a progress bar on standard error.

The first line of a run tells of the machine, each further one is a figure: what was measured,
its value and unit, and, where there is one, the baseline of the same run and the ratio to it.
Lines of several benchmarks may be put together: each names its own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

BENCHMARK = Path(sys.argv[0]).stem


def parser(doc: str, *, repetitions: int = 0) -> argparse.ArgumentParser:
    """Return a parser whose help is the docstring of the benchmark.

    Args:
        repetitions: The default of ``--repetitions``; 0: it repeats nothing.
    """
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if repetitions:
        made.add_argument(
            "--repetitions", type=int, default=repetitions, metavar="N",
            help=f"each figure is the median of so many; {repetitions}",
        )  # fmt: skip
    return made


def say(name: str, value: float, unit: str, *, baseline: float | None = None, **more: Any) -> None:
    """Print a figure.

    Args:
        baseline: What the ratio is to, in the same unit, from the same run.
        more: What else belongs to it, such as the samples and the scale.
    """
    line = {"benchmark": BENCHMARK, "name": name, "value": _short(value), "unit": unit}
    if baseline:
        line |= {"baseline": _short(baseline), "ratio": _short(value / baseline)}
    print(json.dumps(line | {key: _short(item) for key, item in more.items()}), flush=True)


def say_machine(**more: Any) -> None:
    """Print where and when: what figures mean nothing without."""
    line = {
        "benchmark": BENCHMARK,
        "name": "machine",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "python": platform.python_version(),
        # Above the number of cores something else was running: such figures prove little.
        "load_before": round(os.getloadavg()[0], 2),
    }
    print(json.dumps(line | more), flush=True)


@contextlib.contextmanager
def progress(total: int) -> Iterator[Callable[[str], None]]:
    """Show a bar; yield what says which step comes next, and that the one before is done."""
    columns = (TextColumn("{task.description:<32}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(BENCHMARK, total=total)
        is_begun = False

        def step(what: str) -> None:
            nonlocal is_begun
            bar.update(task, description=what, advance=int(is_begun))
            is_begun = True

        yield step
        bar.update(task, completed=total, description=BENCHMARK)


def _short(value: Any) -> Any:
    if isinstance(value, list):
        return [_short(item) for item in value]
    return round(value, 3) if isinstance(value, float) else value


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
