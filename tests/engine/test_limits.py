"""Limits at once and in time: nodes wait at gates, and no two workers take the last place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from threading import Barrier, Lock

import pytest
from django.db import connection

from spane_django.conf import faults_of
from spane_django.core.limits import Limit
from spane_django.core.outcome import Delay, Failure
from spane_django.engine import rules, versions
from spane_django.engine.control import cancel
from spane_django.engine.sweep import due_queues, next_due
from spane_django.models import Execution, Gate, NodeRun
from spane_django.nodes.base import registry
from tests.engine.helpers import Machine, after, statuses
from tests.engine.statements import counted
from tests.engine.test_query_budget import CHAIN
from tests.engine.threads import in_threads

pytestmark = pytest.mark.django_db


@pytest.fixture
def fresh_process() -> Callable[[], None]:
    """Forget what a process knows of versions and gates."""

    def forget() -> None:
        versions.prepared.cache_clear()
        rules.forget()

    return forget


def limited(most: int = 2, **limit) -> dict:
    """Return what makes node a limited."""
    return {"nodes": {"a": {"limit": {"max": most, **limit}}}}


def rated(count: int, seconds: float) -> dict:
    rate = {"count": count, "perMs": seconds * 1_000}
    return {"nodes": {"a": {"limit": {"rate": rate}}}}


def running(gate: str = "w/a") -> int:
    return NodeRun.objects.running().filter(gate=gate).count()


def test_no_more_run_at_once_than_the_limit_says(machine: Machine):
    machine.publish({"a": []}, **limited(2))
    for _ in range(5):
        machine.start()

    first = machine.claim()

    assert len(first) == running() == 2
    assert machine.claim() == Machine().claim() == []
    machine.settle(machine.run(first[:1]))
    assert len(machine.claim()) == 1


def test_everything_behind_a_limit_runs_in_the_end(machine: Machine):
    machine.publish({"a": ["b"]}, **limited(2))
    keys = [machine.start() for _ in range(7)]

    machine.drain()

    assert all(statuses(key) == {"a": "completed", "b": "completed"} for key in keys)


def test_nodes_without_a_limit_pass_those_that_wait_at_a_gate(machine: Machine):
    machine.publish({"a": [], "b": []}, **limited(1))
    machine.start(), machine.start()

    taken = Counter(one.node_id for one in machine.claim())

    assert taken == {"a": 1, "b": 2}


def test_a_successor_takes_the_place_of_the_node_that_ended(machine: Machine):
    machine.publish({"a": ["b"]}, nodes={key: {"limit": {"name": "crm", "max": 1}} for key in "ab"})
    machine.start(), machine.start()

    settled = machine.settle(machine.run(machine.claim()), want=machine.want())

    assert [one.node_id for one in settled.claims] == ["b"]
    assert running("limit:crm") == 1


def test_more_successors_than_places_wait_at_the_gate(machine: Machine):
    children = {key: {"limit": {"name": "crm", "max": 3}} for key in ("a", "b", "c", "d", "e")}
    machine.begin({"a": ["b", "c", "d", "e"]}, nodes=children)

    settled = machine.settle(machine.run(machine.claim()), want=machine.want())

    assert len(settled.claims) == running("limit:crm") == 3


def test_a_node_of_another_gate_does_not_hand_its_place_over(machine: Machine):
    gates = {key: {"limit": {"max": 1}} for key in "ab"}
    machine.publish({"a": ["b"]}, nodes=gates)
    keys = [machine.start() for _ in range(2)]
    machine.settle(machine.run(machine.claim()), want=machine.want(fill=False))
    second = machine.claim()
    assert sorted(one.node_id for one in second) == ["a", "b"]

    settled = machine.settle(
        machine.run([one for one in second if one.node_id == "a"]), want=machine.want()
    )

    assert settled.claims == []
    assert [statuses(key)["b"] for key in keys].count("ready") == 1


def test_a_waiting_node_takes_no_place_and_asks_again_when_it_wakes(machine: Machine, does):
    does["a"] = lambda ctx: Delay(after(10)) if ctx.now < after(10) else None
    machine.publish({"a": []}, **limited(1))
    machine.start(), machine.start()
    machine.step()
    assert running() == 0

    assert len(machine.step()) == 1
    machine.now = after(10)
    assert len(machine.claim()) == 1
    assert machine.claim() == []
    assert running() == 1


def test_a_retry_asks_the_gate_again(machine: Machine):
    machine.publish({"a": []}, **limited(1))
    first = machine.start()
    machine.settle([machine.finish(machine.claim_one(), Failure(message="once"))])
    machine.start()
    machine.now = after(60)
    (other,) = machine.claim()

    assert machine.claim() == []
    machine.settle([machine.finish(other)])
    assert machine.claim_one().execution_id == first


def test_each_key_has_a_limit_of_its_own(machine: Machine):
    machine.publish({"a": []}, key="tenant", **limited(2, perKey=True))
    for tenant in "AAAAB":
        machine.start({"tenant": tenant})

    taken = machine.claim()

    assert len(taken) == 3
    assert (running("w/a:A"), running("w/a:B")) == (2, 1)


def test_limits_of_one_name_are_one_limit(machine: Machine):
    both = {key: {"limit": {"name": "crm", "max": 2}} for key in "ab"}
    machine.publish({"a": [], "b": []}, nodes=both)
    machine.publish({"a": []}, id="v", nodes={"a": both["a"]})
    machine.start(), machine.start(workflow="v")

    assert len(machine.claim()) == 2


def test_the_lanes_of_a_gate_share_its_places(machine: Machine):
    machine.publish({"a": []}, key="tenant", **limited(4))
    for tenant in "A" * 8 + "B" * 8:
        machine.start({"tenant": tenant})

    taken = machine.claim()

    keys = Execution.objects.filter(id__in=[one.execution_id for one in taken])
    assert Counter(keys.values_list("key", flat=True)) == {"A": 2, "B": 2}


def test_the_settings_limit_a_type(machine: Machine, settings):
    settings.SPANE = {**settings.SPANE, "LIMITS": {"call": {"max": 1}}}
    machine.begin({"a": [], "b": []})

    assert len(machine.claim()) == running("type:call") == 1


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"call": {"maxx": 1}}, "LIMITS.call: Additional properties are not allowed"),
        ({"call": {"rate": {"count": 0, "perMs": 1}}}, "LIMITS.call.rate.count: 0 is less than"),
        ({"call": 5}, "LIMITS.call: 5 is not of type 'object'"),
        (["call"], "'LIMITS' takes dict, not list"),
    ],
)
def test_faulty_limits_in_the_settings_are_told_with_their_place(given, fault: str):
    (told,) = faults_of({"LIMITS": given})

    assert told.startswith(fault)


def test_a_type_limits_itself_unless_the_settings_say_otherwise(
    machine: Machine, settings, monkeypatch
):
    monkeypatch.setattr(type(registry.get("call")), "limit", Limit(max=1), raising=False)
    machine.begin({"a": [], "b": [], "c": []})
    (one,) = machine.claim()

    settings.SPANE = {**settings.SPANE, "LIMITS": {"call": {"max": 2}}}
    machine.settle(machine.run([one]))

    assert len(machine.claim()) == 2


def test_a_worker_that_starts_brings_the_limits_of_types_along(machine: Machine, settings):
    settings.SPANE = {**settings.SPANE, "LIMITS": {"call": {"max": 1}}}
    machine.begin({"a": [], "b": [], "c": []})
    machine.claim()

    settings.SPANE = {**settings.SPANE, "LIMITS": {"call": {"max": 2}}}

    assert len(Machine().claim()) == 1


def test_the_limit_of_a_node_replaces_that_of_its_type(machine: Machine, settings):
    settings.SPANE = {**settings.SPANE, "LIMITS": {"call": {"max": 1}}}
    machine.publish({"a": []}, **limited(3))
    for _ in range(5):
        machine.start()

    assert len(machine.claim()) == running("w/a") == 3


def test_publishing_changes_a_limit_at_once_and_for_all(
    machine: Machine, django_capture_on_commit_callbacks
):
    machine.publish({"a": []}, **limited(1))
    for _ in range(4):
        machine.start()
    machine.claim()

    with django_capture_on_commit_callbacks(execute=True):
        machine.publish({"a": []}, **limited(3))

    assert len(machine.claim()) == 2
    assert Gate.objects.get().max_running == 3


def test_an_older_version_does_not_bring_its_limit_back(machine: Machine, fresh_process):
    machine.publish({"a": []}, **limited(1))
    old = [machine.start() for _ in range(3)]
    machine.publish({"a": []}, **limited(3))
    machine.start()
    machine.claim(room=1)
    cancel(machine.start(), now=machine.now)
    fresh_process()

    taken = machine.claim(room=2)

    assert {one.execution_id for one in taken} <= set(old)
    assert Gate.objects.get().max_running == 3


def test_a_process_that_never_prepared_the_version_finds_its_limit(machine: Machine, fresh_process):
    machine.publish({"a": []}, key="tenant", **limited(2, perKey=True))
    for _ in range(5):
        machine.start({"tenant": "A"})
    fresh_process()

    assert len(machine.claim()) == 2
    gate = Gate.objects.get()
    assert (gate.key, gate.max_running) == ("w/a:A", 2)


def test_a_rate_lets_so_many_start_and_then_one_after_another(machine: Machine):
    machine.publish({"a": []}, **rated(2, seconds=10))
    for _ in range(5):
        machine.start()

    began = []
    while NodeRun.objects.filter(status="ready").exists():
        for one in machine.claim():
            began.append((machine.now - after(0)).total_seconds())
            machine.settle(machine.run([one]))
        if at := next_due("spane", now=machine.now):
            machine.now = at

    assert began == [0, 0, 5, 10, 15]


def test_where_starts_are_counted_in_time_no_place_is_handed_over(machine: Machine):
    rate = {"count": 1, "perMs": 10_000}
    both = {key: {"limit": {"name": "crm", "rate": rate}} for key in "ab"}
    machine.begin({"a": ["b"]}, nodes=both)

    settled = machine.settle(machine.run(machine.claim()), want=machine.want())

    assert settled.claims == []
    machine.now = after(10)
    assert [one.node_id for one in machine.claim()] == ["b"]


def test_a_queue_whose_gates_are_closed_is_not_due_before_they_open(machine: Machine):
    machine.publish({"a": []}, **rated(1, seconds=10))
    machine.start(), machine.start()
    machine.step()

    assert due_queues(now=machine.now) == set()
    assert next_due("spane", now=machine.now) == after(10)
    assert due_queues(now=after(10)) == {"spane"}


def test_a_queue_whose_gates_are_full_is_not_due(machine: Machine):
    machine.publish({"a": []}, **limited(1))
    machine.start(), machine.start()
    (one,) = machine.claim()

    assert due_queues(now=machine.now) == set()
    assert next_due("spane", now=machine.now) is None
    machine.settle(machine.run([one]))
    assert due_queues(now=machine.now) == {"spane"}
    assert next_due("spane", now=machine.now) == machine.now


def test_the_end_of_a_node_at_a_full_gate_wakes_every_queue_that_it_serves(machine: Machine):
    crm = {"limit": {"name": "crm", "max": 1}}
    machine.publish({"a": [], "b": []}, nodes={"a": crm, "b": {**crm, "queue": "mail"}})
    machine.start()
    (one,) = machine.claim()

    settled = machine.settle(machine.run([one]))

    assert settled.left == {"spane", "mail"}


def test_the_end_of_a_node_at_a_gate_with_room_wakes_nobody(machine: Machine):
    machine.begin({"a": []}, **limited(2))

    assert machine.settle(machine.run(machine.claim())).left == set()


def test_a_cancelled_execution_gives_its_places_back(machine: Machine):
    machine.publish({"a": []}, **limited(1))
    first, second = machine.start(), machine.start()
    machine.claim()

    cancel(first, now=machine.now)

    assert [one.execution_id for one in machine.claim()] == [second]


def test_a_failure_gives_its_place_back(machine: Machine):
    machine.publish({"a": []}, **limited(1))
    machine.start(), machine.start()
    (one,) = machine.claim()

    settled = machine.settle(
        [machine.finish(one, Failure(message="no", is_retryable=False))], want=machine.want()
    )

    assert len(settled.claims) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("limit", [{"max": 3}, {"max": 3, "perKey": True}])
def test_workers_that_claim_at_once_never_run_more_than_the_limit(machine: Machine, limit):
    machine.publish(
        {"a": ["b"]}, key="tenant", nodes={key: {"limit": {**limit, "name": "n"}} for key in "ab"}
    )
    for number in range(40):
        machine.start({"tenant": "AB"[number % 2]})
    workers = [Machine() for _ in range(6)]
    ready, lock, held = Barrier(6), Lock(), Counter()
    most = Counter()

    def note(claims, change: int) -> None:
        with lock:
            for one in claims:
                gate = NodeRun.objects.values_list("gate", flat=True).get(pk=one.id)
                held[gate] += change
                most[gate] = max(most[gate], held[gate])

    def work(worker: Machine) -> None:
        ready.wait(timeout=10)
        claims = worker.claim(room=2)
        while claims or NodeRun.objects.exclude(status="completed").exists():
            note(claims, 1)
            finished = worker.run(claims)
            note(claims, -1)
            claims = worker.settle(finished, want=worker.want(room=2)).claims

    in_threads([lambda worker=worker: work(worker) for worker in workers])

    assert set(Execution.objects.values_list("status", flat=True)) == {"completed"}
    assert max(most.values()) <= 3


@pytest.mark.django_db(transaction=True)
def test_workers_that_claim_at_once_never_outrun_a_rate(machine: Machine):
    machine.publish({"a": []}, **rated(5, seconds=3_600))
    for _ in range(30):
        machine.start()
    workers = [Machine() for _ in range(6)]
    ready = Barrier(6)

    def work(worker: Machine) -> int:
        ready.wait(timeout=10)
        return sum(len(worker.claim(room=2)) for _ in range(5))

    taken = in_threads([lambda worker=worker: work(worker) for worker in workers])

    assert sum(taken) <= 5
    assert sum(taken) + len(machine.claim()) == 5


@pytest.fixture
def set_based() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite takes the rows of a batch one at a time")


def cost(work: Callable[[], object]) -> int:
    """Return how many statements a work sends, without BEGIN and COMMIT."""
    with counted() as sent:
        work()
    return len(sent) - 2


@pytest.mark.django_db(transaction=True)
def test_what_nothing_limits_is_claimed_with_one_statement(machine: Machine, set_based):
    machine.publish({"a": []})
    for _ in range(4):
        machine.start()
    machine.claim(room=1)

    assert cost(lambda: machine.claim(room=1)) == 1


@pytest.mark.django_db(transaction=True)
def test_keys_cost_a_claim_one_statement_more(machine: Machine, set_based):
    machine.publish({"a": []}, key="tenant")
    for tenant in "ABCDEF":
        machine.start({"tenant": tenant})
    machine.claim(room=1)

    assert cost(lambda: machine.claim(room=3)) == 2


@pytest.mark.django_db(transaction=True)
def test_a_gate_costs_a_claim_three_statements_more(machine: Machine, set_based):
    machine.publish({"a": []}, **limited(100))
    for _ in range(6):
        machine.start()
    machine.claim(room=1)

    assert cost(lambda: machine.claim(room=3)) == 4


@pytest.mark.django_db(transaction=True)
def test_a_chain_behind_one_gate_goes_on_with_no_statement_more(machine: Machine, set_based):
    crm = {"limit": {"name": "crm", "max": 100}}
    machine.begin({"a": ["b"], "b": ["c"]}, nodes=dict.fromkeys("abc", crm))
    warm = machine.settle(machine.run(machine.claim()), want=machine.want(fill=False))
    finished, want = machine.run(warm.claims), machine.want(fill=False)

    lone = cost(lambda: machine.settle(finished, want=want))

    assert lone == CHAIN - 2
