"""`maxExecutions`: how many executions of a workflow run at once, and what becomes of the rest."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from threading import Barrier, Lock

import pytest
from django.db import connection, transaction

from spane_django.core.errors import InvalidDefinition
from spane_django.core.outcome import Failure
from spane_django.engine import followup
from spane_django.engine.control import cancel, pause, resume
from spane_django.engine.explain import explain
from spane_django.engine.promote import fill, holders, promote, slots_with_room
from spane_django.engine.retry import replay, retry_failed
from spane_django.engine.start import NoRoom, StartOptions, start, start_many
from spane_django.engine.sweep import expire, next_due, sweep
from spane_django.models import AuditEntry, Execution, Workflow, WorkflowVersion
from tests.engine.helpers import Machine, after, execution, status
from tests.engine.threads import elsewhere, in_threads, somebody_waits_for_me, until

pytestmark = pytest.mark.django_db(transaction=True)

ONE = {"a": []}


def limited(machine: Machine, most: int = 1, **more):
    """Publish a workflow of one node that runs so many executions at once."""
    machine.publish(ONE, maxExecutions={"max": most, **more})


def all_statuses(keys) -> list[str]:
    return [status(key) for key in keys]


def test_what_finds_no_place_waits_as_pending(machine: Machine):
    limited(machine, 2)

    keys = [machine.start() for _ in range(4)]

    assert all_statuses(keys) == ["running", "running", "pending", "pending"]
    assert execution(keys[2]).started_at is None


def test_the_end_of_one_starts_the_next(machine: Machine):
    limited(machine)
    keys = [machine.start() for _ in range(3)]

    machine.step()

    assert all_statuses(keys) == ["completed", "running", "pending"]


def test_many_started_at_once_take_the_places_in_their_order(machine: Machine):
    limited(machine, 2)

    keys = start_many("w", [1, 2, 3], now=machine.now)

    assert all_statuses(keys) == ["running", "running", "pending"]


def test_higher_priority_goes_first_and_then_age(machine: Machine):
    limited(machine)
    machine.start("first")
    for priority, name in ((5, "old"), (9, "urgent"), (5, "young"), (1, "last")):
        machine.start(name, priority=priority)

    machine.drain()

    begun = Execution.objects.order_by("finished_at", "started_at")
    order = sorted(begun, key=lambda one: one.node_runs.get().pk)
    assert [one.input for one in order] == ["first", "urgent", "old", "young", "last"]


def test_nobody_overtakes_what_waits_in_line(machine: Machine, monkeypatch):
    limited(machine)
    machine.start("runs")
    waiting = machine.start("waits")
    with monkeypatch.context() as died:
        died.setattr(followup, "fill", lambda slot, now: set())
        machine.step()
        newcomer = machine.start("comes")

        assert all_statuses([waiting, newcomer]) == ["pending", "pending"]
    fill(execution(waiting).slot, now=machine.now)
    assert all_statuses([waiting, newcomer]) == ["running", "pending"]


def test_the_sweep_fills_the_place_of_an_execution_whose_worker_died_at_its_end(
    machine: Machine, monkeypatch
):
    limited(machine)
    keys = [machine.start() for _ in range(2)]
    with monkeypatch.context() as died:
        died.setattr("spane_django.engine.settle.follow_up_or_leave", lambda todo, now: set())
        machine.step()
    assert all_statuses(keys) == ["completed", "pending"]

    assert sweep(now=machine.now).queues == {"spane"}

    assert all_statuses(keys) == ["completed", "running"]


def test_each_key_has_places_of_its_own(machine: Machine):
    machine.publish(ONE, key="tenant", maxExecutions={"max": 1, "perKey": True})

    keys = [machine.start({"tenant": name}) for name in ("ada", "ada", "bob")]

    assert all_statuses(keys) == ["running", "pending", "running"]
    assert [execution(key).key for key in keys] == ["ada", "ada", "bob"]


def test_a_key_of_the_start_wins_over_that_of_the_workflow(machine: Machine):
    machine.publish(ONE, key="tenant", maxExecutions={"max": 1, "perKey": True})
    machine.start({"tenant": "ada"})

    assert status(machine.start({"tenant": "ada"}, key="bob")) == "running"


def test_a_paused_execution_keeps_its_place(machine: Machine):
    limited(machine)
    first, second = machine.start(), machine.start()

    pause(first, now=machine.now)

    assert sweep(now=machine.now).queues == set()
    assert all_statuses([first, second]) == ["paused", "pending"]


def test_a_pending_execution_that_is_paused_and_resumed_is_in_line_again(machine: Machine):
    limited(machine)
    first, second, third = (machine.start() for _ in range(3))
    pause(second, now=machine.now)
    machine.step()
    assert all_statuses([first, second, third]) == ["completed", "paused", "running"]

    resume(second, now=machine.now)

    assert status(second) == "pending"
    machine.drain()
    assert all_statuses([second, third]) == ["completed", "completed"]


def test_a_pending_execution_that_is_resumed_starts_if_there_is_room(machine: Machine):
    limited(machine)
    first, second = machine.start(), machine.start()
    pause(second, now=machine.now)
    machine.step()

    resume(second, now=machine.now)

    assert all_statuses([first, second]) == ["completed", "running"]


def test_cancelling_one_that_runs_starts_the_next(machine: Machine):
    limited(machine)
    first, second, third = (machine.start() for _ in range(3))

    cancel(second, now=machine.now)
    assert all_statuses([first, second, third]) == ["running", "cancelled", "pending"]

    cancel(first, now=machine.now)
    assert all_statuses([first, second, third]) == ["cancelled", "cancelled", "running"]


def test_the_deadline_of_a_pending_execution_is_counted_from_when_it_was_accepted(
    machine: Machine,
):
    limited(machine)
    machine.start()
    second = machine.start(timeout=timedelta(seconds=30))
    assert expire(now=after(29)) == 0

    assert expire(now=after(30)) == 1

    assert (status(second), execution(second).started_at) == ("failed", None)


def test_a_retry_goes_on_at_once_and_nothing_else_starts_meanwhile(machine: Machine):
    limited(machine)
    first = machine.start()
    machine.settle([machine.finish(machine.claim_one(), Failure(message="no", is_retryable=False))])
    second, third = machine.start(), machine.start()

    retry_failed(first, now=machine.now)

    assert all_statuses([first, second, third]) == ["running", "running", "pending"]
    claims = machine.claim()
    machine.settle([machine.finish(claims[0])])
    assert status(third) == "pending"
    machine.settle([machine.finish(claims[1])])
    assert status(third) == "running"


def test_a_replay_needs_a_place(machine: Machine):
    limited(machine)
    first = machine.start()
    machine.drain()
    machine.start()

    again = replay(first, now=machine.now)

    assert status(again.pk) == "pending"


def test_a_delayed_start_takes_a_place_when_it_is_due(machine: Machine):
    limited(machine)
    later = machine.start("later", start_at=after(60))
    now = machine.start("now")
    assert all_statuses([later, now]) == ["pending", "running"]
    machine.drain()
    assert status(later) == "pending"

    assert (promote(now=after(59)), promote(now=after(60))) == (0, 1)

    assert (status(later), execution(later).started_at) == ("running", after(60))


def test_a_delayed_start_that_finds_no_room_waits_in_line_and_fires_no_more_timers(
    machine: Machine,
):
    limited(machine)
    machine.start("now")
    later = machine.start("later", start_at=after(60), priority=1)
    third = machine.start("third")
    assert next_due("spane", now=machine.now) == machine.now

    machine.claim()
    machine.now = after(60)
    assert (promote(now=machine.now), promote(now=machine.now)) == (1, 0)

    assert (status(later), next_due("spane", now=machine.now)) == ("pending", None)
    fill(execution(later).slot, now=machine.now)
    assert all_statuses([later, third]) == ["pending", "pending"]


@pytest.mark.parametrize(
    ("most", "held"), [(1, 1), (4, 4)], ids=["one place", "more places than are named"]
)
def test_an_overflow_that_is_rejected_says_who_holds_the_places(machine: Machine, most, held):
    limited(machine, most, overflow="reject")
    keys = [machine.start() for _ in range(held)]

    with pytest.raises(NoRoom) as refused:
        machine.start()

    assert f"'w' runs {most} executions at once" in str(refused.value)
    assert all(str(key) in str(refused.value) for key in keys[:3])
    assert ("and 1 more" in str(refused.value)) == (held > 3)
    assert Execution.objects.count() == held


def test_many_are_rejected_all_or_none(machine: Machine):
    limited(machine, 2, overflow="reject")

    with pytest.raises(NoRoom, match="held by those that start with it"):
        start_many("w", [1, 2, 3], now=machine.now)

    assert Execution.objects.count() == 0
    assert len(start_many("w", [1, 2], now=machine.now)) == 2


def test_the_oldest_makes_room_for_the_newest(machine: Machine):
    limited(machine, 2, overflow="cancelOldest")
    first, second = machine.start(), machine.start()

    third = machine.start()

    assert all_statuses([first, second, third]) == ["cancelled", "running", "running"]
    assert execution(first).reason == "made room for a newer one"
    entry = AuditEntry.objects.get(verb="cancel")
    assert (entry.execution_id, entry.reason) == (first, "made room for a newer one")
    assert entry.before == {"status": "running"}


def test_of_many_started_at_once_the_last_ones_are_left(machine: Machine):
    limited(machine, 2, overflow="cancelOldest")

    keys = start_many("w", [1, 2, 3, 4], now=machine.now)

    assert all_statuses(keys) == ["cancelled", "cancelled", "running", "running"]


def test_a_start_that_is_rolled_back_cancels_nobody(machine: Machine):
    limited(machine, overflow="cancelOldest")
    first = machine.start()

    with transaction.atomic():
        machine.start()
        transaction.set_rollback(True)

    assert (status(first), Execution.objects.count()) == ("running", 1)


def test_a_new_limit_holds_for_those_that_wait(machine: Machine):
    limited(machine)
    keys = [machine.start() for _ in range(4)]

    limited(machine, 3)
    fill(execution(keys[1]).slot, now=machine.now)

    assert all_statuses(keys) == ["running", "running", "running", "pending"]


def test_without_a_limit_all_that_wait_start(machine: Machine):
    limited(machine)
    keys = [machine.start() for _ in range(3)]

    machine.publish(ONE)
    fill(execution(keys[1]).slot, now=machine.now)

    assert all_statuses(keys) == ["running"] * 3


def test_a_key_must_be_an_expression(machine: Machine):
    with pytest.raises(InvalidDefinition, match="key: "):
        machine.publish(ONE, key="tenant[")


def test_who_waits_is_told_for_whom_and_where_in_line(machine: Machine):
    limited(machine, 2)
    held = [machine.start(), machine.start()]
    machine.start(priority=9)

    said = explain(execution(machine.start()), now=machine.now).sentence

    assert "waits for one of 2 places of workflow 'w'" in said
    assert all(str(key) in said for key in held)
    assert said.endswith("it is number 2 in line.")


def test_a_sub_workflow_needs_a_place_of_its_own_workflow(machine: Machine):
    limited(machine)
    first = machine.start()
    machine.publish(
        {"s": []}, id="parent", types={"s": "sub-workflow"},
        nodes={"s": {"config": {"workflowId": "w"}}},
    )  # fmt: skip
    parent = machine.start(workflow="parent")
    (one,) = (claim for claim in machine.claim() if claim.node_id == "s")
    machine.settle(machine.run([one]))
    child = Execution.objects.get(parent_id=parent)
    assert child.status == "pending"

    cancel(first, now=machine.now)

    assert status(child.pk) == "running"
    machine.drain()
    assert status(parent) == "completed"


def test_an_error_handler_needs_a_place_too(machine: Machine):
    limited(machine)
    first = machine.start()
    machine.publish({"b": []}, id="fails", onError={"workflowId": "w"})
    failed = machine.start(workflow="fails")
    (one,) = (claim for claim in machine.claim() if claim.node_id == "b")

    machine.settle([machine.finish(one, Failure(message="no", is_retryable=False))])

    handler = Execution.objects.get(parent_id=failed)
    assert handler.status == "pending"
    cancel(first, now=machine.now)
    assert status(handler.pk) == "running"


def test_an_error_handler_that_finds_a_place_starts_at_once(machine: Machine):
    limited(machine)
    machine.publish({"b": []}, id="fails", onError={"workflowId": "w"})
    failed = machine.start(workflow="fails")
    one = machine.claim_one()

    machine.settle([machine.finish(one, Failure(message="no", is_retryable=False))])

    assert Execution.objects.get(parent_id=failed).status == "running"


@pytest.mark.postgresql
def test_a_start_waits_for_another_start_of_the_workflow_and_sees_it(machine: Machine):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    limited(machine)

    with elsewhere() as do:
        with transaction.atomic():
            first = machine.start()
            other = do(lambda: machine.start())
            until(somebody_waits_for_me)
        second = other.result(timeout=10)

    assert all_statuses([first, second]) == ["running", "pending"]


@pytest.mark.postgresql
def test_under_four_starting_threads_and_workers_never_more_run_than_there_are_places(
    machine: Machine,
):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    limited(machine, 3)
    numbers, most_seen, lock = count(), [], Lock()
    ready = Barrier(8)

    def begin() -> None:
        ready.wait(10)
        for _ in range(13):
            options = StartOptions(priority=1 + next(numbers) % 10)
            start("w", None, now=machine.now, options=options)

    def finish(worker: Machine) -> None:
        ready.wait(10)
        while Execution.objects.count() < 52 or Execution.objects.unfinished().exists():
            claims = worker.claim(2)
            running = Execution.objects.filter(status="running").count()
            with lock:
                most_seen.append(running)
            worker.settle(worker.run(claims))

    workers = [Machine() for _ in range(4)]
    in_threads([begin] * 4 + [lambda worker=worker: finish(worker) for worker in workers])

    assert max(most_seen) <= 3
    assert set(Execution.objects.values_list("status", flat=True)) == {"completed"}


def test_the_sweep_looks_at_full_slots_without_a_lock(machine: Machine):
    machine.publish(ONE, key="tenant", maxExecutions={"max": 1, "perKey": True})
    for name in ("ada", "bob", "eve"):
        machine.start({"tenant": name})
        machine.start({"tenant": name})

    assert slots_with_room(now=machine.now) == set()

    Execution.objects.filter(key="bob", status="running").update(status="completed")
    assert slots_with_room(now=machine.now) == {Execution.objects.filter(key="bob")[0].slot}


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("rows", "index"),
    [
        (lambda slot: holders(slot), "spane_slots_taken"),
        (
            lambda slot: Execution.objects.unfinished().filter(
                workflow_id=Workflow.objects.get().pk, duplicate_key="k7"
            ),
            "spane_duplicates",
        ),
    ],
)
def test_what_a_start_asks_for_has_an_index(machine: Machine, rows, index):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite plans otherwise")

    machine.publish(ONE)
    version = WorkflowVersion.objects.get()
    Execution.objects.bulk_create(
        Execution(
            workflow_id=version.workflow_id, version=version, input={}, status="running",
            slot=f"workflow:{number}", duplicate_key=f"k{number}", created_at=machine.now,
        )
        for number in range(1_000)
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE spane_django_execution")
    plan = rows("workflow:7").explain()

    assert index in plan


@pytest.mark.postgresql
def test_what_ends_before_a_start_is_committed_leaves_it_no_place_unused(machine: Machine):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    limited(machine)
    machine.start()

    with elsewhere() as do, transaction.atomic():
        second = machine.start()
        do(machine.drain).result(timeout=10)
        assert status(second) == "pending"

    assert status(second) == "running"


@pytest.mark.postgresql
def test_executions_that_are_to_make_room_are_locked_in_the_order_of_their_ids(machine: Machine):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no locks of rows")
    limit = {"max": 1, "perKey": True, "overflow": "cancelOldest"}
    machine.publish(ONE, key="tenant", maxExecutions=limit)
    first, second = machine.start({"tenant": "ada"}), machine.start({"tenant": "bob"})

    with elsewhere() as do:
        with transaction.atomic():
            Execution.objects.select_for_update().get(pk=first)
            inputs = [{"tenant": "bob"}, {"tenant": "ada"}]
            started = do(lambda: start_many("w", inputs, now=machine.now))
            until(somebody_waits_for_me)
            Execution.objects.select_for_update(nowait=True).get(pk=second)
        started.result(timeout=10)

    assert all_statuses([first, second]) == ["cancelled", "cancelled"]
