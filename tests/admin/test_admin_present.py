"""Values become short, safe HTML."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spane_django.admin.present import ICONS, WORDS, brief, chip, length, pretty
from spane_django.core.statuses import ExecutionStatus, NodeStatus

SPANS = {
    timedelta(milliseconds=7): "7 ms",
    timedelta(milliseconds=999.7): "1.0 s",
    timedelta(seconds=1.23): "1.2 s",
    timedelta(seconds=59.96): "1 min 0 s",
    timedelta(seconds=125): "2 min 5 s",
    timedelta(hours=3, minutes=4): "3 h 4 min",
    timedelta(days=2, hours=5): "2 d 5 h",
    timedelta(seconds=-1): "0 ms",
}


@pytest.mark.parametrize(("span", "text"), SPANS.items(), ids=SPANS.values())
def test_a_duration_is_told_in_its_two_largest_units(span: timedelta, text: str) -> None:
    assert length(span) == f"<bdi>{text}</bdi>"


@pytest.mark.parametrize("status", [*ExecutionStatus, *NodeStatus])
def test_every_status_is_an_icon_and_a_word_and_a_colour(status: str) -> None:
    html = chip(status)

    assert ICONS[status] in html
    assert str(WORDS[status]) in html
    assert f"spane-{status}" in html


def test_large_json_is_cut_off_and_says_so() -> None:
    html = pretty({"rows": list(range(100_000))}, limit=500)

    assert len(html) < 800
    assert "Cut off after 500 characters" in html


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_no_json_gets_out_of_its_box(value: object) -> None:
    html = pretty(value, limit=200)

    assert html.count("<pre") == html.count("</pre>") == 1
    assert "<" not in html.partition(">")[2].partition("</pre>")[0]


@given(st.text())
def test_what_is_brief_is_one_short_line(text: str) -> None:
    assert len(brief(text, 20)) <= 20
    assert "\n" not in brief(text, 20)
