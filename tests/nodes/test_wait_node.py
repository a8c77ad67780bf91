"""``wait`` waits for a signal until its deadline, and hands the payload on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from spane_django.core.outcome import Failure, Permanent, WaitFor
from spane_django.nodes.base import Arrived
from spane_django.nodes.wait import WaitNode

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)


def arrived(payload):
    return lambda: Arrived(payload=payload, sent_at=NOW)


@pytest.mark.parametrize(
    ("config", "key", "until"),
    [
        ({}, None, None),
        ({"key": "order-7"}, "order-7", None),
        ({"key": 7}, "7", None),
        ({"key": ""}, "", None),
        ({"deadline": 1_500}, None, NOW + timedelta(seconds=1.5)),
        ({"deadline": "P1D"}, None, NOW + timedelta(days=1)),
    ],
)
def test_the_first_run_says_what_it_waits_for_and_how_long(context, faults, config, key, until):
    config = {"signal": "paid", **config}
    assert faults(WaitNode, config) == []

    answer = WaitNode().execute(context(config, now=NOW))

    checkpoint = {"round": 1, "until": until and until.isoformat()}
    assert answer == WaitFor(signal="paid", key=key, until=until, checkpoint=checkpoint)


@pytest.mark.parametrize("payload", [None, 0, {"cents": 5}])
def test_what_has_arrived_is_handed_on_as_it_is(context, payload):
    ctx = context({"signal": "paid"}, "input", read_signal=arrived(payload))

    assert WaitNode().execute(ctx) == payload


def test_what_arrived_counts_although_the_time_is_over_since(context):
    config = {"signal": "paid", "deadline": 1_000, "default": "late"}
    mark = {"round": 1, "until": NOW.isoformat()}
    ctx = context(config, checkpoint=mark, now=NOW + timedelta(1), read_signal=arrived("in time"))

    assert WaitNode().execute(ctx) == "in time"


def test_hurried_its_time_is_over(context):
    config = {"signal": "paid", "deadline": 1_000, "default": "hurried"}
    first = WaitNode().execute(context(config, now=NOW))

    again = WaitNode().execute(
        context(config, now=NOW + timedelta(seconds=0.5), checkpoint=first.checkpoint)
    )

    assert again == "hurried"


@pytest.mark.parametrize("default", [None, False, {"paid": False}])
def test_at_the_deadline_the_default_is_handed_on_whatever_it_is(context, default):
    config = {"signal": "paid", "deadline": 1_000, "default": default}
    mark = {"round": 1, "until": NOW.isoformat()}

    assert WaitNode().execute(context(config, checkpoint=mark, now=NOW)) == default


def test_without_a_default_the_deadline_is_a_failure_that_is_not_retried(context):
    mark = {"round": 1, "until": NOW.isoformat()}

    answer = WaitNode().execute(context({"signal": "paid"}, checkpoint=mark, now=NOW))

    assert isinstance(answer, Failure)
    assert (answer.type, answer.is_retryable) == ("SignalTimeout", False)


def test_another_round_waits_anew(context):
    config = {"signal": "paid", "deadline": 1_000}
    mark = {"round": 1, "until": NOW.isoformat()}

    answer = WaitNode().execute(context(config, checkpoint=mark, now=NOW, round=2))

    assert answer.until == NOW + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({}, "'signal' is a required property"),
        ({"signal": ""}, "should be non-empty"),
        ({"signal": "paid", "deadline": "soon"}, "must be a number of milliseconds"),
        ({"signal": "paid", "deadline": -1}, "'deadline' must not be negative"),
        ({"signal": "paid", "deadline": 1e300}, "'deadline' is too long"),
        ({"signal": "paid", "default": 1}, "give a 'deadline', too"),
        ({"signal": "paid", "key": None}, "None is not of type"),
        ({"signal": "paid", "name": "x"}, "'name' was unexpected"),
    ],
)
def test_a_wait_that_makes_no_sense_is_refused(faults, config, part):
    assert part in "; ".join(faults(WaitNode, config))


@pytest.mark.parametrize("key", [None, True, ["7"], {"a": 1}, 7.5])
def test_a_key_that_a_template_made_of_something_else_is_refused(context, key):
    with pytest.raises(Permanent, match="'key'"):
        WaitNode().execute(context({"signal": "paid", "key": key}))
