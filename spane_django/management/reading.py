"""Definitions from wherever they are: files, directories, standard input, the project's Python."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..authoring import workflows
from ..authoring.transfer import Form, Source, checked, documents
from ..core.schema import Fault

STDIN = "-"
_YAML = (".yaml", ".yml")


def sources(paths: Iterable[str], *, check_nodes: bool = True) -> list[Source]:
    """Return the definitions of files, of the JSON and YAML files below directories, and of ``-``.

    Every definition is validated; two of the same id are a fault of the second.

    Args:
        check_nodes: Also check types and configs against the node types of this process.
    """
    found = [source for path in paths for source in _of_path(path)]
    return checked(found, check_nodes=check_nodes)


def project_sources() -> list[Source]:
    """Return the workflows of the installed apps' ``workflows.py``, validated.

    Raises:
        DuplicateWorkflow: two of them share an id.
    """
    found = [
        Source(name=f"python:{workflow.id}", raw=workflow.definition())
        for workflow in workflows().values()
    ]
    return checked(found)


def _of_path(path: str) -> Iterator[Source]:
    if path == STDIN:
        text = sys.stdin.read()
        is_json = text.lstrip()[:1] in ("{", "[")
        yield from documents("standard input", text, Form.JSON if is_json else Form.YAML)
        return
    place = Path(path)
    if not place.is_dir():
        yield from _of_file(place)
        return
    files = sorted(file for file in place.rglob("*") if file.suffix in (".json", *_YAML))
    if not files:
        message = "there is no JSON or YAML file in it"
        yield Source(name=path, faults=[Fault("", "empty", message)])
    for file in files:
        yield from _of_file(file)


def _of_file(file: Path) -> Iterator[Source]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        yield Source(name=str(file), faults=[Fault("", "unreadable", str(error))])
    else:
        yield from documents(str(file), text, form_of(file))


def form_of(file: Path) -> Form:
    """Return how a file is written, by its name."""
    return Form.YAML if file.suffix in _YAML else Form.JSON
