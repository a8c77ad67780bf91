"""Who goes next: rooms that are dealt out, and names that tell lanes apart."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from spane_django.core.lanes import COMMON, deal, gate_key, lane, pivot

gates = st.lists(st.sampled_from(["", "a", "b", "c"]), max_size=12)
frees = st.fixed_dictionaries(
    {"": st.none(), **{gate: st.one_of(st.none(), st.integers(0, 9)) for gate in "abc"}}
)
rooms = st.integers(0, 60)


@given(gates, rooms, frees)
def test_no_more_is_dealt_than_there_is_room_and_than_gates_let_through(lanes, room, free):
    shares = deal(lanes, room, free)

    assert sum(shares) <= room
    passed = Counter()
    for name, most in zip(lanes, shares, strict=True):
        passed[name] += most
    assert all(free[name] is None or count <= free[name] for name, count in passed.items())


@given(gates, rooms, frees)
def test_room_is_left_only_if_no_gate_lets_more_through(lanes, room, free):
    shares = deal(lanes, room, free)

    through = sum(room if free[name] is None else free[name] for name in set(lanes))
    assert sum(shares) == min(room, through)


@given(gates, rooms, frees)
def test_lanes_of_one_gate_differ_by_one_at_most_the_first_having_more(lanes, room, free):
    shares = deal(lanes, room, free)

    for gate in set(lanes):
        own = [most for name, most in zip(lanes, shares, strict=True) if name == gate]
        assert own == sorted(own, reverse=True)
        assert max(own) - min(own) <= 1


@given(gates, rooms, frees)
def test_a_lane_has_less_than_another_only_because_of_its_gate(lanes, room, free):
    shares = deal(lanes, room, free)

    passed = Counter()
    for name, most in zip(lanes, shares, strict=True):
        passed[name] += most
    for name, most in zip(lanes, shares, strict=True):
        is_shut = free[name] is not None and passed[name] == free[name]
        assert is_shut or most >= max(shares) - 1


def test_one_place_goes_to_each_lane_in_turn():
    lanes, served = ["a", "b", "c"], []
    last = None
    for _ in range(6):
        start = 0 if last is None else lanes.index(last) + 1
        turns = lanes[start:] + lanes[:start]
        shares = deal([""] * 3, 1, {"": None})
        served.append(turns[shares.index(1)])
        last = pivot(turns, shares)

    assert served == ["a", "b", "c", "a", "b", "c"]


def test_what_is_left_over_goes_to_other_lanes_next_time():
    shares = deal([""] * 3, 5, {"": None})

    assert shares == [2, 2, 1]
    assert pivot(["a", "b", "c"], shares) == "b"


def test_where_nothing_was_dealt_out_the_turn_stays():
    assert pivot([], []) is None
    assert pivot(["a", "b"], [0, 0]) is None


@given(st.text(max_size=300), st.text(max_size=300))
def test_names_fit_their_columns(base: str, key: str):
    gate = gate_key(base, key)

    assert len(gate) <= 150
    assert len(lane(gate, key)) <= 250


def test_what_is_too_long_for_a_name_is_still_told_apart():
    long = "x" * 300

    assert gate_key(long, "a") != gate_key(long, "b")
    assert lane("g", long + "a") != lane("g", long + "b")


def test_what_has_neither_gate_nor_key_waits_in_the_common_lane():
    assert lane("", "") == COMMON
    assert lane("g", "") != lane("", "g") != COMMON
