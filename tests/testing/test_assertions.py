"""Each assertion fails when it does not hold, and its message tells the whole story."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from spane_django import Delay, Permanent
from spane_django.models import Execution
from spane_django.testing import InlineEngine, make_workflow

from .shop import fulfilment

Assertion = Callable[[InlineEngine, Execution], object]


@pytest.fixture
def failed(spane: InlineEngine) -> Execution:
    """An order that was charged and could not be shipped."""
    spane.stub("charge", {"receipt": 1})
    spane.fail("ship", ConnectionError("the carrier is down"))
    execution = fulfilment().start({"name": "Ada"})
    spane.run_until_done()
    return execution


WRONG: list[tuple[Assertion, str]] = [
    (lambda spane, order: spane.assert_status(order, "running"), "it is failed, not running"),
    (lambda spane, order: spane.assert_completed(order), "it is failed, not completed"),
    (lambda spane, order: spane.assert_failed(order, "no stock"), "not 'no stock'"),
    (
        lambda spane, order: spane.assert_nodes(order, {"charge": "completed", "ship": "ready"}),
        "'ship' is failed, not ready",
    ),
    (lambda spane, order: spane.assert_nodes(order, {"shop": "ready"}), "it has no node 'shop'"),
    (
        lambda spane, order: spane.assert_path(order, ["ship", "charge"]),
        "it ran ['charge', 'ship'], not ['ship', 'charge']",
    ),
    (lambda spane, order: spane.assert_output(order, 7), "it is failed, not completed"),
    (
        lambda spane, order: spane.assert_output(order, 7, node="charge"),
        "the output of 'charge' is {\"receipt\": 1}, not 7",
    ),
]


@pytest.mark.parametrize(("assertion", "message"), WRONG)
def test_an_assertion_that_does_not_hold_says_so_and_tells_the_story(
    spane: InlineEngine, failed: Execution, assertion: Assertion, message: str
) -> None:
    with pytest.raises(AssertionError) as caught:
        assertion(spane, failed)

    told = str(caught.value)
    assert message in told
    assert f"Execution {failed.pk} of 'fulfilment' version 1 is failed." in told
    assert 'its input: {"name": "Ada"}' in told
    assert 'charge (shop-charge): completed, answered {"receipt": 1}' in told
    assert "ship (shop-ship): failed, attempt 3, ConnectionError: the carrier is down" in told
    assert "ConnectionError: the carrier is down" in told.splitlines()[-1]


RIGHT: list[Assertion] = [
    lambda spane, order: spane.assert_status(order, "failed"),
    lambda spane, order: spane.assert_failed(str(order.pk)),
    lambda spane, order: spane.assert_failed(order.pk, "carrier"),
    lambda spane, order: spane.assert_failed(order.pk, "ConnectionError"),
    lambda spane, order: spane.assert_nodes(order, {"charge": "completed", "ship": "failed"}),
    lambda spane, order: spane.assert_path(order, ["charge", "ship"]),
    lambda spane, order: spane.assert_output(order, {"receipt": 1}, node="charge"),
    lambda spane, order: spane.assert_nothing_pending(),
]


@pytest.mark.parametrize("assertion", RIGHT)
def test_an_assertion_that_holds_says_nothing(
    spane: InlineEngine, failed: Execution, assertion: Assertion
) -> None:
    assertion(spane, failed)


def test_an_output_that_is_another_is_told(spane: InlineEngine) -> None:
    execution = make_workflow({"a": []}).start({"n": 1})
    spane.run()

    with pytest.raises(AssertionError, match=r'its output is {"n": 1}, not {"n": 2}'):
        spane.assert_output(execution, {"n": 2})


def test_an_execution_that_is_gone_is_told(spane: InlineEngine) -> None:
    with pytest.raises(AssertionError, match="rolled back, or deleted"):
        spane.assert_completed(uuid.uuid4())


def test_everything_that_is_pending_is_told(spane: InlineEngine) -> None:
    spane.stub("wait", Delay(until=datetime(2100, 1, 1, tzinfo=UTC)))
    flow = make_workflow({"wait": ["end"]})
    first, second = flow.start("first"), flow.start("second")
    spane.run()

    with pytest.raises(AssertionError) as caught:
        spane.assert_nothing_pending()

    told = str(caught.value)
    assert "2 executions have not ended" in told
    assert str(first.pk) in told
    assert str(second.pk) in told
    assert "'wait' (attempt 1) waits another" in told


def test_the_story_tells_of_the_executions_that_it_started(spane: InlineEngine) -> None:
    make_workflow({"inner": []}, id="child")
    each = {"type": "map", "config": {"workflowId": "child", "toleratedFailures": 20}}
    flow = make_workflow({"each": []}, nodes={"each": each})
    spane.fail("inner", Permanent("no"), times=1)

    execution = flow.start(list(range(12)))
    spane.run_until_done()

    told = spane.story(execution)
    assert "child child[0]" in told
    assert "is failed" in told
    assert "and 2 more executions that it started" in told


def test_the_story_of_a_large_answer_is_short(spane: InlineEngine) -> None:
    spane.stub("a", "x" * 10_000)

    execution = make_workflow({"a": []}).start()
    spane.run()

    assert max(map(len, spane.story(execution).splitlines())) < 300
    spane.assert_output(execution, "x" * 10_000)


def test_a_large_payload_is_compared_as_a_whole(spane: InlineEngine) -> None:
    large = "x" * 300_000
    spane.stub("a", large)

    execution = make_workflow({"a": []}, timeout=timedelta(days=1)).start()
    spane.run()

    spane.assert_output(execution, large)
    spane.assert_output(execution, large, node="a")
