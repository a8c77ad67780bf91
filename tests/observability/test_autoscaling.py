"""The signal for autoscalers."""

from __future__ import annotations

from typing import Any

from django.test import Client
from pytest_django import Settings

from spane_django.engine.run import utc_now
from spane_django.models import NodeRun
from spane_django.observability.counts import counts
from tests.engine.helpers import SECOND, Machine

from .conftest import Show


def test_the_latency_of_a_queue_is_the_age_of_the_oldest_that_could_be_taken(
    machine: Machine, redis: Any, shown: Show
) -> None:
    machine.begin({"a": [], "b": []})
    NodeRun.objects.filter(node_id="a").update(available_at=utc_now() - 100 * SECOND)

    body = Client().get("/api/autoscaling", headers=shown("view_metrics")).json()

    queue = body["queues"]["spane"]
    assert 100 <= queue.pop("latencySeconds") <= body["latencySeconds"] < 160
    assert queue == {
        "ready": 2, "delayed": 0, "active": 0, "drains": 1, "workers": 1,
        "throughputPerSecond": None, "estimatedSeconds": None,
    }  # fmt: skip


def test_one_queue_is_told_flat(machine: Machine, redis: Any, shown: Show) -> None:
    machine.begin({"a": []})

    used = Client().get("/api/autoscaling?queue=spane", headers=shown("view_metrics")).json()

    assert (used["ready"], used["workers"]) == (1, 1)


def test_a_queue_that_nothing_has_used_has_nothing_to_do(db: None, redis: Any, shown: Show) -> None:
    answer = Client().get("/api/autoscaling?queue=gpu", headers=shown("view_metrics"))

    assert answer.status_code == 200
    assert answer.json()["latencySeconds"] == answer.json()["estimatedSeconds"] == 0


def test_where_metrics_are_counted_the_pace_gives_an_estimate(
    machine: Machine, counted: Any, shown: Show
) -> None:
    machine.begin({"a": [], "b": []})
    counts.add({}, {"spane": 120})
    counts.flush()

    queue = Client().get("/api/autoscaling?queue=spane", headers=shown("view_metrics")).json()

    assert 1 <= queue["throughputPerSecond"] <= 2
    assert 1 <= queue["estimatedSeconds"] <= 2


def test_without_redis_there_is_no_estimate_and_an_answer(
    machine: Machine, no_redis: None, settings: Settings, shown: Show
) -> None:
    settings.SPANE = {**settings.SPANE, "METRICS": True}
    machine.begin({"a": []})

    queue = Client().get("/api/autoscaling?queue=spane", headers=shown("view_metrics")).json()

    assert (queue["ready"], queue["estimatedSeconds"]) == (1, None)


def test_the_signal_takes_a_permission(db: None, redis: Any, shown: Show) -> None:
    anonymous = Client().get("/api/autoscaling")
    stranger = Client().get("/api/autoscaling", headers=shown("view_execution"))

    assert (anonymous.status_code, stranger.status_code) == (401, 403)
