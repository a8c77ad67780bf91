"""What `spane_django` exports, and when it is imported."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import spane_django


def test_every_exported_name_is_there() -> None:
    for name in spane_django.__all__:
        assert getattr(spane_django, name) is not None
    assert set(spane_django.__all__) <= set(dir(spane_django))


def test_type_checkers_see_exactly_what_is_exported() -> None:
    tree = ast.parse(Path(spane_django.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert seen == set(spane_django.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Workflw'"):
        _ = spane_django.Workflw


def test_importing_the_package_imports_no_models() -> None:
    script = "import sys, spane_django; print('spane_django.models' in sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "False"
