"""Templates fill in what they name, and say beforehand what they read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spane_django.core.expressions import (
    ExpressionError,
    has_templates,
    referenced_results,
    render,
    template_faults,
)
from spane_django.core.json import encode

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

SCOPE = {
    "input": {"name": "Ada", "age": 36, "tags": ["x", "y"], "nothing": None, "ok": True},
    "results": {"send-mail": {"status": "sent"}, "1st": {"n": 1}},
    "initial": {"id": 7},
    "execution": {"id": "e1", "workflowId": "w", "attempt": 1},
}


class Lazy(Mapping[str, object]):
    """A mapping that remembers what was asked of it."""

    def __init__(self, values: dict[str, object]) -> None:
        self.inner = values
        self.asked: list[str] = []

    def __getitem__(self, key: str) -> object:
        self.asked.append(key)
        return self.inner[key]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("nobody may ask for everything")

    def __len__(self) -> int:
        return len(self.inner)


@given(json_values)
def test_rendering_a_config_without_templates_changes_nothing(config):
    if not has_templates(config):
        assert render(config, SCOPE) == config
        assert referenced_results(config) == set()
        assert list(template_faults(config, "config")) == []


@given(st.dictionaries(st.sampled_from(["name", "x"]), json_values), expression_like)
def test_a_rendered_config_can_always_be_stored(data, text):
    config = {"typed": "{{ input.name }}", "text": "= {{ input }}", "any": text}

    try:
        rendered = render(config, {**SCOPE, "input": data})
    except ExpressionError:
        assert list(template_faults(config, "config"))
    else:
        assert encode(rendered)


@given(json_values)
def test_a_string_that_is_one_template_keeps_the_type_of_its_value(value):
    rendered = render({"whole": "{{ input }}"}, {"input": value})["whole"]

    assert rendered == value
    assert type(rendered) is type(value)


@given(texts)
def test_what_was_filled_in_is_never_looked_at_again(text):
    hostile = text + "{{ initial.id }}"

    assert render("{{ input }}", {"input": hostile, "initial": {"id": 1}}) == hostile
    assert render("<{{ input }}>", {"input": hostile, "initial": {"id": 1}}) == f"<{hostile}>"


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ("Hello {{ input.name }}!", "Hello Ada!"),
        ("{{input.name}}{{input.age}}", "Ada36"),
        ("[{{ input.nothing }}]", "[]"),
        ("{{ input.tags }};{{ input.ok }}", '["x","y"];true'),
        ("{{ results.send-mail.status }}", "sent"),
        ('{{ results."1st".n }}', 1),
        ("{{ results.unknown.status }}", None),
        ("{{ execution.attempt }}/{{ initial.id }}", "1/7"),
        ("{{ {a: {b: input.age}} }}", {"a": {"b": 36}}),
        ("{{{a: {b: input.age}}}}", {"a": {"b": 36}}),
        ("{{ '}}' }}", "}}"),
        ("{{ not_null(input.nothing, '{{') }}", "{{"),
        ("{{{{ input.name }}", "{{ input.name }}"),
        ("{{{{{{ input.name }}", "{{Ada"),
        ("}} { } {", "}} { } {"),
        ("{{\n  input.name\n}}", "Ada"),
    ],
)
def test_templates_are_filled_in(template, rendered):
    assert render(template, SCOPE) == rendered


def test_keys_and_other_values_are_left_alone():
    config = {"{{ input.name }}": [1, None, True, {"deep": ["{{ input.age }}"]}]}

    assert render(config, SCOPE) == {"{{ input.name }}": [1, None, True, {"deep": [36]}]}
    assert config["{{ input.name }}"][3] == {"deep": ["{{ input.age }}"]}


def test_every_faulty_template_is_listed_with_its_path():
    config = {
        "url": "https://x/{{ input. }}/{{ secret.key }}",
        "fine": "{{ input.name }}",
        "list": ["ok", {"body": "{{ input.name"}],
        "whole": "{{ results }}",
        "empty": "{{ }}",
    }

    faults = [(fault.path, fault.code) for fault in template_faults(config, "nodes[2].config")]

    assert faults == [
        ("nodes[2].config.url", "template"),
        ("nodes[2].config.url", "template"),
        ("nodes[2].config.list[1].body", "template"),
        ("nodes[2].config.whole", "template"),
        ("nodes[2].config.empty", "template"),
    ]


@pytest.mark.parametrize(
    "template",
    [
        *("{{ @ }}", "{{ * }}", "{{ results }}", "{{ results.* }}", "{{ keys(results) }}"),
        *(
            "{{ results || input }}",
            "{{ [input, results] }}",
            "{{ results[] }}",
            "{{ @.results | @ }}",
        ),
        *("{{ results == input }}", "{{ !results }}", "{{ {a: @} }}", "{{ __class__ }}"),
    ],
)
def test_a_template_says_which_results_it_reads(template):
    faults = [fault.message for fault in template_faults(template, "")]

    assert len(faults) == 1
    with pytest.raises(ExpressionError):
        render(template, SCOPE)


@pytest.mark.parametrize(
    ("template", "read"),
    [
        ("{{ results.a.b.results.c }}", {"a"}),
        ("{{ results.a || results.b-c }} {{ results.d }}", {"a", "b-c", "d"}),
        ("{{ results.[a, b.x] }}", {"a", "b"}),
        ("{{ results.{x: a.y, z: b} | x }}", {"a", "b"}),
        ("{{ results | a }}", {"a"}),
        ("{{ @.results.a }}", {"a"}),
        ("{{ map(&results.b, results.a) }}", {"a"}),
        ("{{ results.a[?results.b == x].results }}", {"a"}),
        ("{{ results.a[0].b[1:].c }}", {"a"}),
        ("{{ input.results.a }}", set()),
        ("{{ 'results.a' }} {{{{ results.b }}", set()),
        ("{{ results. }}", set()),
    ],
)
def test_the_results_that_templates_read_are_known_beforehand(template, read):
    assert referenced_results({"deep": [template]}) == read


@given(expression_like)
def test_rendering_reads_no_other_results_than_announced(text):
    template = "{{ " + text + " }}"
    results = Lazy({})

    with contextlib.suppress(ExpressionError):
        render(template, {"input": {"a": [{"b": 1}]}, "results": results})

    assert set(results.asked) <= referenced_results(template)


def test_lazy_results_are_read_one_by_one():
    results = Lazy({"a": {"x": 1}, "b": {"x": 2}})

    rendered = render(["{{ results.a.x }}", "-{{ results.missing }}-"], {"results": results})

    assert rendered == [1, "--"]
    assert set(results.asked) == {"a", "missing"}


def test_a_config_that_nests_too_deeply_is_an_error_like_others():
    config = "{{ input }}"
    for _ in range(2_000):
        config = [config]

    assert has_templates(config)
    with pytest.raises(ExpressionError, match="nests too deeply"):
        render(config, SCOPE)
