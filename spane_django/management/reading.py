"""Definitions from wherever they are: files, directories, standard input, the project's Python."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..authoring import workflows
from ..core.references import written_out
from ..core.schema import Fault
from ..engine.publish import validate

STDIN = "-"


@dataclass(kw_only=True)
class Source:
    """A definition and where it came from.

    Attributes:
        name: The file, with an index if it holds several; ``python:ID`` for a Python workflow.
        raw: The document; None if it could not be read, and `faults` says why.
        faults: All that is wrong with it.
        warnings: What is allowed and should be looked at.
    """

    name: str
    raw: Any = None
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)

    @property
    def workflow_id(self) -> str | None:
        """The id that it gives itself."""
        found = self.raw.get("id") if isinstance(self.raw, dict) else None
        return found if isinstance(found, str) else None


def sources(paths: Iterable[str], *, check_nodes: bool = True) -> list[Source]:
    """Return the definitions of files, of the JSON files below directories, and of ``-``.

    Every definition is validated; two of the same id are a fault of the second.

    Args:
        check_nodes: Also check types and configs against the node types of this process.
    """
    found = [source for path in paths for source in _of_path(path)]
    return _validated(found, check_nodes=check_nodes)


def project_sources() -> list[Source]:
    """Return the workflows of the installed apps' ``workflows.py``, validated.

    Raises:
        DuplicateWorkflow: two of them share an id.
    """
    found = [
        Source(name=f"python:{workflow.id}", raw=workflow.definition())
        for workflow in workflows().values()
    ]
    return _validated(found, check_nodes=True)


def _validated(found: list[Source], *, check_nodes: bool) -> list[Source]:
    first: dict[str, str] = {}
    for source in found:
        if source.faults:
            continue
        _, source.faults = validate(source.raw, check_nodes=check_nodes)
        key = source.workflow_id
        if key is not None and first.setdefault(key, source.name) != source.name:
            message = f"'{key}' is the id of {first[key]}, too: keep one of them"
            source.faults.append(Fault("id", "duplicate_workflow", message))
        if not source.faults:
            source.warnings = list(written_out(source.raw))
    return found


def _of_path(path: str) -> Iterator[Source]:
    if path == STDIN:
        yield from _of_text("standard input", sys.stdin.read())
        return
    place = Path(path)
    if not place.is_dir():
        yield from _of_file(place)
        return
    files = sorted(place.rglob("*.json"))
    if not files:
        yield Source(name=path, faults=[Fault("", "empty", "there is no JSON file in it")])
    for file in files:
        yield from _of_file(file)


def _of_file(file: Path) -> Iterator[Source]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        yield Source(name=str(file), faults=[Fault("", "unreadable", str(error))])
    else:
        yield from _of_text(str(file), text)


def _of_text(name: str, text: str) -> Iterator[Source]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        message = f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        yield Source(name=name, faults=[Fault("", "not_json", message)])
    except RecursionError:
        yield Source(name=name, faults=[Fault("", "not_json", "nested too deeply")])
    else:
        several = isinstance(document, list)
        for index, raw in enumerate(document if several else [document]):
            yield Source(name=f"{name}[{index}]" if several else name, raw=raw)
