"""The engine's tests: a real database, no Redis, node bodies and a clock of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from tests.doubles import Body, bodies
from tests.engine import transitions
from tests.engine.helpers import Machine


@pytest.fixture(scope="session")
def _watched(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock():
        transitions.watch()


@pytest.fixture(autouse=True)
def _lawful(_watched: None, db: None) -> Iterator[None]:
    """Fail a test in which a status changed as no table says."""
    yield
    unlawful = transitions.collect() - transitions.LEGAL
    assert not unlawful, f"no table knows {transitions.drawn(unlawful)}"


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
def machine(db: None, does: dict[str, Body]) -> Machine:
    """A worker."""
    return Machine()
