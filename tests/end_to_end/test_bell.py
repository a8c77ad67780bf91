"""The bell in Redis: who has room is told, also in the moment in which it turns to listen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest
from redis import Redis

from spane_django.dispatch import embedded
from spane_django.dispatch.bell import BEGIN, RING, RUNG, RedisBell, keys

DEADLINE = 10  # seconds
LISTENING, _BELLS, QUEUED = keys("spane")
JOBS = "rq:queue:spane"

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

    def wake(self, job: str = "job") -> bool:
        """Ring as `spane_django.dispatch.rq.wake` does; say whether a job must be enqueued."""
        script = self.redis.register_script(RING)
        return bool(script(keys=[*keys("spane"), JOBS], args=[job]))

    def begin(self, job: str) -> None:
        """Begin a drain as its job does."""
        self.redis.register_script(BEGIN)(keys=[QUEUED], args=[job])

    def age(self) -> None:
        """Let it be a minute since the last job was enqueued."""
        self.redis.hset(QUEUED, "at", time.time() - 60)

    def hears(self) -> bool:
        try:
            return self.heard.get(timeout=DEADLINE) is RUNG
        except Empty:
            return False

    def rings_in_vain(self) -> None:
        """Ring the drain, which listens and then does not come round."""
        self.bell.listen(True)
        assert not self.wake()
        assert self.hears()
        assert self.passed_on.get(timeout=DEADLINE) is RUNG

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


def test_a_job_that_lies_in_the_queue_is_waited_for_however_long(site: Site) -> None:
    site.wake("job")
    site.redis.rpush(JOBS, "other", "job")
    site.age()

    assert not site.wake()


def test_a_job_that_was_lost_before_its_drain_began_is_enqueued_again(site: Site) -> None:
    site.wake("job")
    site.redis.rpush(JOBS, "job")
    site.redis.lpop(JOBS)
    assert not site.wake()

    site.age()

    assert site.wake()


def test_once_a_drain_has_begun_the_next_one_may_be_enqueued(site: Site) -> None:
    site.wake("job")

    site.begin("job")

    assert site.wake()


def test_a_drain_that_begins_leaves_the_next_one_its_place(site: Site) -> None:
    site.wake("next")

    site.begin("job")

    assert not site.wake()


def test_a_ring_that_a_drain_has_not_come_round_to_is_passed_on_and_the_next_ones_go_elsewhere(
    site: Site,
) -> None:
    site.rings_in_vain()

    assert site.redis.zscore(LISTENING, "drain-1") is None
    assert site.wake()
    assert site.passed_on.empty()


def test_a_drain_that_has_come_round_after_all_listens_again_and_looks_for_what_it_has_missed(
    site: Site,
) -> None:
    site.rings_in_vain()
    assert site.wake()

    site.bell.listen(True)

    assert site.hears()
    site.until_its_thread_waits()
    assert not site.wake()
    assert site.hears()


def test_a_machine_with_a_wrong_clock_keeps_nobody_from_being_woken(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    site.bell.listen(True)

    assert not site.wake()
    assert site.hears()
