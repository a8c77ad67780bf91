"""The engine's tests: a real database, no Redis, node bodies and a clock of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.doubles import Body, bodies
from tests.engine.helpers import Machine


@pytest.fixture(autouse=True)
def _quiet(wakes: list[str]) -> None:
    """Keep every wake from Redis."""


@pytest.fixture
def does() -> Iterator[dict[str, Body]]:
    """What ``call`` nodes do, by node id."""
    bodies.clear()
    yield bodies
    bodies.clear()


@pytest.fixture
def machine(request: pytest.FixtureRequest, does: dict[str, Body]) -> Machine:
    """A worker; the test names the database it needs with the mark ``django_db``."""
    return Machine()
