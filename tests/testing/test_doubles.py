"""Doubles stand in for the code of nodes, and for nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from spane_django import Context, InvalidDefinition, Permanent, Result
from spane_django.testing import InlineEngine, make_workflow

from .shop import Carrier, fulfilment

AB = {"a": ["b"]}


def test_calls_are_noted_with_what_they_were_given(spane: InlineEngine) -> None:
    spane.stub("charge", {"receipt": 1})

    execution = fulfilment().start({"name": "Ada"})
    spane.run()

    (call,) = spane.calls("ship")
    assert (call.input, call.config) == ({"receipt": 1}, Carrier(to="Ada"))
    assert (call.execution_id, call.attempt, call.node_type) == (execution.pk, 1, "shop-ship")
    assert spane.calls(type="shop-ship") == [call]
    assert spane.calls("ship", workflow="another") == []


def test_a_call_is_noted_as_it_was_whatever_the_node_does_with_it(spane: InlineEngine) -> None:
    spane.stub("a", does=lambda ctx: ctx.input.clear())

    make_workflow(AB).start({"n": 1})
    spane.run()

    assert spane.calls("a")[0].input == {"n": 1}


def test_a_stub_of_a_type_is_for_all_its_nodes(spane: InlineEngine) -> None:
    spane.stub(type="test-step", returns=7)

    execution = make_workflow(AB).start()
    spane.run()

    spane.assert_output(execution, 7, node="a")
    spane.assert_output(execution, 7, node="b")


def test_a_stub_may_be_of_one_workflow(spane: InlineEngine) -> None:
    spane.stub("a", 1, workflow="one")

    one, other = make_workflow({"a": []}, id="one"), make_workflow({"a": []}, id="other")
    first, second = one.start(0), other.start(0)
    spane.run()

    spane.assert_output(first, 1)
    spane.assert_output(second, 0)


def test_the_latest_stub_counts(spane: InlineEngine) -> None:
    spane.stub("a", "first")
    spane.stub(type="test-step", returns="second")

    execution = make_workflow({"a": []}).start()
    spane.run()

    spane.assert_output(execution, "second")


@pytest.mark.parametrize("fails_first", [True, False])
def test_failures_come_before_stubs_whichever_was_said_first(
    spane: InlineEngine, fails_first: bool
) -> None:
    if fails_first:
        spane.fail("a", ValueError("no"), times=1)
    spane.stub("a", "stubbed")
    if not fails_first:
        spane.fail("a", ValueError("no"), times=1)

    execution = make_workflow({"a": []}).start()
    spane.run_until_done()

    spane.assert_output(execution, "stubbed")
    assert len(spane.calls("a")) == 2


def test_after_its_failures_the_nodes_own_code_is_back(spane: InlineEngine) -> None:
    spane.fail("a", times=1)

    execution = make_workflow({"a": []}).start("real")
    spane.run_until_done()

    spane.assert_output(execution, "real")


def test_a_failure_that_is_permanent_is_not_tried_again(spane: InlineEngine) -> None:
    spane.fail("a", Permanent("no such card"))

    execution = make_workflow(AB).start()
    spane.run_until_done()

    spane.assert_failed(execution, "no such card")
    assert len(spane.calls("a")) == 1


def test_a_stub_may_answer_whatever_a_node_may(spane: InlineEngine) -> None:
    spane.stub("a", Result.failure("out of stock"))

    execution = make_workflow(AB).start()
    spane.run()

    spane.assert_failed(execution, "out of stock")


def test_a_stub_may_do_what_it_likes_with_the_context(spane: InlineEngine) -> None:
    def body(ctx: Context) -> Any:
        ctx.log.info("hello", n=1)
        return {"attempt": ctx.attempt, "was": ctx.input}

    spane.stub("a", does=body)

    execution = make_workflow({"a": []}).start(7)
    spane.run()

    spane.assert_output(execution, {"attempt": 1, "was": 7})
    assert [line.message for line in execution.log_lines.all()] == ["hello"]


def test_what_a_stub_answers_cannot_be_changed_by_who_receives_it(spane: InlineEngine) -> None:
    answer = {"items": [1]}
    spane.stub("a", answer)
    spane.stub("b", does=lambda ctx: ctx.input["items"].append(2))

    flow = make_workflow(AB)
    flow.start()
    flow.start()
    spane.run()

    assert [call.input for call in spane.calls("b")] == [{"items": [1]}, {"items": [1]}]
    assert answer == {"items": [1]}


def test_the_config_of_a_stubbed_node_is_checked_all_the_same(spane: InlineEngine) -> None:
    spane.stub("a", {})

    with pytest.raises(InvalidDefinition, match="carrier"):
        make_workflow(AB, nodes={"a": {"type": "shop-ship", "config": {"carrier": 7}}})


def test_a_stubs_answer_must_be_fit_to_be_stored(spane: InlineEngine) -> None:
    spane.stub("a", object())

    execution = make_workflow({"a": []}).start()
    spane.run_until_done()

    spane.assert_failed(execution, "UnstorableOutput")


def test_it_must_be_said_which_nodes_are_meant(spane: InlineEngine) -> None:
    with pytest.raises(ValueError, match="say which nodes"):
        spane.stub(returns=7)


def test_a_failure_happens_at_least_once(spane: InlineEngine) -> None:
    with pytest.raises(ValueError, match="times is 0"):
        spane.fail("a", times=0)
