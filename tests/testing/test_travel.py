"""One clock for all that the package does in a test, and only the test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client

from spane_django import Delay
from spane_django.clock import now
from spane_django.models import Execution
from spane_django.testing import InlineEngine, make_workflow

DAY = timedelta(days=1)
LEAP = datetime(2024, 2, 29, 9, tzinfo=UTC)


def test_what_is_started_after_travelling_is_started_then(spane: InlineEngine) -> None:
    flow = make_workflow({"a": []})
    before = flow.start()

    spane.travel(days=2)
    after = flow.start()

    assert timedelta(days=2) <= after.created_at - before.created_at < timedelta(days=2, hours=1)


def test_nodes_see_the_instant_of_the_test(spane: InlineEngine) -> None:
    spane.travel(to=LEAP)
    spane.stub("a", does=lambda ctx: ctx.now.date().isoformat())

    execution = make_workflow({"a": []}).start()
    spane.run()

    spane.assert_output(execution, "2024-02-29")


def test_time_stands_still_while_the_engine_works(spane: InlineEngine) -> None:
    spane.stub(type="test-step", does=lambda ctx: now().isoformat())

    execution = make_workflow({"a": ["b"]}).start()
    spane.run()

    (one, other) = execution.node_runs.order_by("id")
    assert one.output == other.output
    assert one.started_at == one.finished_at == other.finished_at


def test_time_goes_on_between_runs(spane: InlineEngine) -> None:
    first = spane.now

    assert first < spane.now < first + timedelta(minutes=1)


def test_the_machines_time_is_back_after_the_test() -> None:
    with pytest.MonkeyPatch.context(), InlineEngine() as spane:
        spane._clock.set(LEAP)
        assert now().year == 2024

    assert abs(now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_travelling_back_is_for_tests_that_have_started_nothing(spane: InlineEngine) -> None:
    spane.travel(to=LEAP)
    make_workflow({"a": []}).start()

    with pytest.raises(ValueError, match="before anything has started"):
        spane.travel(to=LEAP - DAY)


def test_a_length_may_not_be_negative_either(spane: InlineEngine) -> None:
    make_workflow({"a": []}).start()

    with pytest.raises(ValueError, match="lies behind"):
        spane.travel(days=-1)


def test_travelling_to_now_is_no_travel_back(spane: InlineEngine) -> None:
    make_workflow({"a": []}).start()

    spane.travel(to=spane.now)

    assert spane.run() == ["a"]


def test_an_instant_needs_a_time_zone(spane: InlineEngine) -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        spane.travel(to=datetime(2030, 1, 1))  # noqa: DTZ001


def test_the_api_reads_the_same_clock(spane: InlineEngine) -> None:
    make_workflow({"a": []})
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    spane.travel(days=400)

    answer = client.post(
        "/api/workflows/test-workflow/execute", {"initialData": 7}, content_type="application/json"
    )

    assert answer.status_code < 300, answer.content
    assert abs(Execution.objects.get().created_at - spane.now) < timedelta(minutes=1)


def test_a_wait_ends_on_time_however_far_the_test_has_travelled(spane: InlineEngine) -> None:
    flow = make_workflow({"a": []})
    spane.stub("a", does=lambda ctx: "done" if ctx.checkpoint else Delay(ctx.now + DAY, "asked"))
    spane.travel(days=1_000)
    execution = flow.start()

    spane.run_for(hours=23)
    spane.assert_nodes(execution, {"a": "waiting"})
    spane.run_for(hours=2)

    spane.assert_output(execution, "done")
