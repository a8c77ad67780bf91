"""`onDuplicate`: what becomes of a start while one like it has not ended."""

from __future__ import annotations

from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection, transaction

from spane_django.core.errors import InvalidDefinition, InvalidInput
from spane_django.engine.control import pause
from spane_django.engine.promote import promote
from spane_django.engine.retry import replay
from spane_django.engine.start import DuplicateExecution, StartOptions, start, start_many
from spane_django.models import AuditEntry, Execution, Payload
from tests.engine.helpers import Machine, after, execution, status
from tests.engine.threads import elsewhere, in_threads, somebody_waits_for_me, until

pytestmark = pytest.mark.django_db(transaction=True)

ONE = {"a": []}


def watched(machine: Machine, action: str, *, more=None, **rule) -> None:
    """Publish a workflow of one node that does this about duplicates."""
    machine.publish(ONE, onDuplicate={"action": action, **rule}, **(more or {}))


def all_statuses(keys) -> list[str]:
    return [status(key) for key in keys]


def test_without_a_rule_the_same_input_starts_as_often_as_it_is_asked_for(machine: Machine):
    machine.publish(ONE)

    assert machine.start({"n": 1}) != machine.start({"n": 1})
    assert set(Execution.objects.values_list("duplicate_key", flat=True)) == {None}


def test_one_like_an_unfinished_one_is_rejected_by_name(machine: Machine):
    watched(machine, "reject")
    first = machine.start({"n": 1, "m": [1.5, None]})

    with pytest.raises(DuplicateExecution, match=f"execution {first} is like it"):
        machine.start({"m": [1.5, None], "n": 1})

    assert Execution.objects.count() == 1


def test_what_has_ended_has_no_duplicates(machine: Machine):
    watched(machine, "reject")
    first = machine.start({"n": 1})
    machine.drain()

    assert machine.start({"n": 1}) != first


def test_another_input_is_no_duplicate(machine: Machine):
    watched(machine, "reject")

    keys = [machine.start(data) for data in (1, 1.5, "1", None, [], {}, {"n": 1}, [1])]

    assert len(set(keys)) == 8


def test_duplicates_belong_to_one_workflow(machine: Machine):
    watched(machine, "reject")
    watched(machine, "reject", more={"id": "other"})

    assert machine.start() != machine.start(workflow="other")


def test_what_is_alike_is_what_the_expression_finds(machine: Machine):
    watched(machine, "reject", key="order.id")
    machine.start({"order": {"id": 7}, "try": 1})

    with pytest.raises(DuplicateExecution):
        machine.start({"order": {"id": 7}, "try": 2})
    assert machine.start({"order": {"id": 8}})


def test_where_the_expression_finds_nothing_there_is_nothing_like_it(machine: Machine):
    watched(machine, "reject", key="order.id")

    assert machine.start({"n": 1}) != machine.start({"n": 1})


def test_a_long_key_is_as_good_as_a_short_one(machine: Machine):
    watched(machine, "reject", key="text")
    machine.start({"text": "x" * 500})

    with pytest.raises(DuplicateExecution):
        machine.start({"text": "x" * 500})
    assert machine.start({"text": "x" * 501})


def test_a_key_that_cannot_be_told_refuses_the_input(machine: Machine):
    watched(machine, "reject", key="length(n)")

    with pytest.raises(InvalidInput, match=r"initialData: expression 'length\(n\)'"):
        machine.start({"n": 1})


def test_the_unfinished_one_is_returned(machine: Machine):
    watched(machine, "return")
    first = machine.start({"n": 1})

    assert machine.start({"n": 1}) == first
    assert Execution.objects.count() == 1
    machine.drain()
    assert machine.start({"n": 1}) != first


def test_a_start_may_say_for_itself_what_a_duplicate_is_and_what_becomes_of_it(machine: Machine):
    machine.publish(ONE)
    first = machine.start({"n": 1}, duplicate_key="report")

    assert machine.start({"n": 2}, duplicate_key="report", on_duplicate="return") == first
    with pytest.raises(DuplicateExecution):
        machine.start({"n": 3}, duplicate_key="report", on_duplicate="reject")
    assert machine.start({"n": 4}, duplicate_key="report") != first


def test_a_start_may_allow_what_its_workflow_does_not(machine: Machine):
    watched(machine, "reject")
    first = machine.start({"n": 1})

    second = machine.start({"n": 1}, on_duplicate="allow")

    assert second != first
    with pytest.raises(DuplicateExecution):
        machine.start({"n": 1})


def test_a_pending_one_is_replaced(machine: Machine):
    watched(machine, "replace", key="n")
    old = machine.start({"n": 1, "v": 1}, start_at=after(60))

    new = machine.start({"n": 1, "v": 2}, start_at=after(60))

    assert all_statuses([old, new]) == ["cancelled", "pending"]
    assert execution(old).reason == "replaced by a newer one"
    assert AuditEntry.objects.get(verb="cancel").execution_id == old


def test_one_that_runs_is_not_replaced_and_both_run(machine: Machine):
    watched(machine, "replace")
    old = machine.start({"n": 1})

    new = machine.start({"n": 1})

    assert all_statuses([old, new]) == ["running", "running"]


def test_one_runs_and_at_most_one_waits(machine: Machine):
    watched(machine, "replace", more={"maxExecutions": 1})
    keys = [machine.start({"n": 1}) for _ in range(4)]

    assert all_statuses(keys) == ["running", "cancelled", "cancelled", "pending"]


def test_a_debounced_start_waits_for_the_next_one_like_it(machine: Machine):
    watched(machine, "debounce", key="n", wait=30_000, more={"timeout": 10_000})
    first = machine.start({"n": 1, "v": 1})
    assert (status(first), execution(first).start_at) == ("pending", after(30))
    machine.now = after(20)

    again = machine.start({"n": 1, "v": 2}, priority=9)

    row = execution(first)
    assert (again, row.input, row.priority) == (first, {"n": 1, "v": 2}, 9)
    assert (row.start_at, row.deadline_at) == (after(50), after(60))
    machine.now = after(50)
    assert (promote(now=after(49)), promote(now=machine.now)) == (0, 1)
    assert machine.step() == ["a"]


def test_once_a_debounced_start_runs_the_next_one_waits_anew(machine: Machine):
    watched(machine, "debounce", wait=30_000)
    first = machine.start({"n": 1})
    machine.now = after(30)
    promote(now=machine.now)

    second = machine.start({"n": 1})

    assert all_statuses([first, second]) == ["running", "pending"]
    assert execution(second).start_at == after(60)


def test_debouncing_does_not_start_earlier_than_the_start_is_allowed_to(machine: Machine):
    watched(machine, "debounce", wait=30_000)

    assert execution(machine.start(start_at=after(90))).start_at == after(90)


def test_a_debounced_null_is_an_input_like_others(machine: Machine, does):
    seen = []
    does["a"] = lambda ctx: seen.append(ctx.input)
    machine.publish(ONE)
    wait = timedelta(seconds=5)
    machine.start({"n": 1}, duplicate_key="k", debounce=wait)
    machine.start(None, duplicate_key="k", debounce=wait)
    machine.now = after(5)

    promote(now=machine.now)
    machine.drain()

    assert seen == [None]


def test_the_version_that_a_debounced_start_runs_is_the_current_one(machine: Machine):
    rule = {"onDuplicate": {"action": "debounce", "wait": 5_000}}
    machine.publish(ONE, **rule)
    first = machine.start()
    newer = machine.publish({"b": []}, **rule)

    machine.start()

    assert execution(first).version_id == newer.pk


def test_the_file_of_an_input_that_was_replaced_goes(machine: Machine, settings):
    settings.SPANE = {**settings.SPANE, "OFFLOAD_BYTES": 100}
    watched(machine, "debounce", key="n", wait=5_000)
    machine.start({"n": 1, "text": "x" * 500})
    (old,) = Payload.objects.values_list("name", flat=True)

    machine.start({"n": 1, "text": "y" * 500})

    (new,) = Payload.objects.values_list("name", flat=True)
    assert new != old


def test_a_pending_one_that_is_paused_is_not_debounced(machine: Machine):
    watched(machine, "debounce", wait=5_000)
    first = machine.start()
    pause(first, now=machine.now)

    assert machine.start() != first


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"on_duplicate": "later"}, "onDuplicate"),
        ({"on_duplicate": "debounce"}, "debounce"),
        ({"on_duplicate": "return", "debounce": timedelta(1)}, "debounce"),
        ({"debounce": timedelta(0)}, "debounce"),
        ({"duplicate_key": ""}, "duplicateKey"),
        ({"duplicate_key": "x" * 201}, "duplicateKey"),
        ({"duplicate_key": "a\x00b"}, "duplicateKey"),
        ({"key": "x" * 201}, "key"),
        ({"key": "\ud800"}, "key"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(machine: Machine, options, path):
    machine.publish(ONE)

    with pytest.raises(InvalidInput) as refused:
        machine.start(**options)

    assert [fault.path for fault in refused.value.faults] == [path]


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ({"action": "reject", "key": "a["}, "onDuplicate.key"),
        ({"action": "debounce"}, "onDuplicate.wait"),
        ({"action": "return", "wait": 5}, "onDuplicate.wait"),
        ({"action": "debounce", "wait": 0}, "onDuplicate.wait"),
        ({"action": "later"}, "onDuplicate.action"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(machine: Machine, rule, path):
    with pytest.raises(InvalidDefinition) as refused:
        watched(machine, **rule)

    assert [fault.path for fault in refused.value.faults] == [path]


def test_of_many_each_is_compared_with_those_before_it(machine: Machine):
    watched(machine, "return")

    first, second, third = start_many("w", [1, 2, 1], now=machine.now)

    assert (third, first != second) == (first, True)
    assert Execution.objects.count() == 2


def test_of_many_that_are_alike_none_starts_if_duplicates_are_rejected(machine: Machine):
    watched(machine, "reject")

    with pytest.raises(DuplicateExecution, match="two of the executions"):
        start_many("w", [1, 2, 1], now=machine.now)

    assert Execution.objects.count() == 0


def test_of_many_that_are_alike_the_last_is_debounced(machine: Machine):
    watched(machine, "debounce", key="n", wait=5_000)

    keys = start_many("w", [{"n": 1, "v": 1}, {"n": 2}, {"n": 1, "v": 2}], now=machine.now)

    assert keys[0] == keys[2]
    assert execution(keys[0]).input == {"n": 1, "v": 2}


def test_of_many_that_are_alike_and_wait_the_last_is_left(machine: Machine):
    watched(machine, "replace", more={"maxExecutions": 1})

    keys = start_many("w", [1, 1, 1], now=machine.now)

    assert all_statuses(keys) == ["running", "cancelled", "pending"]


def test_an_idempotency_key_wins(machine: Machine):
    watched(machine, "reject")

    first = machine.start({"n": 1}, idempotency_key="order-1")

    assert machine.start({"n": 1}, idempotency_key="order-1") == first
    with pytest.raises(DuplicateExecution):
        machine.start({"n": 1}, idempotency_key="order-2")


def test_a_replay_is_no_duplicate_but_may_have_some(machine: Machine):
    watched(machine, "reject")
    first = machine.start({"n": 1})

    again = replay(first, now=machine.now)
    machine.drain()
    assert all_statuses([first, again.pk]) == ["completed", "completed"]

    later = replay(first, now=machine.now)
    with pytest.raises(DuplicateExecution, match=str(later.pk)):
        machine.start({"n": 1})


def test_a_replay_keeps_the_duplicate_key_of_the_original(machine: Machine):
    machine.publish(ONE)
    first = machine.start({"n": 1}, duplicate_key="report")
    machine.drain()

    again = replay(first, now=machine.now)

    with pytest.raises(DuplicateExecution, match=str(again.pk)):
        machine.start({"n": 2}, duplicate_key="report", on_duplicate="reject")


def test_a_start_that_is_rolled_back_leaves_what_it_had_replaced(machine: Machine):
    watched(machine, "replace")
    old = machine.start(start_at=after(60))

    with transaction.atomic():
        machine.start()
        transaction.set_rollback(True)

    assert status(old) == "pending"


@pytest.mark.parametrize("action", ["reject", "return", "debounce"])
def test_of_starts_at_the_same_moment_one_wins(machine: Machine, action: str):
    wait = {"wait": 60_000} if action == "debounce" else {}
    watched(machine, action, **wait)
    ready = Barrier(8)

    def work() -> str:
        ready.wait(timeout=10)
        try:
            return str(start("w", {"n": 7}, now=machine.now, options=StartOptions()).pk)
        except DuplicateExecution:
            return "rejected"

    answers = in_threads([work] * 8)

    assert Execution.objects.count() == 1
    assert len(set(answers) - {"rejected"}) == 1
    assert answers.count("rejected") == (7 if action == "reject" else 0)


@pytest.mark.postgresql
def test_one_that_starts_at_the_same_moment_is_not_debounced_any_more(machine: Machine):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    watched(machine, "debounce", wait=30_000)
    first = machine.start()
    machine.now = after(30)

    with elsewhere() as do:
        with transaction.atomic():
            Execution.objects.filter(pk=first).update(status="running", started_at=machine.now)
            second = do(lambda: machine.start())
            until(somebody_waits_for_me)
        other = second.result(timeout=10)

    assert other != first
    assert execution(first).start_at == after(30)
