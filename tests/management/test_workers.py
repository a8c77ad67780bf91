"""The workers that a site may have: RQ's own, RQ's pool, and the one that polls without Redis."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from redis import Redis

from spane_django.dispatch import bell, embedded
from tests.management.project import DEADLINE_SECONDS, HELD, LINE, Project, until

pytestmark = pytest.mark.end_to_end


@pytest.fixture
def redis(project: Project) -> Iterator[embedded.EmbeddedRedis]:
    with embedded.start(project.directory) as server:
        yield server


WORKERS = [("rqworker", "spane"), ("rqworker-pool", "spane", "--num-workers", "2")]
LISTENING = bell.keys("spane")[0]
POLLING = ("spane_worker", "--every", "0.05")


@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize("command", WORKERS, ids=["worker", "pool"])
def test_a_plain_rq_worker_completes_executions(project: Project, command: tuple[str, ...]) -> None:
    project.publish(LINE)
    project.begin(*command)

    ids = [project.start("line") for _ in range(3)]

    until(lambda: {project.status(one) for one in ids} == {"completed"}, "all completed")


def test_a_polling_worker_completes_executions_without_redis(project: Project) -> None:
    project.publish(LINE)
    project.begin(*POLLING)

    execution_id = project.start("line")

    until(lambda: project.status(execution_id) == "completed", "completed")
    assert not project.redis_socket.exists()


@pytest.mark.parametrize("command", WORKERS, ids=["worker", "pool"])
def test_an_rq_worker_told_to_stop_finishes_what_runs_and_begins_nothing(
    project: Project, redis: embedded.EmbeddedRedis, command: tuple[str, ...]
) -> None:
    client = Redis.from_url(redis.url)
    project.publish(HELD)
    execution_id = project.start("held")
    process = project.begin(*command)
    until(lambda: project.held_by(execution_id), "the node runs")
    until(lambda: client.zcard(LISTENING) == 1, "the drain has room for more")

    process.send_signal(signal.SIGTERM)
    until(lambda: client.zcard(LISTENING) == 0, "the drain has heard of it")
    late = project.start("held")
    project.let_go()
    code = process.wait(DEADLINE_SECONDS)

    assert code == 0
    assert project.survivors() == [redis.pid]
    assert project.nodes(execution_id) == {"first": "completed", "last": "ready"}
    assert project.nodes(late) == {"first": "ready"}
    assert _workers_at_work(project) == 0


def test_a_polling_worker_told_to_stop_finishes_what_runs_and_begins_nothing(
    project: Project,
) -> None:
    project.publish(HELD)
    execution_id = project.start("held")
    process = project.begin(*POLLING)
    until(lambda: project.held_by(execution_id), "the node runs")

    process.send_signal(signal.SIGTERM)
    project.let_go()
    code = process.wait(DEADLINE_SECONDS)

    assert code == 0
    assert project.nodes(execution_id) == {"first": "completed", "last": "ready"}
    assert _workers_at_work(project) == 0


@pytest.mark.usefixtures("redis")
def test_nodes_that_do_not_end_in_time_are_handed_back_by_a_stopping_worker(
    project: Project,
) -> None:
    project.publish(HELD)
    execution_id = project.start("held")
    process = project.begin("rqworker", "spane", SPANE_TEST_SHUTDOWN_SECONDS="0.5")
    until(lambda: project.held_by(execution_id), "the node runs")

    process.send_signal(signal.SIGTERM)
    code = process.wait(DEADLINE_SECONDS)

    assert code == 0
    assert project.nodes(execution_id) == {"first": "ready"}
    query = "SELECT attempt, failures, losses FROM spane_django_noderun"
    assert project.rows(query) == [(1, 0, 0)]


def test_the_horse_of_a_killed_worker_does_not_outlive_it(
    project: Project, redis: embedded.EmbeddedRedis
) -> None:
    project.publish(HELD)
    execution_id = project.start("held")
    worker = project.begin("rqworker", "spane")
    horse = until(lambda: project.held_by(execution_id), "the node runs")
    assert horse != worker.pid

    worker.send_signal(signal.SIGKILL)
    worker.wait()
    project.let_go()

    until(lambda: project.survivors() == [redis.pid], "the horse ends")
    assert project.nodes(execution_id) == {"first": "completed", "last": "ready"}


@pytest.mark.usefixtures("redis")
def test_what_a_killed_horse_was_running_runs_again(project: Project) -> None:
    project.publish(HELD)
    execution_id = project.start("held")
    project.begin("rqworker", "spane")
    horse = until(lambda: project.held_by(execution_id), "the node runs")

    os.kill(horse, signal.SIGKILL)
    project.let_go()
    project.begin("spane_scheduler")

    until(lambda: project.status(execution_id) == "completed", "completed")
    assert project.rows("SELECT losses, attempt FROM spane_django_noderun ORDER BY id") == [
        (1, 2),
        (0, 1),
    ]


def _workers_at_work(project: Project) -> int:
    query = "SELECT count(*) FROM spane_django_worker WHERE stopped_at IS NULL"
    ((number,),) = project.rows(query)
    return int(number)
