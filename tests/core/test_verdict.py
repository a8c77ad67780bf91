"""What becomes of an attempt: the outcome under the node's policy, as one event."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spane_django.core.outcome import Delay, Failure, Lost, Outcome, Result, Returned
from spane_django.core.retry import Retry
from spane_django.core.statuses import NodeEvent, NodeStatus, after_node
from spane_django.core.verdict import Budget, Policy, Verdict, judge

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
FRESH = Budget()
BOOM = Failure(message="boom")
OUTCOMES: list[Outcome] = [Result(), Delay(NOON), BOOM, Lost(), Returned()]


def verdict(outcome: Outcome, budget: Budget = FRESH, **policy: object) -> Verdict:
    return judge(outcome, Policy(**policy), budget, now=NOON)


def test_a_result_completes_with_its_data_and_its_choice():
    said = verdict(Result({"x": 1}, next_nodes=("b",)))

    assert (said.event, said.data, said.next_nodes) == (NodeEvent.COMPLETED, {"x": 1}, ["b"])


def test_a_result_that_chose_nothing_is_not_one_that_chose_no_child():
    assert verdict(Result()).next_nodes is None
    assert verdict(Result(next_nodes=[])).next_nodes == []


def test_a_failure_within_its_budget_is_retried_after_the_policys_wait():
    said = verdict(BOOM, Budget(failures=1))

    assert (said.event, said.budget) == (NodeEvent.RETRIED, Budget(failures=2))
    assert (said.available_at, said.failure) == (NOON + 2 * SECOND, BOOM)


def test_a_failure_may_name_its_own_wait():
    said = verdict(Failure(message="busy", retry_after=timedelta(minutes=5)))

    assert said.available_at == NOON + timedelta(minutes=5)


def test_no_wait_is_too_long_for_a_date():
    said = verdict(Failure(message="busy", retry_after=timedelta.max))

    assert said.available_at is not None
    assert said.available_at > NOON + timedelta(days=365)


def test_the_last_failure_is_final():
    said = verdict(BOOM, Budget(failures=2))

    assert (said.event, said.failure, said.available_at) == (NodeEvent.FAILED, BOOM, None)


def test_a_failure_that_cannot_be_retried_is_final_at_once():
    assert verdict(Failure(message="no", is_retryable=False)).event is NodeEvent.FAILED


def test_continuing_turns_the_last_failure_into_data():
    said = verdict(BOOM, continues=True, retry=Retry(attempts=1))

    assert (said.event, said.failure) == (NodeEvent.COMPLETED, BOOM)
    assert said.data == {
        "error": "boom",
        "_metadata": {"continuedOnFail": True, "originalError": "boom"},
    }


def test_continuing_retries_first():
    assert verdict(BOOM, continues=True).event is NodeEvent.RETRIED


def test_a_delay_uses_up_nothing():
    said = verdict(Delay(NOON + SECOND, {"page": 2}), Budget(failures=1, losses=1))

    assert (said.event, said.budget) == (NodeEvent.DEFERRED, Budget(failures=1, losses=1))
    assert said.available_at == NOON + SECOND
    assert said.wait == Delay(NOON + SECOND, {"page": 2})


def test_what_is_given_back_keeps_its_place_and_its_budget():
    said = verdict(Returned(), Budget(failures=1, losses=1))

    assert (said.event, said.available_at) == (NodeEvent.RETURNED, None)
    assert (said.budget, said.failure) == (Budget(failures=1, losses=1), None)


def test_a_lost_worker_costs_a_loss_but_no_failure():
    said = verdict(Lost(), Budget(failures=2))

    assert (said.event, said.available_at) == (NodeEvent.LOST, NOON)
    assert (said.budget, said.is_lost) == (Budget(failures=2, losses=1), True)


def test_a_node_that_took_down_its_last_worker_is_given_up():
    said = verdict(Lost(), Budget(losses=2), retry=Retry(attempts=100))

    assert said.event is NodeEvent.FAILED
    assert said.failure is not None
    assert (said.failure.type, said.is_lost) == ("WorkerLost", True)
    assert "3 of 3" in said.failure.message


def test_a_lost_worker_becomes_data_where_failures_do():
    said = verdict(Lost(), Budget(losses=2), continues=True)

    assert (said.event, said.is_lost) == (NodeEvent.COMPLETED, True)
    assert said.data["_metadata"]["continuedOnFail"] is True


BRANCH = {"error_nodes": ("refund",), "usual_nodes": ("ship",)}


def test_a_final_failure_takes_the_error_branch_with_all_that_is_known_of_it():
    said = verdict(
        Failure(message="no funds", type="CardError"), Budget(failures=2, losses=1), **BRANCH
    )

    assert (said.event, said.next_nodes) == (NodeEvent.COMPLETED, ["refund"])
    assert said.failure is not None
    assert said.data == {
        "error": "no funds",
        "errorType": "CardError",
        "attempts": 4,
        "_metadata": {"continuedOnFail": True, "originalError": "no funds"},
    }


def test_a_failure_is_retried_before_it_takes_the_error_branch():
    assert verdict(BOOM, **BRANCH).event is NodeEvent.RETRIED


def test_a_lost_worker_takes_the_error_branch_in_the_end():
    said = verdict(Lost(), Budget(losses=2), **BRANCH)

    assert (said.next_nodes, said.data["errorType"]) == (["refund"], "WorkerLost")


def test_a_success_takes_the_usual_branches_unless_it_chooses():
    assert verdict(Result(), **BRANCH).next_nodes == ["ship"]
    assert verdict(Result(next_nodes=["refund"]), **BRANCH).next_nodes == ["refund"]
    assert verdict(Result(next_nodes=[]), **BRANCH).next_nodes == []


def test_a_success_whose_children_are_all_for_errors_chooses_none_of_them():
    assert verdict(Result(), error_nodes=("refund",), usual_nodes=()).next_nodes == []


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: type(outcome).__name__)
@given(failures=st.integers(0, 9), losses=st.integers(0, 9), continues=st.booleans())
def test_every_verdict_may_happen_to_a_running_node_and_budgets_never_shrink(
    outcome: Outcome, failures: int, losses: int, *, continues: bool
):
    said = verdict(outcome, Budget(failures=failures, losses=losses), continues=continues)

    assert after_node(NodeStatus.RUNNING, said.event)
    assert said.budget.failures >= failures
    assert said.budget.losses >= losses
