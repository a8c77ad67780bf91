"""The circuit breaker: what keeps failing is held back, not used up, and tried again carefully."""

from __future__ import annotations

import pytest

from spane_django.core.limits import BreakerStatus
from spane_django.core.outcome import Delay, Failure, Lost, Returned
from spane_django.engine.explain import explain
from spane_django.engine.gates import UnknownGate, flip, forget_idle, listed
from spane_django.engine.sweep import due_queues, next_due
from spane_django.models import AuditEntry, Gate, NodeRun
from tests.engine.helpers import Machine, after

pytestmark = pytest.mark.django_db

OPEN, CLOSED, HALF_OPEN = BreakerStatus.OPEN, BreakerStatus.CLOSED, BreakerStatus.HALF_OPEN


def guarded(failures: int = 2, successes: int = 1, seconds: float = 30, **node) -> dict:
    """Return what gives node a a breaker, and more attempts than anybody needs."""
    breaker = {
        "failureThreshold": failures,
        "successThreshold": successes,
        "timeout": seconds * 1_000,
    }
    return {"nodes": {"a": {"circuitBreaker": breaker, "retries": 50, **node}}}


@pytest.fixture
def line(machine: Machine) -> Machine:
    """A machine with six executions that wait for a guarded node."""
    machine.publish({"a": []}, **guarded())
    for _ in range(6):
        machine.start()
    return machine


def end(machine: Machine, *answers) -> None:
    """Claim as many nodes as there are answers and end them with these."""
    claims = machine.claim(room=len(answers))
    assert len(claims) == len(answers)
    machine.settle([machine.finish(*pair) for pair in zip(claims, answers, strict=True)])


def fail(machine: Machine, times: int = 1) -> None:
    end(machine, *[Failure(message="down")] * times)


def gate() -> Gate:
    return Gate.objects.get()


def test_enough_failures_in_a_row_open_the_breaker(line: Machine):
    fail(line)
    assert gate().breaker == CLOSED
    fail(line)

    assert (gate().breaker, gate().blocked_until) == (OPEN, after(30))
    assert line.claim() == []


def test_failures_of_one_batch_count_like_those_of_many(line: Machine):
    fail(line, times=2)

    assert gate().breaker == OPEN


def test_a_success_between_failures_keeps_it_closed(line: Machine):
    fail(line)
    end(line, None)
    fail(line)

    assert (gate().breaker, gate().failures) == (CLOSED, 1)


@pytest.mark.parametrize("answer", [Delay(after(1)), Returned(), Lost()])
def test_what_says_nothing_about_the_node_neither_opens_nor_closes_it(line: Machine, answer):
    fail(line)
    end(line, answer)

    assert (gate().breaker, gate().failures) == (CLOSED, 1)


def test_an_open_breaker_burns_no_retries(line: Machine):
    fail(line, times=2)
    line.now = after(29)

    assert line.claim() == []
    failures = NodeRun.objects.order_by("-failures").values_list("failures", flat=True)
    assert list(failures) == [1, 1, 0, 0, 0, 0]


def test_a_queue_behind_an_open_breaker_is_due_when_it_has_cooled_down(line: Machine):
    fail(line, times=2)

    assert due_queues(now=after(29)) == set()
    assert next_due("spane", now=line.now) == after(30)
    assert due_queues(now=after(30)) == {"spane"}


def test_one_node_tries_at_a_time(line: Machine):
    fail(line, times=2)
    line.now = after(30)

    (trial,) = line.claim()

    assert gate().breaker == HALF_OPEN
    assert line.claim() == Machine().claim() == []
    assert due_queues(now=line.now) == set()
    line.settle([line.finish(trial)])
    assert gate().breaker == CLOSED


def test_a_successful_try_lets_the_others_through(line: Machine):
    fail(line, times=2)
    line.now = after(30)
    (trial,) = line.claim()

    settled = line.settle([line.finish(trial)])

    assert settled.left == {"spane"}
    assert len(line.claim()) == 5


def test_a_failed_try_opens_it_again(line: Machine):
    fail(line, times=2)
    line.now = after(30)
    fail(line)

    assert (gate().breaker, gate().blocked_until) == (OPEN, after(60))
    assert line.claim() == []


def test_as_many_tries_must_succeed_as_are_asked_for(machine: Machine):
    machine.publish({"a": []}, **guarded(failures=1, successes=2))
    for _ in range(4):
        machine.start()
    fail(machine)
    machine.now = after(30)

    end(machine, None)
    assert gate().breaker == HALF_OPEN
    (second,) = machine.claim(room=3)
    machine.settle([machine.finish(second)])

    assert gate().breaker == CLOSED


def test_what_began_before_it_opened_does_not_close_it(line: Machine):
    first, second, third = line.claim(room=3)
    down = Failure(message="down")
    line.settle([line.finish(first, down), line.finish(second, down)])

    line.settle([line.finish(third)])

    assert gate().breaker == OPEN


def test_a_try_that_is_lost_with_its_worker_is_tried_again(line: Machine):
    fail(line, times=2)
    line.now = after(30)
    end(line, Lost())

    assert gate().breaker == HALF_OPEN
    assert len(line.claim()) == 1


def test_each_key_has_a_breaker_of_its_own(machine: Machine):
    machine.publish({"a": []}, key="tenant", **guarded(failures=1, limit={"perKey": True}))
    for tenant in "AABB":
        machine.start({"tenant": tenant})
    (first,) = machine.claim(room=1)

    machine.settle([machine.finish(first, Failure(message="down"))])

    statuses = Gate.objects.values_list("breaker", flat=True)
    assert list(statuses).count(OPEN) == 1
    assert len(machine.claim()) == 2


def test_a_failure_that_becomes_data_counts_as_a_failure(machine: Machine):
    machine.publish({"a": []}, **guarded(failures=1, onFail="continue", retries=0))
    machine.start()
    fail(machine)

    assert gate().breaker == OPEN


def test_a_successor_is_not_handed_a_place_at_a_breaker_that_opens(machine: Machine):
    breaker = {"failureThreshold": 1}
    both = {"limit": {"name": "crm"}, "circuitBreaker": breaker, "onFail": "continue", "retries": 0}
    machine.begin({"a": ["b"]}, nodes={"a": both, "b": both})
    (one,) = machine.claim()

    settled = machine.settle([machine.finish(one, Failure(message="down"))], want=machine.want())

    assert settled.claims == []
    assert NodeRun.objects.get(node_id="b").status == "ready"


def test_an_operator_opens_a_gate_for_as_long_as_he_wants(line: Machine, django_user_model):
    line.claim(room=1)
    user = django_user_model.objects.create_user("eve")

    flip("w/a", OPEN, now=line.now, by=user, reason="the service moves")

    line.now = after(10**6)
    assert line.claim() == []
    entry = AuditEntry.objects.get(verb="flip_gate")
    assert (entry.target, entry.username, entry.reason) == ("w/a", "eve", "the service moves")
    assert (entry.before["breaker"], entry.after["breaker"]) == ("closed", "open")


def test_an_operator_closes_a_breaker_early_and_the_workers_hear_of_it(
    line: Machine, wakes, django_capture_on_commit_callbacks
):
    fail(line, times=2)
    wakes.clear()

    with django_capture_on_commit_callbacks(execute=True):
        flip("w/a", CLOSED, now=line.now)

    assert wakes == ["spane"]
    assert (gate().failures, gate().blocked_until) == (0, None)
    assert len(line.claim()) == 4


def test_an_operator_may_let_one_node_try(line: Machine):
    fail(line, times=2)

    flip("w/a", HALF_OPEN, now=line.now)

    assert len(line.claim()) == 1


def test_a_gate_that_only_limits_can_be_opened_by_hand(machine: Machine):
    gates = {key: {"limit": {"name": "crm", "max": 5}} for key in "ab"}
    machine.publish({"a": ["b"]}, nodes=gates)
    machine.start(), machine.start()
    one, _ = machine.claim()

    flip("limit:crm", OPEN, now=machine.now)

    machine.now = after(1)
    assert machine.settle([machine.finish(one)], want=machine.want()).claims == []


def test_a_gate_that_nobody_knows_cannot_be_flipped(line: Machine):
    with pytest.raises(UnknownGate, match="no gate 'nowhere'"):
        flip("nowhere", OPEN, now=line.now)


def test_gates_are_listed_with_what_runs_there(line: Machine):
    line.claim(room=2)

    assert [(gate.key, gate.running) for gate in listed()] == [("w/a", 2)]


def test_gates_at_rest_are_forgotten_after_a_month_and_come_back(machine: Machine):
    machine.publish({"a": []}, key="tenant", **guarded(failures=1, limit={"perKey": True}))
    machine.start({"tenant": "A"}), machine.start({"tenant": "B"})
    first, second = machine.claim()
    machine.settle([machine.finish(first), machine.finish(second, Failure(message="down"))])
    month = 31 * 24 * 3_600

    assert forget_idle(now=after(month - 7 * 24 * 3_600)) == 0
    assert forget_idle(now=after(month)) == 1
    assert gate().breaker == OPEN
    machine.start({"tenant": "A"})
    machine.now = after(month)
    assert len(machine.claim()) == 2
    assert Gate.objects.count() == 2


def test_explanations_tell_what_holds_a_node_at_its_gate(line: Machine):
    key = NodeRun.objects.order_by("-id").first().execution
    fail(line, times=2)

    (fact,) = explain(key, now=line.now).facts

    assert "waits at the gate 'w/a': its breaker is open for another 30.0 s" in fact
