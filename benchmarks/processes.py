"""What processes hold: memory, threads, files; read from /proc, so on Linux alone."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 2**20


@dataclass(frozen=True)
class Held:
    """What one process and all below it hold.

    Attributes:
        rss_mb: Resident memory of the process itself.
        tree_mb: Of it and its children, shared pages counted once (PSS).
        cpu_seconds: Used so far by those that live.
    """

    rss_mb: float
    tree_mb: float
    threads: int
    files: int
    cpu_seconds: float


def held(pid: int) -> Held:
    """Return what a process and its children hold now."""
    tree = [pid, *_below(pid)]
    return Held(
        rss_mb=_status(pid, "VmRSS") / 1024,
        tree_mb=sum(_pss(one) for one in tree) / 1024,
        threads=sum(_status(one, "Threads") for one in tree),
        files=sum(_files(one) for one in tree),
        cpu_seconds=sum(cpu_seconds(one) for one in tree),
    )


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, 0 if it is gone."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def parent(pid: int) -> int:
    """Return the process that has started another one; 0 if that is gone."""
    return _status(pid, "PPid")


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that live."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _below(pid: int) -> list[int]:
    near = children(pid)
    return [*near, *(one for child in near for one in _below(child))]


def _status(pid: int, key: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1])
    return 0


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def _files(pid: int) -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0
