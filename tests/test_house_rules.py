"""The code keeps to the size that people can read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "spane_django"


def test_nine_functions_of_ten_are_at_most_20_lines_and_none_is_over_40():
    lengths = sorted((length, name) for name, length in _functions())

    ninth = lengths[int(len(lengths) * 0.9)]
    assert ninth[0] <= 20, ninth
    assert lengths[-1][0] <= 40, lengths[-1]


def test_no_file_is_over_400_lines():
    sizes = {str(path): len(path.read_text().splitlines()) for path in _files()}

    assert {path: size for path, size in sizes.items() if size > 400} == {}


def _files() -> list[Path]:
    return [path for path in PACKAGE.rglob("*.py") if "migrations" not in path.parts]


def _functions() -> Iterator[tuple[str, int]]:
    for path in _files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = ast.get_docstring(node, clean=False)
                said = docstring.count("\n") + 1 if docstring else 0
                length = (node.end_lineno or node.lineno) - node.lineno + 1 - said
                yield f"{path.name}:{node.name}", length
