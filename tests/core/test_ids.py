"""Identifiers that sort by the time at which they were made."""

from __future__ import annotations

import time

from spane_django.core.ids import uuid7


def test_an_id_is_a_uuid_of_version_7_that_tells_its_time():
    before = time.time_ns() // 1_000_000
    made = uuid7()
    after = time.time_ns() // 1_000_000

    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert before <= made.int >> 80 <= after


def test_ids_of_different_milliseconds_sort_by_age(monkeypatch):
    instants = [1_000_000, 2_000_000, 1_700_000_000_000_000_000, 2**47 * 1_000_000]
    made = []
    for instant in instants:
        monkeypatch.setattr(time, "time_ns", lambda instant=instant: instant)
        made.append(uuid7())

    assert sorted(made) == made
    assert sorted(map(str, made)) == list(map(str, made))


def test_ids_of_one_process_sort_by_age_even_when_the_clock_stands_or_goes_back(monkeypatch):
    now = time.time_ns()
    made = []
    for instant in [now] * 10_000 + [now - 5_000_000_000] * 10:
        monkeypatch.setattr(time, "time_ns", lambda instant=instant: instant)
        made.append(uuid7())

    assert sorted(made) == made


def test_ids_of_the_same_millisecond_differ(monkeypatch):
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)

    assert len({uuid7() for _ in range(1_000)}) == 1_000
