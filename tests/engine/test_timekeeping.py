"""A wrong clock of one machine harms nobody: who works goes by the database's."""

from __future__ import annotations

import datetime as real
import logging
from collections.abc import Iterator
from datetime import UTC, timedelta

import pytest
from django.db import connection

from spane_django import clock
from spane_django.dispatch import timekeeping
from spane_django.dispatch.drain import Drain
from spane_django.dispatch.scheduler import Scheduler
from spane_django.dispatch.timekeeping import keep_time
from spane_django.engine.run import utc_now
from spane_django.engine.workers import enlist
from spane_django.models import Worker
from tests.engine.test_gates_of_drains import Silence

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
]

HOUR = timedelta(hours=1)


@pytest.fixture(params=[HOUR, -HOUR], ids=["an hour ahead", "an hour behind"])
def wrong(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[timedelta]:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has the clock of the machine")

    class Wrong(real.datetime):
        @classmethod
        def now(cls, tz: real.tzinfo | None = None) -> real.datetime:
            return real.datetime.now(tz) + request.param

    for module in (clock, timekeeping):
        monkeypatch.setattr(module, "datetime", Wrong)
    yield request.param
    clock.correct(timedelta())


def test_who_asks_the_database_goes_by_its_clock(
    wrong: timedelta, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="spane_django.dispatch"):
        keep_time()
        keep_time()

    assert abs(utc_now() - real.datetime.now(UTC)) < timedelta(seconds=1)
    (told,) = caplog.messages
    assert f"off by {wrong.total_seconds():+.1f} s" in told


def test_a_clock_that_is_set_right_is_believed_again(
    wrong: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_time()
    for module in (clock, timekeeping):
        monkeypatch.setattr(module, "datetime", real.datetime)

    keep_time()

    assert clock.correction() == timedelta()


def test_a_worker_with_a_wrong_clock_takes_nobody_for_dead_and_is_not_taken_for_dead(
    wrong: timedelta,
) -> None:
    other = enlist("other", "spane", pid=1, now=real.datetime.now(UTC))

    Drain("spane", make_bell=lambda ring: Silence(), wake=lambda queues: None, linger=0).run()

    one = Worker.objects.exclude(pk=other).get()
    assert Worker.objects.get(pk=other).stopped_at is None
    assert abs(one.heartbeat_at - real.datetime.now(UTC)) < timedelta(seconds=10)


def test_a_scheduler_with_a_wrong_clock_takes_nobody_for_dead(wrong: timedelta) -> None:
    other = enlist("other", "spane", pid=1, now=real.datetime.now(UTC))

    Scheduler(wake=lambda queues: None).turn()

    assert Worker.objects.get(pk=other).stopped_at is None
