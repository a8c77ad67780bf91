"""The scheduler clears and prunes a little at a time, between the timers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import Settings

from spane_django.dispatch import housekeeping
from spane_django.dispatch.housekeeping import Housekeeping
from spane_django.engine.publish import publish
from spane_django.engine.start import start
from spane_django.models import Execution
from tests.management.conftest import ask

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)


def test_a_backlog_goes_in_steps_and_then_there_is_rest(
    completed: Execution, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SPANE = {**settings.SPANE, "KEEP_DAYS": {"completed": 1}}
    monkeypatch.setattr(housekeeping, "BATCH", 1)
    replays = [_finished(NOW - timedelta(days=2)) for _ in range(2)]
    young = _finished(NOW)
    duty = Housekeeping()

    steps = [duty(NOW) for _ in range(4)]

    assert steps == [True, True, False, False]
    assert set(Execution.objects.all()) == {completed, young}
    assert not set(replays) & set(Execution.objects.all())


def test_nothing_is_deleted_unless_somebody_says_how_long_it_is_kept(completed: Execution) -> None:
    Execution.objects.update(finished_at=NOW - timedelta(days=9_999))

    assert Housekeeping()(NOW) is False
    assert list(Execution.objects.all()) == [completed]


def test_the_scheduler_clears_what_a_workflow_keeps_no_data_of(completed: Execution) -> None:
    Execution.objects.filter(pk=completed.pk).update(clear_due_at=NOW, input={"n": 1})
    raw = {**completed.version.definition, "saveData": "none"}
    version = publish(raw, now=NOW)
    Execution.objects.filter(pk=completed.pk).update(version=version)

    assert ask("spane_scheduler", "--once").code == 0

    completed.refresh_from_db()
    assert completed.cleared_at is not None
    assert completed.input is None


def _finished(at: datetime) -> Execution:
    execution = start("line", now=NOW)
    Execution.objects.filter(pk=execution.pk).update(status="completed", finished_at=at)
    return execution
