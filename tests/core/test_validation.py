"""Laws of schemas from strangers: they cost no more than the value is large."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spane_django.core.schema import faults_in, schema_faults

SECONDS = 3.0
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def doubling(steps: int, keyword: str = "allOf") -> dict[str, Any]:
    """Return a small schema that is applied two to the power of ``steps`` times."""
    defs: dict[str, Any] = {
        f"a{i}": {keyword: [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(steps)
    }
    return {"$defs": {**defs, f"a{steps}": {"type": "string"}}, "$ref": "#/$defs/a0"}


def told(schema: Any, value: Any) -> list[str]:
    began = process_time()
    found = [fault.message for fault in faults_in(schema, value, "input")]
    assert process_time() - began < SECONDS
    return found


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "a*a*a*a*a*a*a*b"])
def test_a_pattern_takes_time_that_grows_with_the_text_alone(pattern: str):
    assert told({"pattern": pattern}, "a" * 100_000 + "!")
    assert told({"patternProperties": {pattern: False}}, {"a" * 100_000 + "!": 1}) == []


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_references_that_double_are_given_up(keyword: str):
    (message,) = told(doubling(60, keyword), 1)

    assert "more steps than a value of this size may cost" in message


def test_a_reference_that_doubles_a_few_times_is_followed():
    assert told(doubling(8), "text") == []


def test_many_different_items_are_compared_by_hash():
    items = [{"id": number, "tags": ["a", {"b": number}]} for number in range(20_000)]

    assert told({"uniqueItems": True}, items) == []
    assert told({"uniqueItems": True}, [*items, items[0]])


@given(st.lists(JSON, max_size=5))
def test_items_are_unique_as_the_library_says(items: list[Any]):
    from jsonschema import Draft202012Validator

    expected = Draft202012Validator({"uniqueItems": True}).is_valid(items)

    assert (not list(faults_in({"uniqueItems": True}, items, ""))) == expected


@given(
    st.dictionaries(st.text("abc", max_size=2), JSON, max_size=4),
    st.dictionaries(st.sampled_from(["a", "b", "ab"]), st.just(True)),
    st.sampled_from([{}, {"^a": {"type": "integer"}}, {"b$": True, "c": {"type": "string"}}]),
)
def test_additional_properties_are_those_that_the_library_says(value, properties, patterns):
    from jsonschema import Draft202012Validator

    schema = {
        "properties": properties, "patternProperties": patterns, "additionalProperties": False,
    }  # fmt: skip
    expected = Draft202012Validator(schema).is_valid(value)

    assert (not list(faults_in(schema, value, ""))) == expected


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "(?=a)b"}, {"pattern": "("}, {"patternProperties": {"(a)\\1": {}}},
        {"unevaluatedProperties": False}, {"items": [{"unevaluatedItems": True}]},
        {"properties": {"a": {"pattern": "a{1,100000}"}}},
    ],
)  # fmt: skip
def test_what_cannot_be_bounded_is_a_fault_of_the_schema(schema: dict[str, Any]):
    assert list(schema_faults(schema, "inputSchema"))


def test_a_schema_that_was_let_in_before_says_so_when_it_is_applied():
    assert "is none that RE2 takes" in told({"pattern": "(?=a)b"}, "x")[0]
    assert "are not taken" in told({"unevaluatedProperties": False}, {})[0]


def test_the_end_of_a_pattern_is_the_end_of_the_text():
    assert told({"pattern": "^[a-z]+$"}, "abc") == []
    assert told({"pattern": "^[a-z]+$"}, "abc\n")


def test_a_value_that_nobody_may_see_is_not_repeated():
    schema = {"properties": {"value": {"type": "string", "writeOnly": True, "pattern": "^x"}}}

    assert "hunter2" not in str(told(schema, {"value": ["hunter2"]}))
    assert "hunter2" not in str(told(schema, {"value": "hunter2"}))
