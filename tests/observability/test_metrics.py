"""What ``/metrics`` tells, to whom, and at what cost."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries, Settings

from spane_django.core.outcome import Delay, Lost, Permanent
from spane_django.engine.workers import lead
from spane_django.models import Execution
from spane_django.observability import gauges
from spane_django.observability.counts import counts, totals
from spane_django.signals import attempts_ended, executions_started
from tests.engine.helpers import SECOND, Machine

from .conftest import Show
from .reading import scrape

NOBODY = lambda queue: 0  # noqa: E731
STARTED = "spane_executions_started_total"
FINISHED = "spane_executions_finished_total"
ATTEMPTS = "spane_node_attempts_total"
OF_CALLS = (("node_type", "call"), ("workflow", "w"))


def call(outcome: str) -> tuple[tuple[str, str], ...]:
    return (("node_type", "call"), ("outcome", outcome), ("queue", "spane"))


def failing(ctx: Any) -> None:
    raise RuntimeError("no")


@pytest.mark.django_db(transaction=True)
def test_executions_are_counted_by_workflow_and_by_how_they_ended(
    counted: Any, machine: Machine, shown: Show, does: Any
) -> None:
    does["bad"] = failing
    machine.begin({"a": ["b"]})
    machine.start()
    machine.begin({"bad": []}, id="other", nodes={"bad": {"config": {"retries": 0}}})
    machine.drain()

    found = scrape(**shown("view_metrics"))

    assert found[STARTED] == {(("workflow", "w"),): 2, (("workflow", "other"),): 1}
    assert found[FINISHED] == {
        (("status", "completed"), ("workflow", "w")): 2,
        (("status", "failed"), ("workflow", "other")): 1,
    }


@pytest.mark.django_db(transaction=True)
def test_attempts_are_counted_by_what_became_of_them(
    counted: Any, machine: Machine, shown: Show, does: Any
) -> None:
    def wait(ctx: Any) -> Any:
        return None if ctx.checkpoint else Delay(until=machine.now + SECOND, checkpoint=1)

    def stumble(ctx: Any) -> Any:
        if ctx.attempt == 1:
            raise RuntimeError("once")

    def give_up(ctx: Any) -> None:
        raise Permanent("never")

    does.update(waits=wait, stumbles=stumble, dies=give_up)
    machine.begin({"waits": [], "stumbles": [], "dies": []})
    machine.drain()
    machine.wait(60)
    machine.drain()

    found = scrape(**shown("view_metrics"))

    assert found[ATTEMPTS] == {
        call("completed"): 2, call("waiting"): 1, call("retried"): 1, call("failed"): 1,
    }  # fmt: skip
    assert found["spane_node_retries_total"] == {OF_CALLS: 1}
    assert found["spane_dead_letters_total"] == {OF_CALLS: 1}
    assert found["spane_dead_letters_open"] == {(): 1}


@pytest.mark.django_db(transaction=True)
def test_lost_leases_and_answers_that_came_too_late_are_counted(
    counted: Any, machine: Machine, shown: Show
) -> None:
    machine.begin({"a": []})
    late = machine.finish(machine.claim_one())
    machine.settle([machine.finish(late.claim, Lost())])
    machine.settle([late])

    found = scrape(**shown("view_metrics"))

    assert found["spane_lease_losses_total"] == {(("node_type", "call"), ("queue", "spane")): 1}
    assert found["spane_answers_refused_total"] == {(): 1}
    assert found[ATTEMPTS] == {call("lost"): 1}
    assert "spane_node_duration_seconds_count" not in found


@pytest.mark.django_db(transaction=True)
def test_durations_fall_into_buckets(counted: Any, machine: Machine, shown: Show) -> None:
    machine.publish({"a": []})
    for seconds in (0.02, 0.02, 7, 10_000):
        machine.start()
        finished = machine.finish(machine.claim_one())
        finished.finished_at += seconds * SECOND
        machine.settle([finished])

    found = scrape(**shown("view_metrics"))

    buckets = {
        dict(labels)["le"]: count
        for labels, count in found["spane_node_duration_seconds_bucket"].items()
    }
    of_calls = (("node_type", "call"),)
    assert (buckets["0.01"], buckets["0.025"], buckets["5.0"]) == (0, 2, 2)
    assert (buckets["10.0"], buckets["1800.0"], buckets["+Inf"]) == (3, 3, 4)
    assert found["spane_node_duration_seconds_count"] == {of_calls: 4}
    assert found["spane_node_duration_seconds_sum"] == {of_calls: pytest.approx(10_007.04)}


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_not_counted(counted: Any, machine: Machine) -> None:
    machine.publish({"a": []})

    with transaction.atomic():
        machine.start()
        transaction.set_rollback(True)
    counts.flush()

    assert totals() == {}


def test_nobody_listens_unless_the_settings_say_so(settings: Settings) -> None:
    assert not attempts_ended.has_listeners()
    settings.SPANE = {**settings.SPANE, "METRICS": True}

    assert attempts_ended.has_listeners()
    assert executions_started.has_listeners()
    settings.SPANE = {**settings.SPANE, "METRICS": False}
    assert not attempts_ended.has_listeners()


def test_rows_tell_how_queues_are(machine: Machine, redis: Any, shown: Show) -> None:
    lead("scheduler", "me", now=machine.now - 5 * SECOND, duration=15 * SECOND)
    machine.publish({"a": [], "b": [], "c": []})
    machine.start()
    machine.claim(1)
    machine.start(start_at=machine.now + 60 * SECOND)

    found = scrape(**shown("view_metrics"))

    queue = (("queue", "spane"),)
    assert found["spane_queue_ready"] == {queue: 2}
    assert found["spane_queue_active"] == {queue: 1}
    assert found["spane_queue_delayed"] == {queue: 0}
    assert found["spane_drains"] == found["spane_workers"] == {queue: 1}
    assert 0 <= found["spane_queue_latency_seconds"][queue] < 60
    assert 5 <= found["spane_scheduler_age_seconds"][()] < 65
    assert found["spane_executions"] == {
        (("status", "pending"),): 1, (("status", "running"),): 1, (("status", "paused"),): 0,
    }  # fmt: skip
    assert (found["spane_database_up"][()], found["spane_counters_up"][()]) == (1, 0)


def test_what_a_gate_holds_back_is_ready_and_no_lag(machine: Machine) -> None:
    one_at_a_time = {"limit": {"max": 1, "name": "carrier"}}
    machine.begin({"a": [], "b": []}, nodes={"a": one_at_a_time, "b": one_at_a_time})
    later = machine.now + 90 * SECOND
    before = gauges.read(NOBODY, now=later).queues["spane"]
    machine.claim()

    after = gauges.read(NOBODY, now=later).queues["spane"]

    assert (before.latency_seconds, before.ready, before.active) == (90, 2, 0)
    assert (after.latency_seconds, after.ready, after.active) == (0, 1, 1)


def test_a_scrape_costs_the_same_however_much_there_is(
    machine: Machine, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    machine.publish({"a": ["b"]})
    for _ in range(3):
        machine.start()
    with CaptureQueriesContext(connection) as few:
        gauges.read(NOBODY, now=machine.now)
    machine.drain()
    for _ in range(40):
        machine.start()
    machine.step(20)

    with django_assert_num_queries(len(few)):
        gauges.read(NOBODY, now=machine.now)

    assert len(few) == 10


def test_a_scrape_never_asks_for_what_has_ended(machine: Machine) -> None:
    machine.begin({"a": []})
    machine.drain()

    with CaptureQueriesContext(connection) as asked:
        gauges.read(NOBODY, now=machine.now)

    assert Execution.objects.get().status == "completed"
    of_executions = [q["sql"] for q in asked if 'FROM "spane_django_execution"' in q["sql"]]
    assert len(of_executions) == 3
    assert not any(
        f"'{status}'" in sql for sql in of_executions for status in ("completed", "failed")
    )


def test_counts_stop_at_their_bound(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauges, "CAP", 3)
    machine.publish({"a": []})
    for _ in range(5):
        machine.start()

    found = gauges.read(NOBODY, now=machine.now)

    assert (found.queues["spane"].ready, found.executions["running"]) == (3, 3)


def test_several_who_scrape_cost_no_more_than_one(
    machine: Machine, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    first = gauges.gauges(NOBODY, now=machine.now)

    with django_assert_num_queries(0):
        second = gauges.gauges(NOBODY, now=machine.now)

    assert second is first


def test_metrics_take_a_permission(redis: Any, shown: Show) -> None:
    anonymous = Client().get("/metrics")
    stranger = Client().get("/metrics", headers=shown("view_execution"))
    friend = Client().get("/metrics", headers=shown("view_metrics"))

    assert (anonymous.status_code, stranger.status_code, friend.status_code) == (401, 403, 200)
    assert "view_metrics" in stranger.json()["error"]["message"]
    assert friend.headers["Content-Type"].startswith("text/plain")


def test_a_client_that_speaks_openmetrics_is_answered_so(redis: Any, shown: Show) -> None:
    wanted = {"Accept": "application/openmetrics-text; version=1.0.0", **shown("view_metrics")}

    answer: Any = Client().get("/metrics", headers=wanted)

    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.content.endswith(b"# EOF\n")


@pytest.mark.parametrize("path", ["/metrics", "/api/autoscaling"])
@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("10.1.2.3", {}, 200),
        ("fd00::1", {}, 200),
        ("::ffff:10.1.2.3", {}, 200),
        ("::ffff:192.0.2.1", {}, 401),
        ("192.0.2.1", {}, 401),
        ("", {}, 401),
        ("10.1.2.3", {"X-Forwarded-For": "10.1.2.4"}, 401),
        ("10.1.2.3", {"Forwarded": "for=10.1.2.4"}, 401),
    ],
)
def test_an_open_network_is_that_of_the_connection_itself(
    db: None, redis: Any, settings: Settings, path: str, address: str, headers: Any, status: int
) -> None:
    settings.SPANE = {**settings.SPANE, "METRICS_NETWORKS": ["10.0.0.0/8", "fd00::/8"]}

    answer = Client(REMOTE_ADDR=address).get(path, headers=headers)
    posted = Client(REMOTE_ADDR=address).post(path, headers=headers)

    assert answer.status_code == status
    assert posted.status_code in (401, 405)


def test_an_open_network_is_open_where_tenants_are_kept_apart(
    db: None, redis: Any, settings: Settings, shown: Show
) -> None:
    settings.SPANE = {
        **settings.SPANE,
        "METRICS_NETWORKS": ["10.0.0.0/8"],
        "TENANT_MODEL": "spane_django.Tenant",
    }

    inside = Client(REMOTE_ADDR="10.0.0.1").get("/metrics")
    of_a_tenant = Client(REMOTE_ADDR="192.0.2.1").get("/metrics", headers=shown("view_metrics"))

    assert (inside.status_code, of_a_tenant.status_code) == (200, 403)


def test_a_database_that_does_not_answer_is_a_metric(
    db: None, counted: Any, settings: Settings
) -> None:
    settings.SPANE = {**settings.SPANE, "METRICS_NETWORKS": ["127.0.0.0/8"]}
    counts.add({("spane_executions_started", "w"): 2})

    def broken(*_: Any) -> None:
        raise OperationalError("connection to server at db.internal (10.0.0.7) failed")

    with connection.execute_wrapper(broken):
        found = scrape()

    assert found["spane_database_up"] == {(): 0}
    assert found[STARTED] == {(("workflow", "w"),): 2}
    assert "spane_queue_ready" not in found


def test_a_redis_that_does_not_answer_is_a_metric(
    db: None, no_redis: None, settings: Settings, shown: Show
) -> None:
    settings.SPANE = {**settings.SPANE, "METRICS": True}

    found = scrape(**shown("view_metrics"))

    assert found["spane_counters_up"] == {(): 0}
    assert found["spane_database_up"] == {(): 1}
    assert found["spane_queue_ready"] == {(("queue", "spane"),): 0}


def test_networks_are_checked() -> None:
    from spane_django.conf import faults_of

    (fault,) = faults_of({"METRICS_NETWORKS": ["10.0.0.0/8", "10.0.0.1/8"]})

    assert "'METRICS_NETWORKS' takes networks such as '10.0.0.0/8'" in fault
