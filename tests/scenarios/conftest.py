"""Finds the behaviour cases: the project's own, or those of the files named by --scenarios."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from tests import wakes
from tests.scenarios import behaviours
from tests.scenarios.features import Case, missing

CASES = Path(__file__).parent / "cases"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Run nothing but the cases of the files that are named."""
    is_about_the_runner = collection_path.name == "test_expectations.py"
    return True if is_about_the_runner and config.getoption("--scenarios") else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.function.__name__ == "test_a_case_behaves_as_it_is_written_down":
        named = [Path(name) for name in metafunc.config.getoption("--scenarios")]
        behaviours.register()
        files = named or sorted(CASES.glob("*.json"))
        cases = [case for file in files for case in json.loads(file.read_text())]
        metafunc.parametrize("case", [_parameter(case) for case in cases])


def _parameter(case: Case) -> Any:
    needs = missing(case)
    marks = [pytest.mark.xfail(strict=False, reason=f"needs {needs}, which is not built yet")]
    return pytest.param(case, id=case["id"], marks=marks if needs else [])


@pytest.fixture(autouse=True)
def _site(case: Case, settings: Settings) -> Iterator[None]:
    """The settings of a case, and an empty stage."""
    workers = {"CONCURRENCY": case["worker_concurrency"]} if "worker_concurrency" in case else {}
    settings.SPANE = {**settings.SPANE, "DISPATCHER": wakes.PATH, **workers}
    behaviours.stage.clear()
    yield
    behaviours.stage.clear()
