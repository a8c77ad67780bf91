"""Fair shares: lanes take turns, priorities do not, and a worker's own successors yield."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from spane_django.core.outcome import Delay
from spane_django.engine.claim import Claim
from spane_django.engine.control import pause, resume
from spane_django.engine.intake import StartOptions
from spane_django.engine.start import start_many
from spane_django.engine.sweep import due_queues, next_due
from spane_django.models import Execution, NodeRun
from tests.engine.helpers import Machine, after

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenants(machine: Machine) -> Machine:
    """A machine with a workflow whose input names the tenant."""
    machine.publish({"a": []}, key="tenant")
    return machine


def begin(machine: Machine, tenants: str, **options) -> None:
    for tenant in tenants:
        machine.start({"tenant": tenant}, **options)


def keys(claims: Sequence[Claim]) -> str:
    """Return the tenants of claims, sorted."""
    found = Execution.objects.in_bulk([one.execution_id for one in claims])
    return "".join(sorted(found[one.execution_id].key for one in claims))


def test_a_room_is_shared_between_keys(tenants: Machine):
    begin(tenants, "A" * 50 + "B" * 3)

    assert keys(tenants.claim(room=6)) == "AAABBB"


def test_what_short_lines_leave_goes_to_long_ones(tenants: Machine):
    begin(tenants, "A" * 50 + "B" * 2 + "C")

    assert keys(tenants.claim(room=12)) == "A" * 9 + "BBC"


def test_nodes_without_a_key_take_their_turn_like_a_key(tenants: Machine):
    begin(tenants, "A" * 10)
    tenants.publish({"a": []}, id="v")
    for _ in range(10):
        tenants.start(workflow="v")

    assert keys(tenants.claim(room=6)) == "AAA"


def test_a_key_waits_no_longer_than_a_round_of_the_others(tenants: Machine):
    begin(tenants, "ABCDEFGH" * 5)

    rounds = ["".join(keys(tenants.claim(room=1)) for _ in range(8)) for _ in range(2)]

    assert [sorted(one) for one in rounds] == [list("ABCDEFGH")] * 2


def test_with_more_keys_than_room_every_claim_goes_on_where_the_last_one_stopped(tenants: Machine):
    names = [f"t{number:02}" for number in range(20)]
    for name in names * 2:
        tenants.start({"tenant": name})

    served = Counter(
        Execution.objects.get(pk=one.execution_id).key
        for _ in range(4)
        for one in tenants.claim(room=5)
    )

    assert served == Counter(names)


def test_rooms_that_do_not_divide_evenly_are_even_in_the_long_run(tenants: Machine):
    begin(tenants, "AB" * 40)

    served = "".join(keys(tenants.claim(room=3)) for _ in range(10))

    assert Counter(served) == {"A": 15, "B": 15}


def test_priority_goes_before_fairness(tenants: Machine):
    begin(tenants, "A" * 5, priority=9)
    begin(tenants, "B" * 5, priority=1)

    assert keys(tenants.claim(room=5)) == "AAAAA"
    assert keys(tenants.claim(room=5)) == "BBBBB"


def test_nothing_of_a_lower_priority_is_taken_while_a_higher_one_has_some(tenants: Machine):
    begin(tenants, "A" * 5 + "B", priority=9)
    begin(tenants, "C" * 5, priority=1)

    assert keys(tenants.claim(room=6)) == "AAAAAB"


def test_within_a_key_the_oldest_goes_first(tenants: Machine):
    tenants.now = after(1)
    young = tenants.start({"tenant": "A"})
    tenants.now = after(0)
    old = tenants.start({"tenant": "A"})
    tenants.now = after(2)

    taken = [tenants.claim(room=1)[0].execution_id for _ in range(2)]

    assert taken == [old, young]


def test_a_key_of_the_start_wins_over_that_of_the_workflow(tenants: Machine):
    begin(tenants, "A" * 4)
    tenants.start({"tenant": "A"}, key="Z")

    assert keys(tenants.claim(room=2)) == "AZ"


def test_keys_that_sleep_or_are_held_do_not_keep_others_waiting(tenants: Machine, does):
    does["a"] = lambda ctx: Delay(after(10)) if ctx.now < after(10) else None
    begin(tenants, "ABC")
    tenants.step()
    held = tenants.start({"tenant": "D"})
    pause(held, now=tenants.now)
    begin(tenants, "E")

    assert keys(tenants.claim()) == "E"
    assert next_due("spane", now=tenants.now) == after(10)
    tenants.now = after(10)
    resume(held, now=tenants.now)
    assert keys(tenants.claim()) == "ABCD"


def test_a_queue_of_keys_is_due_when_one_of_them_is(tenants: Machine):
    begin(tenants, "AB")

    assert due_queues(now=tenants.now) == {"spane"}
    tenants.drain()
    assert due_queues(now=tenants.now) == set()


def test_successors_leave_a_quarter_of_the_room_to_others(machine: Machine):
    machine.publish({"a": ["b"]}, key="tenant")
    begin(machine, "A" * 8)
    ended = machine.run(machine.claim(room=8))
    begin(machine, "B" * 8)

    settled = machine.settle(ended, want=machine.want(8, yields=True))

    assert keys(settled.claims) == "AAAAAAAB"


def test_a_worker_with_a_single_place_takes_turns_too(machine: Machine):
    machine.publish({f"n{i}": [f"n{i + 1}"] for i in range(20)}, key="tenant")
    begin(machine, "A")
    claims = machine.claim(room=1)
    begin(machine, "B")

    served = ""
    for _ in range(10):
        claims = machine.settle(machine.run(claims), want=machine.want(1, yields=True)).claims
        served += keys(claims)

    assert Counter(served) == {"A": 5, "B": 5}


def test_what_is_left_to_others_is_taken_if_there_are_none(machine: Machine):
    machine.publish({"a": ["b"]}, key="tenant")
    begin(machine, "A" * 8)

    settled = machine.settle(machine.run(machine.claim(8)), want=machine.want(10, yields=True))

    assert [one.node_id for one in settled.claims] == ["b"] * 8
    assert settled.left == set()


def test_a_long_line_of_one_key_does_not_delay_the_ten_of_another(tenants: Machine):
    start_many("w", [{"tenant": "A"}] * 2_000, now=tenants.now, options=StartOptions())
    begin(tenants, "B" * 10)

    first = tenants.claim(room=20)

    assert keys(first) == "A" * 10 + "B" * 10


def test_successors_and_children_wait_in_the_lane_of_their_execution(machine: Machine):
    machine.publish({"a": ["b"]}, key="tenant")
    begin(machine, "A")
    machine.step()

    assert NodeRun.objects.get(node_id="b").lane == "\x1fA"
