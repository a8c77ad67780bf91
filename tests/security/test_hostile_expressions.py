"""Expressions and schemas that would loop, grow or reach out: refused, or bounded by their data."""

from __future__ import annotations

from contextlib import suppress
from time import process_time
from typing import Any

import pytest

from spane_django.core.expressions import ExpressionError, evaluate, render, template_faults
from spane_django.core.json import UnstorableValue, encode
from spane_django.models import Execution
from tests.api.conftest import MakeApi, definition, run_flow

SECONDS = 6.0

REACHING = [
    "__class__", "@.__class__.__mro__", "a.__init__.__globals__", "to_string(@.__dict__)",
    '"__class__"', "keys(__builtins__)", "a | __subclasses__(@)", "import('os')", "eval('1')",
    "lambda: 0", "a[0].__class__", "values(@)[*].__class__", "{{ 7 * 7 }}", "a.b.func_globals",
]  # fmt: skip
GROWING = [
    " | ".join(["[@, @]"] * 30),
    "[" * 49 + "@" + "]" * 49,
    "join(to_string(@), [*])",
    "map(&map(&map(&map(&@, $), $), $), @)",
    "sort_by(@, &sort_by(@, &sort_by(@, &a)))",
    ".".join(["*"] * 200),
    "[]" * 500,
    "a" + "[?a]" * 300,
    "!" * 1_900 + "a",
    "a || " * 380 + "a",
    "(" * 900 + "a" + ")" * 900,
    "`" + "[" * 900 + "]" * 900 + "`",
]
DATA: Any = {"a": [{"a": list(range(200))}] * 50, "b": "text" * 1_000}


@pytest.mark.parametrize("expression", REACHING)
def test_no_expression_reaches_an_attribute(expression: str) -> None:
    try:
        found = evaluate(expression, {"a": [{"b": 1}], "f": "text"})
    except ExpressionError:
        return

    encode(found)
    assert "<" not in str(found)
    assert "class" not in str(found)


@pytest.mark.parametrize("expression", GROWING)
def test_no_expression_takes_much_longer_than_its_data_are_large(expression: str) -> None:
    began = process_time()

    with suppress(ExpressionError, UnstorableValue):
        encode(evaluate(expression, DATA))

    assert process_time() - began < SECONDS


@pytest.mark.parametrize(
    "text",
    [
        '{{ "' + '\\"' * 500_000, "{{ '" + "\\'" * 500_000, "{{ " + "{" * 1_000_000,
        "{" * 1_000_000, "{{ `" + "\\`" * 500_000, "{{ a " * 200_000, "}}" * 500_000,
        '{{ "a" ' * 100_000,
    ],
    ids=range(8),
)  # fmt: skip
def test_a_template_without_an_end_is_given_up_soon(text: str) -> None:
    began = process_time()

    list(template_faults({"x": text}, "config"))

    assert process_time() - began < SECONDS


def test_what_a_template_puts_in_is_no_template() -> None:
    scope: Any = {"input": {"x": "{{ secrets.a }} {{ input.x }}"}, "secrets": {"a": "hunter2"}}

    assert render({"v": "{{ input.x }}!"}, scope) == {"v": "{{ secrets.a }} {{ input.x }}!"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("schema", "data"),
    [
        ({"type": "string", "pattern": "^(a+)+$"}, "a" * 50_000 + "!"),
        ({"pattern": "^(([a-z])+.)+[A-Z]([a-z])+$"}, "a" * 50_000),
        ({"patternProperties": {"^(a|a)*$": {"type": "integer"}}}, {"a" * 50_000 + "!": 1}),
        ({"propertyNames": {"pattern": "(x+x+)+y"}}, {"x" * 50_000: 1}),
        ({"items": {"pattern": "a*a*a*a*a*b"}}, ["a" * 1_000] * 100),
        ({"uniqueItems": True}, [{"n": number} for number in range(20_000)]),
        (
            {"$defs": {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 3} for i in range(40)}
             | {"d40": True}, "$ref": "#/$defs/d0"},
            {},
        ),
    ],
    ids=range(7),
)  # fmt: skip
def test_no_input_schema_lets_an_input_hold_the_server_up(
    api_of: MakeApi, schema: dict[str, Any], data: Any
) -> None:
    api = api_of("publish_workflow", "run_workflow")
    assert api.post("/api/workflows", {**definition("a"), "inputSchema": schema}).status_code == 201
    began = process_time()

    answer = api.post("/api/workflows/flow/execute", {"initialData": data})

    assert answer.status_code in (202, 400)
    assert process_time() - began < SECONDS


@pytest.mark.django_db
@pytest.mark.parametrize("pattern", ["(?=a)", "(a)\\1", "a{1,100000}", "("])
def test_a_pattern_that_could_not_be_bounded_is_refused_when_it_is_published(
    api_of: MakeApi, pattern: str
) -> None:
    raw = {**definition("a"), "inputSchema": {"pattern": pattern}}

    answer = api_of("publish_workflow").post("/api/workflows", raw)

    assert answer.status_code == 422
    assert answer.json()["error"]["details"][0]["path"] == "inputSchema.pattern"


@pytest.mark.django_db
def test_a_template_that_explodes_fails_its_node_and_nothing_else(
    api_of: MakeApi, wakes: list[str]
) -> None:
    api = api_of("publish_workflow", "run_workflow", "view_execution")
    config = {"return": "{{ input | [@, @] | [@, @] | [@, @] | [@, @] }}"}

    key = run_flow(api, definition("a", a={**config, "retries": 0}), ["x" * 400_000])

    assert Execution.objects.get(pk=key).status in ("failed", "completed")
