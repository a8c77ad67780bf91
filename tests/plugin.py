"""Which database a test run uses, and which behaviour cases it reads.

Loaded with ``-p tests.plugin``, so that its options exist, its servers run and its directory is
named before Django's settings are read.  A run that does not ask for PostgreSQL does not get it,
whatever ``DATABASE_URL`` says.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

_resources = ExitStack()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("spane")
    group.addoption(
        "--database",
        choices=("sqlite", "postgresql"),
        default="sqlite",
        help="where the engine's tests run; PostgreSQL is started unless DATABASE_URL is set",
    )
    group.addoption(
        "--scenarios",
        action="append",
        default=[],
        metavar="FILE",
        help="run the behaviour cases of this file instead of the project's own; repeatable",
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    directory = _resources.enter_context(tempfile.TemporaryDirectory(prefix="spane-tests-"))
    os.environ["SPANE_DATA_DIR"] = str(Path(directory).resolve())
    if early_config.known_args_namespace.database == "postgresql":
        from tests import services

        os.environ["DATABASE_URL"] = _resources.enter_context(services.postgres())
    else:
        os.environ.pop("DATABASE_URL", None)
    return (yield)


def pytest_unconfigure() -> None:
    _resources.close()
