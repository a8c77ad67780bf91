"""The examples, run as anybody would run them: each checks its own story."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "demo_project" / "examples").glob("[!_]*.py"))

pytestmark = pytest.mark.end_to_end


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_goes_as_it_says(example: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, example],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("Everything went as expected.\n")
    assert list(tmp_path.iterdir()) == []


def test_the_seeds_examples_are_there() -> None:
    assert {path.stem for path in EXAMPLES} >= {
        "cancellation_pause",
        "conditional_branching",
        "data_passing",
        "dlq",
        "parallel_limits",
        "sub_workflows",
        "triggers",
    }
