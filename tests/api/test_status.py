"""The numbers of queues and executions, and whether all is well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django_rq import get_connection
from pytest_django import DjangoAssertNumQueries, Settings
from rq import Queue, Worker

from spane_django.dispatch.health import listeners
from spane_django.engine import stats
from spane_django.engine.run import utc_now
from spane_django.engine.workers import dismiss, enlist, lead, step_down
from spane_django.models import NodeRun
from spane_django.models import Worker as Drain
from tests import services

from .conftest import Api, definition, run_flow

LEASE = timedelta(seconds=15)


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with services.redis() as url:
        yield url


@pytest.fixture
def with_redis(settings: Settings, redis_url: str) -> Iterator[None]:
    settings.RQ_QUEUES = {"spane": {"URL": redis_url}}
    yield
    get_connection("spane").flushdb()


@pytest.fixture
def without_redis(settings: Settings, tmp_path: Any) -> None:
    settings.RQ_QUEUES = {"spane": {"URL": f"unix://{tmp_path}/nobody.sock"}}


@contextmanager
def listening() -> Iterator[None]:
    """An RQ worker that has told Redis that it listens."""
    redis = get_connection("spane")
    worker: Any = Worker([Queue("spane", connection=redis)], connection=redis)
    worker.register_birth()
    yield
    worker.register_death()


def health() -> tuple[int, Any]:
    answer = Client().get("/health")
    return answer.status_code, answer.json()


def levels(body: Any) -> dict[str, str]:
    return {name: check["status"] for name, check in body["checks"].items()}


def test_the_numbers_of_a_queue_are_those_of_its_node_runs(api: Api) -> None:
    later = {"retryPolicy": {"backoff": {"delay": 60_000}}}
    run_flow(api, definition("a", "b", key="done"))
    run_flow(api, definition("a", key="dead", a={"fail": "no", "retries": 0}))
    run_flow(api, definition("a", key="slow", a={"fail": "busy", **later}))
    api.post("/api/workflows", definition("a", key="new"))
    api.post("/api/workflows/new/execute")
    enlist("worker", "spane", pid=1, now=utc_now())

    numbers = api.get("/api/stats").json()

    queue = numbers["queues"]["spane"]
    assert 0 <= queue.pop("oldestReadySeconds") < 60
    assert queue == {
        "waiting": 1, "active": 0, "delayed": 1, "completed": 2, "failed": 1, "workers": 1,
    }  # fmt: skip
    assert numbers["executions"] == {
        "pending": 0, "running": 2, "paused": 0, "completed": 1, "failed": 1, "cancelled": 0,
    }  # fmt: skip


def test_a_queue_without_anything_is_shown_empty(api: Api) -> None:
    assert api.get("/api/stats").json()["queues"] == {
        "spane": {
            "waiting": 0, "active": 0, "delayed": 0, "completed": 0, "failed": 0, "workers": 0,
            "oldestReadySeconds": None,
        }
    }  # fmt: skip


def test_history_is_counted_up_to_a_bound(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "CAP", 2)
    monkeypatch.setattr(stats, "RECENT", 3)
    for _ in range(4):
        run_flow(api, definition("a", "b"))

    numbers = stats.queue_stats(now=utc_now())

    assert numbers.executions["completed"] == 2
    assert numbers.queues["spane"].completed == 3


def test_the_numbers_cost_the_same_for_many_queues_as_for_one(
    api: Api, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    raw = definition("a")
    raw["nodes"] = [
        {"id": f"n{index}", "type": "task", "queue": f"queue-{index}"} for index in range(5)
    ]
    api.post("/api/workflows", raw | {"entryNodeId": "n0"})
    api.post("/api/workflows/flow/execute")

    with django_assert_num_queries(10):
        numbers = stats.queue_stats(now=utc_now())

    assert [queue.waiting for queue in numbers.queues.values()] == [1, 1, 1, 1, 1, 0]


def test_all_is_well_while_a_worker_listens_and_the_scheduler_leads(
    db: None, with_redis: None
) -> None:
    lead("scheduler", "me", now=utc_now(), duration=LEASE)

    with listening():
        status, body = health()

    assert (status, body["status"]) == (200, "healthy")
    assert set(levels(body).values()) == {"pass"}
    assert body["checks"]["workers"]["alive"] == {"spane": 1}


def test_without_a_worker_nothing_is_done(db: None, with_redis: None) -> None:
    status, body = health()

    assert (status, body["status"]) == (503, "unhealthy")
    assert levels(body)["workers"] == "fail"
    assert "manage.py rqworker spane" in body["checks"]["workers"]["message"]


def test_a_worker_that_was_killed_listens_no_more_once_its_key_has_expired(
    db: None, with_redis: None
) -> None:
    with listening():
        before = listeners("spane")
        redis = get_connection("spane")
        redis.delete(*redis.keys("rq:worker:*"))
        after = listeners("spane")

    assert (before, after) == (1, 0)


def test_a_scheduler_that_never_ran_is_a_warning(db: None, with_redis: None) -> None:
    with listening():
        status, body = health()

    assert (status, body["status"]) == (200, "degraded")
    assert levels(body)["scheduler"] == "warn"


@pytest.mark.parametrize(("silent", "level"), [(1, "warn"), (59, "warn"), (61, "fail")])
def test_a_scheduler_that_is_silent_is_missed(
    db: None, with_redis: None, silent: int, level: str
) -> None:
    now = utc_now()
    lead("scheduler", "me", now=now - timedelta(seconds=silent) - LEASE, duration=LEASE)

    with listening():
        status, body = health()

    assert (status, levels(body)["scheduler"]) == (200 if level == "warn" else 503, level)
    assert body["checks"]["scheduler"]["ageSeconds"] >= silent


def test_a_scheduler_that_stepped_down_has_a_minute_to_come_back(
    db: None, with_redis: None
) -> None:
    now = utc_now()
    lead("scheduler", "me", now=now, duration=LEASE)
    step_down("scheduler", "me", now=now)

    with listening():
        assert levels(health()[1])["scheduler"] == "warn"


def test_without_redis_work_goes_on_where_a_drain_polls(db: None, without_redis: None) -> None:
    worker_id = enlist("worker", "spane", pid=1, now=utc_now())
    at_work = health()
    dismiss(worker_id, now=utc_now())
    gone = health()

    assert (at_work[0], levels(at_work[1])["redis"]) == (200, "warn")
    assert levels(at_work[1])["workers"] == "pass"
    assert (gone[0], levels(gone[1])["redis"], levels(gone[1])["workers"]) == (503, "fail", "fail")


def test_a_drain_that_is_silent_is_no_worker(db: None, without_redis: None) -> None:
    enlist("worker", "spane", pid=1, now=utc_now() - timedelta(seconds=31))

    assert levels(health()[1])["workers"] == "fail"
    assert Drain.objects.count() == 1


@pytest.mark.parametrize(("waited", "level"), [(1, "pass"), (61, "warn"), (601, "fail")])
def test_what_waits_long_is_told(api: Api, with_redis: None, waited: int, level: str) -> None:
    api.post("/api/workflows", definition("a"))
    api.post("/api/workflows/flow/execute")
    NodeRun.objects.update(available_at=utc_now() - timedelta(seconds=waited))

    with listening():
        body = health()[1]

    assert levels(body)["queues"] == level
    assert waited <= body["checks"]["queues"]["lagSeconds"]["spane"] < waited + 30


def test_work_in_a_queue_that_nobody_serves_is_told(api: Api, with_redis: None) -> None:
    raw = definition("a")
    raw["nodes"][0]["queue"] = "gpu"
    api.post("/api/workflows", raw)
    api.post("/api/workflows/flow/execute")

    with listening():
        status, body = health()

    assert status == 503
    assert body["checks"]["workers"]["alive"] == {"gpu": 0, "spane": 1}


@pytest.mark.parametrize("is_atomic", [False, True])
def test_a_database_that_does_not_answer_is_told_and_the_process_lives(
    db: None, monkeypatch: pytest.MonkeyPatch, is_atomic: bool
) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", is_atomic)

    def broken(*_: Any) -> None:
        raise OperationalError("connection to server at db.internal (10.0.0.7) failed")

    with connection.execute_wrapper(broken):
        status, body = health()
        ready = Client().get("/health/ready")
        live = Client().get("/health/live")

    assert (status, body["status"], levels(body)) == (503, "unhealthy", {"database": "fail"})
    assert (ready.status_code, ready.json()["status"]) == (503, "unready")
    assert live.status_code == 200
    assert "internal" not in str(body) + str(ready.json())
