"""What counts as JSON, and that it can be stored by any database."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spane_django.core.json import UnstorableValue, decode, encode, printable

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, width=32) | texts
finite = scalars.filter(lambda value: value not in (float("inf"), float("-inf")))
json_values = st.recursive(
    finite, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=8
)
no_json = st.binary() | st.sets(st.integers()) | st.complex_numbers()
anything = st.recursive(
    st.none() | st.floats() | st.text(st.characters()) | no_json,
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)


@given(json_values)
def test_what_is_json_comes_back_as_it_was(value: object):
    assert decode(encode(value)) == value


@given(anything)
def test_what_is_encoded_can_be_stored_by_postgresql_and_what_is_not_says_why(value: object):
    try:
        text = encode(value)
    except UnstorableValue as error:
        text = encode(str(error))

    assert text.encode("utf-8")
    assert not has_nul(json.loads(text, parse_constant=pytest.fail))


def has_nul(value: object) -> bool:
    if isinstance(value, dict):
        return any(has_nul(key) or has_nul(item) for key, item in value.items())
    if isinstance(value, list):
        return any(map(has_nul, value))
    return isinstance(value, str) and "\x00" in value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({1, 2}, "not JSON"),
        (..., "not JSON"),
        (b"bytes", "not JSON"),
        ({(1, 2): 3}, "not JSON"),
        (float("nan"), "not JSON"),
        ([float("inf")], "not JSON"),
        (CIRCLE, "not JSON"),
        ("a\x00b", "NUL"),
        ({"a\x00": 1}, "NUL"),
        ([{"deep": ("x", "\x00")}], "NUL"),
        ("\ud800", "surrogate"),
        ({"\udfff": 1}, "surrogate"),
    ],
    ids=repr,
)
def test_what_no_database_stores_is_refused_with_the_reason(value: object, reason: str):
    with pytest.raises(UnstorableValue, match=reason):
        encode(value)


def test_what_nests_without_end_is_refused():
    value: list[object] = []
    for _ in range(100_000):
        value = [value]

    with pytest.raises(UnstorableValue, match="nests too deeply"):
        encode(value)


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"in": inner}])
def test_what_is_encoded_can_be_decoded_deep_in_the_stack(wrap):
    def nested(levels):
        return wrap(nested(levels - 1)) if levels else 1

    def decoded_below(frames, text):
        return decode(text) if not frames else decoded_below(frames - 1, text)

    assert decoded_below(500, encode(nested(200))) == nested(200)
    assert encode([[] for _ in range(1_000)])
    with pytest.raises(UnstorableValue, match="nests too deeply: more than 200 levels"):
        encode(nested(201))


def test_a_backslash_before_u0000_is_no_nul():
    assert decode(encode("\\u0000")) == "\\u0000"


def test_a_limit_counts_the_bytes_of_the_text():
    assert encode("ääää", limit_bytes=10) == '"ääää"'
    with pytest.raises(UnstorableValue, match="measures 10 bytes; the limit is 9"):
        encode("ääää", limit_bytes=9)


@given(st.text(st.characters()))
def test_printable_text_can_be_stored_and_loses_nothing_that_could_be(text: str):
    shown = printable(text)

    assert "\x00" not in shown
    assert shown.encode("utf-8").decode("utf-8") == shown
    if text.isascii() and "\x00" not in text:
        assert shown == text
