"""Histograms of durations that can be added up: buckets that grow by the square root of two.

Bucket ``n`` holds durations from ``2 ** (n / 2)`` milliseconds up to the next; shorter ones are
in bucket 0.  A quantile is told as the middle of its bucket, so it is off by at most a fifth.  As
JSON only buckets that hold something are written: ``{"14": 3}``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import timedelta

Histogram = dict[str, int]

_LARGEST = 100


def bucket(duration: timedelta) -> str:
    """Return the bucket of a duration."""
    milliseconds = duration / timedelta(milliseconds=1)
    number = int(2 * math.log2(milliseconds)) if milliseconds > 1 else 0
    return str(min(number, _LARGEST))


def added(histograms: Iterable[Mapping[str, int]]) -> Histogram:
    """Return the sum of histograms."""
    total: Histogram = {}
    for histogram in histograms:
        for key, count in histogram.items():
            total[key] = total.get(key, 0) + count
    return total


def quantile(histogram: Mapping[str, int], share: float) -> timedelta | None:
    """Return the duration that this share of all do not exceed; None of none.

    Args:
        share: From 0 to 1, such as 0.95.
    """
    left = math.ceil(share * sum(histogram.values()))
    for number in sorted(map(int, histogram)):
        left -= histogram[str(number)]
        if left <= 0:
            return timedelta(milliseconds=2 ** ((number + 0.5) / 2))
    return None
