"""Histograms of durations: what is added up is as if it had been gathered together."""

from __future__ import annotations

import math
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from spane_django.core.histogram import added, bucket, quantile

durations = st.integers(0, 10**9).map(lambda ms: timedelta(milliseconds=ms))


def gathered(found: list[timedelta]) -> dict[str, int]:
    keys = [bucket(duration) for duration in found]
    return {key: keys.count(key) for key in keys}


@given(st.lists(durations), st.lists(durations))
def test_sums_are_what_was_gathered_together(one: list[timedelta], other: list[timedelta]):
    assert added([gathered(one), gathered(other)]) == gathered(one + other)


@given(st.lists(durations, min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_off_by_a_fifth_at_most(found: list[timedelta], share: float):
    exact = sorted(found)[math.ceil(share * len(found)) - 1]

    told = quantile(gathered(found), share)

    assert told is not None
    if exact >= timedelta(milliseconds=2):
        assert 0.8 <= told / exact <= 1.2


def test_of_nothing_there_is_no_quantile():
    assert quantile({}, 0.95) is None
