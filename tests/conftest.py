"""What every test gets: no prepared version survives a test, as the next one reuses its id."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests import wakes as recorder


@pytest.fixture(autouse=True)
def _nothing_prepared() -> Iterator[None]:
    yield
    from spane_django.engine import passing, rules, run, straight, versions

    versions.prepared.cache_clear()
    rules.forget()
    passing.closed.forget()
    passing.roomy.forget()
    run._checked_node.cache_clear()
    straight._heir.cache_clear()


@pytest.fixture
def wakes(settings: Settings) -> Iterator[list[str]]:
    """The queues that the engine has woken, in order; nothing reaches Redis."""
    settings.SPANE = {**settings.SPANE, "DISPATCHER": recorder.PATH}
    recorder.sent.clear()
    yield recorder.sent
    recorder.sent.clear()
    recorder.listeners.clear()
