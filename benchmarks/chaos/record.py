"""What nodes' bodies did, in a file that only grows: the word of those who did it.

Each run of a body writes a line when it begins and another when it is about to answer.  A line is
one ``write`` to a file opened for appending, so that processes do not tear each other's lines and
a killed one loses nothing that it wrote.  Times are of the machine's monotonic clock, which no
skewed worker sees differently.
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

VARIABLE = "CHAOS_RECORD"


@dataclass(slots=True)
class Body:
    """One run of a node's body.

    Attributes:
        answer: ``ok``, ``fail`` (for good) or ``raise``; "": it never came to an answer.
        chosen: The children that it chose; None: all.
        parents: The keys of its input.
        seconds: How long it took to come to its answer.
    """

    id: str
    execution_id: str
    node_id: str
    attempt: int
    pid: int
    began: float
    parents: list[str] = field(default_factory=list)
    answer: str = ""
    chosen: list[str] | None = None
    seconds: float = 0.0


def note(**line: Any) -> None:
    """Append a line."""
    text = json.dumps({"at": time.monotonic(), **line}, separators=(",", ":"))
    os.write(_file(os.getpid()), text.encode() + b"\n")


def read(path: Path) -> dict[tuple[str, str], list[Body]]:
    """Return every run by execution and node, in the order of their beginnings."""
    runs: dict[str, Body] = {}
    for text in path.read_text().splitlines():
        line = json.loads(text)
        if "answer" in line:
            run = runs[line["run"]]
            run.answer, run.chosen = line["answer"], line["chosen"]
            run.seconds = line["at"] - run.began
        else:
            runs[line["run"]] = _begun(line)
    found: dict[tuple[str, str], list[Body]] = defaultdict(list)
    for run in runs.values():
        found[run.execution_id, run.node_id].append(run)
    return found


def answered(runs: Sequence[Body], run_id: object) -> Body | None:
    """Return the run of that id."""
    return next((run for run in runs if run.id == run_id), None)


def _begun(line: dict[str, Any]) -> Body:
    return Body(
        id=line["run"],
        execution_id=line["execution"],
        node_id=line["node"],
        attempt=line["attempt"],
        pid=line["pid"],
        began=line["at"],
        parents=line["parents"],
    )


# By process: lines of a fork go through a file of its own.
@lru_cache(maxsize=1)
def _file(pid: int) -> int:
    return os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
