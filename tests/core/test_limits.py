"""How many may start: the rate against an oracle that keeps every start, the breaker as a table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from spane_django.core.limits import (
    Breaker,
    BreakerStatus,
    GateRow,
    Limit,
    Rate,
    after,
    allowance,
    breaker_from,
    ended,
    free,
    limit_from,
    opens_at,
    started,
)

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

rates = st.builds(
    Rate,
    st.integers(1, 1_000),
    st.integers(1_000, 10_000_000).map(lambda us: timedelta(microseconds=us)),
)
steps = st.lists(st.tuples(st.integers(0, 5_000_000), st.integers(0, 1_000)), max_size=40)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def gate(**values) -> GateRow:
    return GateRow("g", **values)


class Bucket:
    """A bucket of tokens, counted exactly."""

    def __init__(self, rate: Rate) -> None:
        self.rate, self.tokens, self.now = rate, Fraction(rate.count), NOON

    def wait(self, now: datetime) -> None:
        refilled = Fraction((now - self.now) // MICROSECOND, self.rate.per // MICROSECOND)
        self.tokens = min(Fraction(self.rate.count), self.tokens + refilled * self.rate.count)
        self.now = now


@given(rates, steps)
def test_a_rate_lets_through_what_a_bucket_of_tokens_would(rate: Rate, moves):
    bucket, full_at, now = Bucket(rate), None, NOON
    # Instants are whole microseconds: each start may be early by less than one.
    slack = Fraction(rate.count, rate.per // MICROSECOND)
    for number, (wait, wish) in enumerate(moves):
        now += wait * MICROSECOND
        bucket.wait(now)

        allowed = allowance(full_at, rate, now)

        assert bucket.tokens // 1 <= allowed <= bucket.tokens + slack * number
        taken = min(wish, allowed)
        full_at = after(full_at, rate, now, taken)
        bucket.tokens -= taken


@given(rates, st.integers(1, 1_000), st.integers(0, 1_000))
def test_what_was_not_taken_is_still_there(rate: Rate, first: int, second: int):
    first = min(first, rate.count)
    second = min(second, rate.count - first)

    at_once = after(None, rate, NOON, first + second)
    one_by_one = after(after(None, rate, NOON, first), rate, NOON, second)

    assert allowance(after(None, rate, NOON, first), rate, NOON) == rate.count - first
    assert timedelta() <= at_once - one_by_one <= MICROSECOND


@given(rates)
def test_an_empty_bucket_opens_at_the_instant_it_says_and_not_before(rate: Rate):
    full_at = after(None, rate, NOON, rate.count)

    opens = opens_at(full_at, rate)

    assert allowance(full_at, rate, opens) >= 1
    assert allowance(full_at, rate, opens - 2 * MICROSECOND) <= 1
    assert opens <= NOON + rate.per / rate.count + MICROSECOND


def test_two_a_second_start_half_a_second_apart_once_the_bucket_is_empty():
    rate = Rate(2, timedelta(seconds=1))
    full_at, starts, now = None, [], NOON
    while len(starts) < 6:
        count = allowance(full_at, rate, now)
        starts += [now] * count
        full_at = after(full_at, rate, now, count)
        now = opens_at(full_at, rate)

    assert starts == [at(s) for s in (0, 0, 0.5, 1, 1.5, 2)]


def test_the_least_of_all_limits_counts():
    both = gate(max_running=5, rate_count=3, rate_seconds=1.0)

    assert free(both, 0, NOON) == 3
    assert free(both, 4, NOON) == 1
    assert free(both, 9, NOON) == 0
    assert free(gate(), 1_000, NOON) is None


def test_a_rate_that_is_used_up_closes_the_gate_until_the_next_may_start():
    rated = gate(rate_count=2, rate_seconds=1.0)

    assert started(rated, 1, NOON)
    assert rated.blocked_until is None
    assert started(rated, 1, NOON)

    assert rated.blocked_until == at(0.5)
    assert (free(rated, 0, at(0.4)), free(rated, 0, at(0.5))) == (0, 1)


def test_a_rate_that_became_slower_closes_the_gate_though_nothing_starts():
    rated = gate(rate_count=1, rate_seconds=10.0, full_at=at(60))

    assert started(rated, 0, NOON)

    assert rated.blocked_until == at(60)


def test_a_gate_without_rate_and_breaker_never_changes():
    plain = gate(max_running=3)

    assert not started(plain, 3, NOON)
    assert not ended(plain, [False] * 100, NOON)
    assert plain == gate(max_running=3)


def test_a_breaker_opens_when_enough_have_failed_in_a_row():
    guarded = gate(failure_threshold=3, cooldown_seconds=30.0)

    ended(guarded, [False, False, True, False, False], NOON)
    assert (guarded.breaker, guarded.failures) == (BreakerStatus.CLOSED, 2)
    ended(guarded, [False], NOON)

    assert (guarded.breaker, guarded.blocked_until) == (BreakerStatus.OPEN, at(30))
    assert (free(guarded, 0, at(29.9)), free(guarded, 0, at(30))) == (0, 1)


def test_an_open_breaker_learns_nothing_from_what_began_before_it_opened():
    guarded = gate(failure_threshold=1, breaker=BreakerStatus.OPEN, blocked_until=at(30))

    assert not ended(guarded, [True, False, True], NOON)


def test_one_node_at_a_time_tries_a_breaker_that_has_cooled_down():
    guarded = gate(failure_threshold=3, breaker=BreakerStatus.OPEN, blocked_until=at(30))

    assert started(guarded, 1, at(31))

    assert guarded.breaker is BreakerStatus.HALF_OPEN
    assert (free(guarded, 1, at(31)), free(guarded, 0, at(32))) == (0, 1)


def test_one_failed_try_opens_the_breaker_again():
    guarded = gate(failure_threshold=3, success_threshold=2, breaker=BreakerStatus.HALF_OPEN)

    ended(guarded, [True, False], NOON)

    assert (guarded.breaker, guarded.blocked_until) == (BreakerStatus.OPEN, at(30))


def test_enough_successful_tries_close_the_breaker():
    guarded = gate(failure_threshold=3, success_threshold=2, breaker=BreakerStatus.HALF_OPEN)

    ended(guarded, [True], NOON)
    assert guarded.breaker is BreakerStatus.HALF_OPEN
    ended(guarded, [True], NOON)

    assert (guarded.breaker, guarded.failures, guarded.successes) == (BreakerStatus.CLOSED, 0, 0)
    assert free(guarded, 100, NOON) is None


@given(
    st.lists(
        st.one_of(st.booleans(), st.just("start")),
        max_size=60,
    ),
    st.integers(1, 4),
    st.integers(1, 3),
)
def test_a_breaker_changes_as_its_rule_says_whatever_happens(events, failures: int, successes: int):
    guarded = gate(failure_threshold=failures, success_threshold=successes, cooldown_seconds=1.0)
    statuses = [guarded.breaker]
    for number, event in enumerate(events):
        now = at(number)
        if event == "start":
            started(guarded, min(1, free(guarded, 0, now) or 0), now)
        else:
            ended(guarded, [event], now)
        statuses.append(guarded.breaker)
        assert guarded.failures < failures
        assert guarded.successes < successes
        assert (guarded.breaker is BreakerStatus.OPEN) <= (guarded.blocked_until is not None)

    closed, is_open, half = BreakerStatus.CLOSED, BreakerStatus.OPEN, BreakerStatus.HALF_OPEN
    legal = {(closed, is_open), (is_open, half), (half, is_open), (half, closed)}
    assert {pair for pair in pairwise(statuses) if pair[0] is not pair[1]} <= legal


def test_limits_are_read_from_the_wire():
    given_ = {"max": 3, "rate": {"count": 10, "perMs": 500}, "perKey": True, "name": "crm"}

    assert limit_from(given_) == Limit(
        max=3, rate=Rate(10, timedelta(seconds=0.5)), per_key=True, name="crm"
    )
    assert limit_from({}) == Limit()


def test_breakers_are_read_from_the_wire():
    given_ = {"failureThreshold": 2, "successThreshold": 3, "timeout": 1_500}

    assert breaker_from(given_) == Breaker(failures=2, successes=3, cooldown=timedelta(seconds=1.5))
    assert breaker_from({}) == Breaker()
