"""The stage of events and model triggers: a shop, a worker, triggers that go again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from spane_django import ModelTrigger
from spane_django.testing.pytest_plugin import spane
from spane_django.triggers.watching import forget
from tests.doubles import Body, bodies
from tests.engine.helpers import Machine
from tests.triggers.shop import MODELS

__all__ = ["does", "machine", "spane", "tables", "trigger"]


@pytest.fixture(scope="session", autouse=True)
def tables(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock(), connection.schema_editor() as editor:
        for model in MODELS:
            editor.create_model(model)


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


@pytest.fixture
def trigger() -> Iterator[Callable[..., ModelTrigger]]:
    """Declares a model trigger for the length of a test."""
    declared: list[ModelTrigger] = []

    def declare(*args: Any, **said: Any) -> ModelTrigger:
        declared.append(ModelTrigger(*args, **said))
        return declared[-1]

    yield declare
    for one in declared:
        forget(one)
