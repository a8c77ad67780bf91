"""The bell in Redis: who has room is told, also in the moment in which it turns to listen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest
from redis import Redis

from spane_django.dispatch import embedded
from spane_django.dispatch.bell import QUEUED_SECONDS, RING, RUNG, RedisBell, keys

DEADLINE = 10  # seconds
LISTENING, _BELLS, QUEUED = keys("spane")

pytestmark = pytest.mark.end_to_end


class Site:
    """A Redis, a bell of one drain and what that drain has heard."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.heard: SimpleQueue[object] = SimpleQueue()
        self.passed_on: SimpleQueue[object] = SimpleQueue()
        self.bell = RedisBell(
            redis,
            "spane",
            "drain-1",
            ring=lambda: self.heard.put(RUNG),
            should_stop=lambda: False,
            pass_on=lambda: self.passed_on.put(RUNG),
        )

    def wake(self) -> bool:
        """Ring as `spane_django.dispatch.rq.wake` does; say whether a job must be enqueued."""
        script = self.redis.register_script(RING)
        return bool(script(keys=list(keys("spane")), args=[time.time(), QUEUED_SECONDS]))

    def hears(self) -> bool:
        try:
            return self.heard.get(timeout=DEADLINE) is RUNG
        except Empty:
            return False

    def until_its_thread_waits(self) -> None:
        deadline = time.monotonic() + DEADLINE
        while not any(client["cmd"] == "brpop" for client in self.redis.client_list()):
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with embedded.start(tmp_path) as server, Redis.from_url(server.url) as redis:
        made = Site(redis)
        yield made
        made.bell.close()
        made.bell._thread.join(DEADLINE)


def test_a_drain_that_listens_is_rung(site: Site) -> None:
    site.bell.listen(True)

    assert not site.wake()

    assert site.hears()


def test_a_drain_that_was_busy_for_a_moment_is_rung_again_at_once(site: Site) -> None:
    site.bell.listen(True)
    site.until_its_thread_waits()

    site.bell.listen(False)
    site.bell.listen(True)

    assert not site.wake()
    assert site.hears()


def test_while_nobody_listens_one_job_is_enqueued(site: Site) -> None:
    assert [site.wake() for _ in range(3)] == [True, False, False]
    assert site.heard.empty()


def test_a_ring_that_found_nobody_is_heard_by_the_drain_that_listens_next(site: Site) -> None:
    site.bell.listen(True)
    site.until_its_thread_waits()
    site.bell.listen(False)
    assert site.wake()

    site.bell.listen(True)

    assert site.hears()
    assert site.redis.exists(QUEUED)


def test_a_drain_with_nothing_missed_is_left_in_peace(site: Site) -> None:
    site.bell.listen(True)
    site.until_its_thread_waits()

    assert site.redis.zscore(LISTENING, "drain-1") > time.time()
    assert site.heard.empty()
