"""Laws of redaction: a value is not seen, in whatever form it travels; the rest stays."""

from __future__ import annotations

import base64
import html
import json
from time import process_time
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spane_django.core.redaction import HIDDEN, Redactor

FORMS = {
    "plain": str,
    "in json": json.dumps,
    "in json, not escaped": lambda value: json.dumps(value, ensure_ascii=False),
    "in json in json": lambda value: json.dumps(json.dumps({"a": value})),
    "in a url": lambda value: quote(value, safe=""),
    "in a url, slashes left": quote,
    "in a url, much left": lambda value: quote(value, safe="!$&'()*,;=:@/?"),
    "in a url, lower case": lambda value: quote(value, safe="").lower(),
    "in a form": lambda value: urlencode({"token": value}),
    "in a query": quote_plus,
    "in html": html.escape,
    "in a repr": repr,
    "in ascii": ascii,
    "in hex": lambda value: value.encode().hex(),
    "in base64": lambda value: base64.b64encode(value.encode()).decode(),
    "in basic auth": lambda value: base64.b64encode(f"u:{value}".encode()).decode(),
    "in basic auth of a longer user": lambda v: base64.b64encode(f"us:{v}".encode()).decode(),
    "as a user name": lambda value: base64.b64encode(f"{value}:x-oauth".encode()).decode(),
    "in url-safe base64": lambda value: base64.urlsafe_b64encode(f"u:{value}".encode()).decode(),
}
VALUES = [
    "hunter2!",
    "pass",
    "ünïcödé ½ £",
    "q\"uo\\te's",
    "a+b/c=d&e?f %41",
    "two\nlines<b>",
    "½½½½",
]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("form", FORMS)
def test_a_value_is_hidden_in_every_form_that_it_travels_in(form: str, value: str):
    # Only what is one case throughout survives being put into lower case.
    value = value.lower() if form == "in a url, lower case" else value
    text = FORMS[form](value)

    hidden = Redactor([value]).text(f"before {text} after")

    assert text not in hidden
    assert HIDDEN in hidden
    assert hidden.startswith("before ")
    assert hidden.endswith(" after")


@given(st.text(min_size=4, max_size=30), st.binary(max_size=7), st.binary(max_size=7))
def test_base64_of_anything_around_a_value_does_not_give_it_away(value, before, after):
    raw = value.encode("utf-8", "surrogatepass")
    text = base64.b64encode(before + raw + after).decode()

    hidden = Redactor([value]).text(text)

    assert text != hidden
    assert HIDDEN in hidden


@given(st.text(min_size=4, max_size=30), st.text(), st.text())
def test_what_is_left_holds_no_value(value, before, after):
    hidden = Redactor([value]).text(before + value + after)

    assert value not in hidden.replace(HIDDEN, "") or value in before + after or HIDDEN in value


def test_all_of_json_is_looked_at_keys_and_numbers_too():
    redactor = Redactor(["hunter2", "4711"])

    hidden = redactor.json({"a": ["x hunter2", ("y", {"hunter2": 4711})], "n": 47110, "t": True})

    assert hidden == {"a": ["x ***", ["y", {"***": "***"}]], "n": 47110, "t": True}


def test_the_longer_value_goes_first():
    assert Redactor(["abcd", "xxabcdxx"]).text("abcd xxabcdxx") == "*** ***"


def test_lines_of_a_long_value_are_hidden_one_by_one():
    lines = ("MIIEvQIBADANBgkqhkiG9w0B", "AQEFAASCBKcwggSjAgEAAoIB")
    key = "\n".join(["-----BEGIN KEY-----", *lines, "-----END KEY-----", ""])

    hidden = Redactor([key]).text("bad line: AQEFAASCBKcwggSjAgEAAoIB in -----BEGIN KEY-----")

    assert hidden == "bad line: *** in -----BEGIN KEY-----"


@pytest.mark.parametrize("value", ["", "a", "abc"])
def test_what_is_too_short_is_left(value: str):
    redactor = Redactor([value])

    assert redactor.text("abc a") == "abc a"
    assert not redactor


def test_a_large_text_takes_linear_time():
    redactor = Redactor(["hunter2!x y", "s" * 40])
    text = "A+a%2" * 200_000

    began = process_time()
    assert redactor.text(text) == text
    assert process_time() - began < 2
