"""A fault at any statement and at any commit of a verb changes nothing about how it ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.doubles import bodies
from tests.faults import doors, flows, people  # noqa: F401  # they tell stories
from tests.faults.injector import wired
from tests.faults.replay import Replay
from tests.faults.story import STORIES

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _wired(db: None, wakes: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("spane_django.dispatch.commit._PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("spane_django.engine.db.PAUSE_SECONDS", 0.0)
    with wired():
        yield
    bodies.clear()


@pytest.mark.parametrize("name", STORIES)
def test_a_fault_at_any_point_changes_nothing_about_the_end(name: str, record_property):
    replay = Replay(STORIES[name])

    changed = replay.strike_everywhere()

    for verb, struck in replay.struck.items():
        record_property(verb, struck)
    assert not changed, "\n\n".join(changed)
