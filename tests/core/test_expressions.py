"""Expressions find what they name, and nothing more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spane_django.core.expressions import (
    ExpressionError,
    check,
    evaluate,
    is_true,
)
from spane_django.core.language import MAX_RESULT, InvalidExpression, parse
from spane_django.core.outcome import Permanent

texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
finite = scalars.filter(lambda value: value not in (float("inf"), float("-inf")))
json_values = st.recursive(
    finite, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=20
)
VOCABULARY = (
    "a results input b-c . * [ ] [] [? ( ) { } : , & | || && ! == < 'x' `1` @ 0 -1 length map "
    '"q" {{ }}'
)
fragments = st.sampled_from([" ", *VOCABULARY.split()])
expression_like = st.lists(fragments, max_size=12).map("".join) | texts

INPUT = {"name": "Ada", "age": 36, "tags": ["x", "y"], "nothing": None, "ok": True}


class Impostor:
    """An object that would answer anybody who asks."""

    secret = "s3cret"

    def get(self, name: str) -> str:
        return self.secret

    def values(self) -> list[str]:
        return [self.secret]


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("name", "Ada"),
        ("age > `18` && ok", True),
        ("tags[-1]", "y"),
        ("nothing.at.all", None),
        ("length(tags)", 2),
        ("{n: name, a: age}", {"n": "Ada", "a": 36}),
        ("join(', ', tags)", "x, y"),
        ("to_string(tags)", '["x","y"]'),
    ],
)
def test_an_expression_finds_what_it_names(expression, found):
    assert evaluate(expression, INPUT) == found


def test_names_with_dashes_need_no_quotes():
    data = {"send-mail": {"is-sent": True}, "step-1": 5}

    assert evaluate("send-mail.is-sent", data) is True
    assert evaluate("step-1", data) == 5
    assert evaluate('"send-mail"."is-sent"', data) is True
    assert evaluate("'send-mail'", data) == "send-mail"


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("", "empty"),
        ("a.b[", "ends too early, at character 4"),
        ("a b", "unexpected 'b' at character 3"),
        ("a = b", "unknown token '=' at character 3"),
        ("'open", "unclosed ' delimiter at character 1"),
        ("`open", "unclosed ` delimiter"),
        ("`no json`", "must be JSON"),
        ("shout(a)", "unknown function shout(); known are abs"),
        ("length(a, b)", "takes 1 arguments, not 2"),
        ("not_null()", "at least 1"),
        ("map(a, b)", "map() takes an expression such as &name as argument 1"),
        ("&a", "'&' stands only before"),
        ("to_string(&a)", "'&' stands only before"),
        ("x" * 2_001, "longer than 2,000 characters"),
        ("(" * 51 + "a" + ")" * 51, "more than 50 levels"),
        ("!" * 1_500 + "a", "more than 50 levels"),
        ("a||" * 600 + "a", "more than 50 levels"),
        ("`" + "[" * 1_500 + "`", "levels"),
    ],
)
def test_a_faulty_expression_is_described_in_a_sentence(expression, part):
    assert part in (check(expression) or "")
    with pytest.raises(ExpressionError) as raised:
        evaluate(expression, {})
    assert part in str(raised.value)


@given(expression_like)
def test_every_text_is_an_expression_or_has_a_fault(text):
    fault = check(text)

    if fault is None:
        parse(text)
    else:
        with pytest.raises(InvalidExpression):
            parse(text)


@given(expression_like, json_values)
def test_an_evaluation_answers_json_or_says_why_not(text, data):
    try:
        found = evaluate(text, data)
    except Permanent as error:
        found = str(error)

    assert type(found) in (dict, list, str, int, float, bool, type(None))


@pytest.mark.parametrize(
    "expression",
    [
        "get",
        "secret",
        "values",
        "__class__",
        "__class__.__mro__",
        "__dict__.secret",
        "*",
        "*.x",
        "[0]",
        "[]",
    ],
)
@pytest.mark.parametrize("data", [Impostor(), "text", 7, True, ["text"], {"name": "Ada"}])
def test_attributes_of_python_objects_cannot_be_reached(expression, data):
    found = evaluate(expression, data)

    assert Impostor.secret not in str(found)
    assert found in (None, [], ["Ada"], ["text"], "text")


@pytest.mark.parametrize("expression", ["@", "[@]", "{a: @}", "to_string(@)", "to_array(@)"])
def test_what_is_not_json_never_leaves_an_expression(expression):
    with pytest.raises(ExpressionError, match="Impostor, which is not JSON"):
        evaluate(expression, Impostor())


@pytest.mark.parametrize(
    ("expression", "data"),
    [
        ("keys(@)", "hunter2"),
        ("sort(@)", ["hunter2", 1]),
        ("@[0] < @[1]", ["hunter2", 1]),
        ("ceil(@)", float("inf")),
        ("avg(@)", [10**400]),
        ("@[0:1:0]", ["hunter2"]),
    ],
)
def test_a_failed_evaluation_names_the_expression_and_not_the_data(expression, data):
    with pytest.raises(ExpressionError) as raised:
        evaluate(expression, data)

    assert expression in str(raised.value)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "bomb",
    [
        "|".join(["[@,@][]"] * 30),
        "|".join(["[@,@]"] * 30) + "|to_string(@)",
        "[" + ",".join(["@"] * 129) + "][]",
        "[].{" + ",".join(f"k{i}: @" for i in range(129)) + "}",
        "map(&[@,@,@,@,@,@,@,@,@,@,@,@], [@,@,@,@,@,@,@,@,@,@,@,@])",
        "join('', [@,@])|" * 20 + "@",
        "map(&'" + "x" * 1_900 + "', [@,@])",
    ],
)
def test_an_expression_that_multiplies_its_input_without_measure_is_refused(bomb):
    assert "may multiply what it reads" in (check(bomb) or "")


@pytest.mark.parametrize(
    ("expression", "data"),
    [
        ("join(separator, parts)", {"separator": "x" * 10_000_000, "parts": [""] * 1_000_000}),
        ("[@,@,@]", "x" * (MAX_RESULT // 2)),
        ("to_string([@,@,@])", "x" * (MAX_RESULT // 2)),
    ],
)
def test_a_result_too_large_to_store_is_refused(expression, data):
    with pytest.raises(ExpressionError, match="larger than 16,000,000"):
        evaluate(expression, data)


def test_a_literal_belongs_to_whoever_evaluates_it():
    evaluate("`[1]`", None).append(2)

    assert evaluate("`[1]`", None) == [1]


@pytest.mark.parametrize("value", [None, False, "", [], {}])
def test_nothing_and_emptiness_are_false(value):
    assert not is_true(value)


@pytest.mark.parametrize("value", [True, 0, 0.0, 1, "0", " ", [None], {"a": None}])
def test_everything_else_is_true(value):
    assert is_true(value)
