"""When a failed node runs again, and after which wait."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spane_django.core.outcome import Failure
from spane_django.core.retry import Backoff, Retry, retry_from

EXPONENTIAL, LINEAR, FIXED = Backoff.EXPONENTIAL, Backoff.LINEAR, Backoff.FIXED


@pytest.mark.parametrize(
    ("policy", "waits"),
    [
        (Retry(), [1, 2, 4, 8]),  # 1 s * 2 ** (failures - 1)
        (Retry(factor=3), [1, 3, 9, 27]),  # 1 s * 3 ** (failures - 1)
        (Retry(base=timedelta(seconds=5)), [5, 10, 20, 40]),  # 5 s * 2 ** (failures - 1)
        (Retry(backoff=LINEAR, base=timedelta(seconds=3)), [3, 6, 9, 12]),  # 3 s * failures
        (Retry(backoff=FIXED, base=timedelta(seconds=0.1)), [0.1] * 4),  # always 100 ms
        (Retry(ceiling=timedelta(seconds=3)), [1, 2, 3, 3]),  # no wait above the ceiling
        (Retry(base=timedelta(0)), [0, 0, 0, 0]),  # at once, however often
        (Retry(factor=1), [1, 1, 1, 1]),  # 1 s * 1 ** n
    ],
)
def test_the_wait_after_each_failure(policy: Retry, waits: list[float]):
    found = [policy.wait(failures=failures).total_seconds() for failures in (1, 2, 3, 4)]

    assert found == waits


@given(st.floats(0, 0.999), st.floats(0, 1))
def test_jitter_takes_off_at_most_its_share(chance: float, jitter: float):
    wait = Retry(jitter=jitter).wait(failures=3, chance=chance).total_seconds()

    assert 4 * (1 - jitter) - 1e-6 <= wait <= 4


@given(
    st.sampled_from(Backoff),
    st.integers(1, 10_000),
    st.floats(1, 100),
    st.integers(0, 3_155_760_000_000),
)
def test_every_wait_is_representable_and_within_the_ceiling(
    backoff: Backoff, failures: int, factor: float, base: int
):
    policy = Retry(backoff=backoff, factor=factor, base=timedelta(milliseconds=base))

    assert timedelta(0) <= policy.wait(failures=failures) <= policy.ceiling


@pytest.mark.parametrize(
    ("policy", "failure", "failures", "allowed"),
    [
        (Retry(), Failure(message=""), 1, True),
        (Retry(), Failure(message=""), 2, True),
        (Retry(), Failure(message=""), 3, False),  # three attempts are three runs in all
        (Retry(attempts=1), Failure(message=""), 1, False),
        (Retry(), Failure(message="", is_retryable=False), 1, False),
        (Retry(retry_on=("OSError",)), Failure(message="", type="ValueError"), 1, False),
        (
            Retry(retry_on=("OSError",)),  # a base class counts
            Failure(message="", type="TimeoutError", exception_types=("TimeoutError", "OSError")),
            1,
            True,
        ),
        (Retry(retry_on=("Busy",)), Failure(message="", type="Busy"), 1, True),
        (
            Retry(retry_on=("OSError",), give_up_on=("TimeoutError",)),  # giving up wins
            Failure(message="", type="TimeoutError", exception_types=("TimeoutError", "OSError")),
            1,
            False,
        ),
    ],
)
def test_whether_a_failure_is_retried(
    policy: Retry, failure: Failure, failures: int, *, allowed: bool
):
    assert policy.allows(failure, failures=failures) is allowed


def test_a_node_without_a_policy_keeps_its_types():
    own = Retry(attempts=7, jitter=0.5)

    assert retry_from({}, own) == own


def test_retries_count_the_runs_after_the_first_and_attempts_all_of_them():
    assert retry_from({"retries": 2}).attempts == 3
    assert retry_from({"retries": 0}).attempts == 1
    assert retry_from({"retryPolicy": {"maxAttempts": 2}}).attempts == 2
    assert retry_from({"retries": 9, "retryPolicy": {"maxAttempts": 2}}).attempts == 2


def test_a_policy_is_read_in_milliseconds():
    backoff = {"type": "linear", "delay": 1500, "maxDelay": 60_000, "factor": 3, "jitter": 0.2}
    given = {"maxAttempts": 4, "backoff": backoff, "retryOn": ["A"], "giveUpOn": ["B"]}

    assert retry_from({"retryPolicy": given}) == Retry(
        attempts=4,
        backoff=LINEAR,
        base=timedelta(seconds=1.5),
        factor=3,
        ceiling=timedelta(minutes=1),
        jitter=0.2,
        retry_on=("A",),
        give_up_on=("B",),
    )
