"""When patterns in time are due: against an oracle that walks every minute of the wall clock."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spane_django.core.misfire import Misfire, MisfirePolicy, due
from spane_django.core.ticks import Cron, Every, Once, Ticks, Within, latest, ticks_between

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

LAST = datetime.max.replace(tzinfo=UTC)
INSTANTS = st.integers(0, 40 * 366 * 86_400).map(
    lambda seconds: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)

# Clocks that jump by an hour, by half an hour, by a whole day, at midnight, and not at all.
AROUND_JUMPS = [
    ("Europe/Berlin", datetime(2025, 3, 30, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2025, 10, 26, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 6, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 5, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2025, 10, 4, 15, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2025, 4, 5, 15, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 11, 4, 3, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 2, 18, 2, tzinfo=UTC)),
    ("Africa/Casablanca", datetime(2025, 2, 23, 2, tzinfo=UTC)),
    ("Africa/Cairo", datetime(2024, 4, 25, 22, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
    ("Asia/Kolkata", datetime(2025, 3, 30, tzinfo=UTC)),
]


def cron(
    zone: str = "UTC",
    *,
    seconds: Collection[int] = (0,),
    minutes: Collection[int] = range(60),
    hours: Collection[int] = range(24),
    days: Collection[int] = range(1, 32),
    months: Collection[int] = range(1, 13),
    weekdays: Collection[int] = range(7),
) -> Cron:
    return Cron(
        seconds=frozenset(seconds),
        minutes=frozenset(minutes),
        hours=frozenset(hours),
        days=frozenset(days),
        months=frozenset(months),
        weekdays=frozenset(weekdays),
        zone=ZoneInfo(zone),
    )


def walked(pattern: Cron, begin: datetime, end: datetime) -> list[datetime]:
    """Return the ticks after ``begin`` up to ``end``, by walking every minute of the wall clock."""
    zone, found = pattern.zone, set()
    wall = (begin - 2 * DAY).replace(tzinfo=None, second=0, microsecond=0)
    while wall <= (end + 2 * DAY).replace(tzinfo=None):
        if fits(pattern, wall):
            first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
            second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
            found.add(first)
            if second > first and len(pattern.hours) == 24:
                found.add(second)
        wall += MINUTE
    return sorted(tick for tick in found if begin < tick <= end)


def fits(pattern: Cron, wall: datetime) -> bool:
    of_day = wall.minute in pattern.minutes and wall.hour in pattern.hours
    of_year = wall.day in pattern.days and wall.month in pattern.months
    return of_day and of_year and wall.isoweekday() % 7 in pattern.weekdays


def some(least: int, most: int) -> st.SearchStrategy[frozenset[int]]:
    return st.one_of(
        st.just(frozenset(range(least, most + 1))),
        st.frozensets(st.integers(least, most), min_size=1, max_size=4),
    )


def around(text: str) -> list[datetime]:
    return [datetime.fromisoformat(part).astimezone(UTC) for part in text.split()]


@settings(max_examples=150, deadline=None)
@given(
    where=st.sampled_from(AROUND_JUMPS),
    minutes=some(0, 59),
    hours=some(0, 23),
    weekdays=some(0, 6),
    offset=st.integers(-36 * 60, 36 * 60),
)
@example(AROUND_JUMPS[0], frozenset({30}), frozenset({2}), frozenset(range(7)), -60)
@example(AROUND_JUMPS[1], frozenset({30}), frozenset({2}), frozenset(range(7)), -60)
def test_ticks_are_those_of_a_walk_over_every_minute_of_the_wall_clock(
    where: tuple[str, datetime],
    minutes: frozenset[int],
    hours: frozenset[int],
    weekdays: frozenset[int],
    offset: int,
):
    zone, jump = where
    pattern = cron(zone, minutes=minutes, hours=hours, weekdays=weekdays)
    begin = jump + offset * MINUTE
    end = begin + 2 * DAY

    found = list(ticks_between(pattern, begin, end))

    assert found == walked(pattern, begin, end)


@settings(max_examples=60, deadline=None)
@given(
    days=some(1, 31),
    months=some(1, 12),
    weekdays=some(0, 6),
    begin=INSTANTS,
)
def test_the_next_tick_is_the_first_day_on_which_day_month_and_weekday_all_fit(
    days: frozenset[int], months: frozenset[int], weekdays: frozenset[int], begin: datetime
):
    pattern = cron(days=days, months=months, weekdays=weekdays, hours=[0], minutes=[0])
    first = begin.replace(hour=0, minute=0, second=0)
    midnights = (first + n * DAY for n in range(1, 41 * 366))

    found = pattern.after(begin)

    wanted = next((day for day in midnights if fits(pattern, day)), None)
    assert found == wanted


@given(
    seconds=st.integers(1, 100_000),
    anchor=INSTANTS,
    moment=INSTANTS,
)
def test_an_interval_never_drifts_from_its_anchor(seconds: int, anchor: datetime, moment: datetime):
    period = timedelta(seconds=seconds)
    every = Every(period, anchor)

    tick = every.after(moment)

    assert tick is not None
    assert not (tick - every.anchor) % period
    assert timedelta(0) < tick - moment <= period


@pytest.mark.parametrize(
    ("zone", "begin", "wanted"),
    [
        ("Europe/Berlin", "2025-03-29T12:00+01:00", "2025-03-30T03:30+02:00"),
        ("America/New_York", "2026-03-07T12:00-05:00", "2026-03-08T03:30-04:00"),
        ("Australia/Lord_Howe", "2025-10-05T00:00+10:30", "2025-10-05T02:30+11:00"),
    ],
)
def test_a_time_that_the_clocks_skip_counts_by_the_offset_before(
    zone: str, begin: str, wanted: str
):
    pattern = cron(zone, minutes=[30], hours=[2])

    found = pattern.after(datetime.fromisoformat(begin))

    assert found == datetime.fromisoformat(wanted)


@pytest.mark.parametrize(
    ("zone", "begin", "hour", "wanted"),
    [
        ("Europe/Berlin", "2025-10-25T12:00+02:00", 2,
         "2025-10-26T02:30+02:00 2025-10-27T02:30+01:00"),
        ("America/New_York", "2026-10-31T12:00-04:00", 1,
         "2026-11-01T01:30-04:00 2026-11-02T01:30-05:00"),
        ("Australia/Lord_Howe", "2025-04-05T12:00+11:00", 1,
         "2025-04-06T01:30+11:00 2025-04-07T01:30+10:30"),
    ],
)  # fmt: skip
def test_a_time_that_the_clocks_show_twice_comes_once(
    zone: str, begin: str, hour: int, wanted: str
):
    pattern = cron(zone, minutes=[30], hours=[hour])
    start = datetime.fromisoformat(begin)

    found = list(ticks_between(pattern, start, start + 2 * DAY))

    assert found == around(wanted)


@pytest.mark.parametrize(("zone", "jump"), AROUND_JUMPS)
def test_a_schedule_of_every_minute_goes_on_through_every_jump(zone: str, jump: datetime):
    begin = jump - DAY

    found = list(ticks_between(cron(zone), begin, begin + 3 * DAY))

    assert found == [begin + n * MINUTE for n in range(1, 3 * 24 * 60 + 1)]


def test_a_pattern_with_seconds_is_due_in_each_of_them():
    begin = datetime(2025, 1, 1, tzinfo=UTC)

    found = list(ticks_between(cron(seconds=[0, 20, 59]), begin, begin + MINUTE))

    assert [(tick - begin).total_seconds() for tick in found] == [20, 59, 60]


def test_a_day_that_never_comes_is_never_due():
    assert cron(days=[31], months=[2]).after(datetime(2025, 1, 1, tzinfo=UTC)) is None
    assert cron(days=[31], months=[12], hours=[0], minutes=[0]).after(LAST) is None
    assert (
        Every(DAY, datetime.max.replace(tzinfo=UTC)).after(datetime.max.replace(tzinfo=UTC)) is None
    )


def test_one_instant_is_due_once():
    at = datetime(2025, 1, 1, 12, tzinfo=ZoneInfo("Asia/Tokyo"))

    assert Once(at).after(at - MINUTE) == at
    assert Once(at).after(at) is None


def test_ticks_keep_within_their_start_and_their_end():
    begin = datetime(2025, 1, 1, tzinfo=UTC)
    within = Within(cron(minutes=[0]), begin + 2 * HOUR, begin + 5 * HOUR)

    found = list(ticks_between(within, begin, begin + DAY))

    assert [tick.hour for tick in found] == [2, 3, 4]


@given(most=st.integers(1, 50), minutes=st.integers(0, 5_000), every=st.integers(1, 4_000))
def test_the_latest_ticks_are_the_end_of_all_of_them(most: int, minutes: int, every: int):
    begin = datetime(2025, 1, 1, tzinfo=UTC)
    ticks, end = Every(every * MINUTE, begin), begin + minutes * MINUTE

    found = latest(ticks, begin, end, most)

    assert found == list(ticks_between(ticks, begin, end))[-most:]


NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)


def hours_due(misfire: Misfire, *, cap: int = 100, since: int = 0) -> list[int]:
    ticks: Ticks = cron(minutes=[0])
    policy = MisfirePolicy(misfire=misfire, cap=cap, grace=HOUR)
    return [tick.hour for tick in due(ticks, policy, since=NOW.replace(hour=since), now=NOW)]


def test_late_ticks_are_due_whatever_becomes_of_missed_ones():
    for misfire in Misfire:
        assert hours_due(misfire, cap=0, since=10) == [11, 12]


def test_missed_ticks_are_due_by_policy():
    assert hours_due(Misfire.SKIP) == [11, 12]
    assert hours_due(Misfire.ONCE) == [12]
    assert hours_due(Misfire.ALL) == list(range(1, 13))
    assert hours_due(Misfire.ALL, cap=3) == [8, 9, 10, 11, 12]
    assert hours_due(Misfire.ALL, cap=0) == [11, 12]


def test_a_month_of_missed_seconds_is_not_gone_through():
    every_second = Every(timedelta(seconds=1), NOW)
    looked: list[datetime] = []

    class Counting:
        def after(self, moment: datetime) -> datetime | None:
            looked.append(moment)
            return every_second.after(moment)

    policy = MisfirePolicy(misfire=Misfire.ALL, cap=100)
    found = due(Counting(), policy, since=NOW - 30 * DAY, now=NOW)

    assert len(found) == 100 + 61
    assert len(looked) < 1_000
