"""``condition`` and ``switch`` choose branches, ``merge`` joins them; data pass through."""

from __future__ import annotations

import pytest

from spane_django.core.outcome import Permanent, Result
from spane_django.nodes.condition import ConditionNode
from spane_django.nodes.merge import MergeNode
from spane_django.nodes.switch import SwitchNode


@pytest.mark.parametrize(
    ("total", "chosen"), [(150, ["big"]), (50, ["small", "cheap"]), (None, ["small", "cheap"])]
)
def test_a_condition_goes_on_with_one_of_its_branches(context, total, chosen):
    config = {"expression": "total > `100`", "then": "big", "else": ["small", "cheap"]}
    given = {"total": total}

    answer = ConditionNode().execute(context(config, given))

    assert answer == Result(data=given, next_nodes=chosen)


def test_a_condition_without_the_branch_that_holds_goes_on_nowhere(context):
    answer = ConditionNode().execute(context({"expression": "ok", "then": ["a"]}, {"ok": False}))

    assert answer.next_nodes == []


def test_the_branches_have_a_second_pair_of_names(context):
    config = {"expression": "@", "trueBranch": "yes", "falseBranch": "no"}

    assert ConditionNode().execute(context(config, 0)).next_nodes == ["yes"]
    assert ConditionNode().execute(context(config, "")).next_nodes == ["no"]


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({"then": ["a"]}, "'expression' is a required property"),
        ({"expression": "a ==", "then": ["a"]}, "ends too early"),
        ({"expression": "name == '{{ input.name }}'", "then": ["a"]}, "takes no {{ templates }}"),
        ({"expression": "a"}, "name a branch"),
        ({"expression": "a", "then": [1]}, "1 is not of type 'string'"),
        ({"expression": "a", "then": "x", "trueBranch": "y"}, "give one of 'then'"),
        ({"expression": "a", "than": ["x"]}, "'than' was unexpected"),
    ],
)
def test_a_condition_that_cannot_choose_is_refused(faults, config, part):
    assert part in "; ".join(faults(ConditionNode, config))


@pytest.mark.parametrize(
    ("value", "chosen"),
    [
        ("express", ["fast"]),
        (1, ["one"]),
        (1.0, ["one"]),
        (True, ["yes"]),
        (None, ["nothing"]),
        ("elsewhere", ["slow", "cheap"]),
    ],
)
def test_a_switch_compares_its_cases_with_the_text_of_the_value(context, value, chosen):
    cases = {"express": "fast", "1": ["one"], "true": ["yes"], "null": ["nothing"]}
    config = {"expression": "kind", "cases": cases, "default": ["slow", "cheap"]}
    given = {"kind": value}

    answer = SwitchNode().execute(context(config, given))

    assert answer == Result(data=given, next_nodes=chosen)


def test_a_switch_without_match_and_default_goes_on_nowhere(context):
    config = {"expression": "kind", "cases": {"a": ["x"]}}

    assert SwitchNode().execute(context(config, {"kind": "b"})).next_nodes == []


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({"expression": "kind"}, "'cases' is a required property"),
        ({"expression": "kind", "cases": {"a": [1]}}, "1 is not of type 'string'"),
        ({"expression": "kind[", "cases": {}}, "ends too early"),
    ],
)
def test_a_switch_that_cannot_choose_is_refused(faults, config, part):
    assert part in "; ".join(faults(SwitchNode, config))


PARENTS = {"b": {"x": 1, "y": 1}, "a": {"y": 2}}


@pytest.mark.parametrize(
    ("config", "merged"),
    [
        ({}, {"x": 1, "y": 2}),
        ({"mode": "object"}, {"x": 1, "y": 2}),
        ({"mode": "list"}, [{"x": 1, "y": 1}, {"y": 2}]),
        ({"mode": "keyed"}, PARENTS),
    ],
)
def test_a_merge_makes_one_value_of_several(context, config, merged):
    assert MergeNode().execute(context(config, PARENTS)) == merged


def test_a_merge_names_the_parents_that_it_cannot_merge(context):
    with pytest.raises(Permanent, match="something else: b, c"):
        MergeNode().execute(context({}, {"a": {}, "b": 1, "c": [1]}))


def test_a_merge_needs_several_parents(context, faults):
    with pytest.raises(Permanent, match="needs several parents"):
        MergeNode().execute(context({}, [1, 2]))
    assert "'zip' is not one of" in "; ".join(faults(MergeNode, {"mode": "zip"}))
