"""Starting: both or neither with the caller's own rows, once per key, now or later."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, OperationalError, connection, transaction

from spane_django.core.errors import InvalidInput
from spane_django.engine.control import pause, resume
from spane_django.engine.origin import Origin
from spane_django.engine.promote import promote
from spane_django.engine.release import run_row
from spane_django.engine.rows import RunRow
from spane_django.engine.start import (
    DisabledWorkflow,
    IdempotencyConflict,
    StartOptions,
    UnknownWorkflow,
    start,
    start_many,
)
from spane_django.engine.sweep import sweep
from spane_django.models import Execution, NodeRun, Workflow
from tests.engine.helpers import Machine, after, execution, status, statuses
from tests.engine.threads import in_threads

pytestmark = pytest.mark.django_db


def test_a_started_execution_is_running_and_its_roots_are_ready(machine: Machine):
    machine.publish({"a": ["c"], "b": ["c"]})

    key = machine.start({"n": 1})

    row = execution(key)
    assert (row.status, row.input, row.active_nodes) == ("running", {"n": 1}, 2)
    assert (row.created_at, row.started_at, row.finished_at) == (after(0), after(0), None)
    assert statuses(key) == {"a": "ready", "b": "ready"}


@pytest.mark.django_db(transaction=True)
def test_what_the_caller_rolls_back_was_never_started(machine: Machine, wakes):
    machine.publish({"a": []})

    with transaction.atomic():
        Group.objects.create(name="order")
        machine.start()
        transaction.set_rollback(True)

    assert (Group.objects.count(), Execution.objects.count(), NodeRun.objects.count()) == (0, 0, 0)
    assert wakes == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("options", [{}, {"maxConcurrency": 1}, {"maxExecutions": 1}])
def test_a_start_without_a_transaction_leaves_all_or_nothing(machine, monkeypatch, options, wakes):
    def queueless(*args: object, **kwargs: object) -> RunRow:
        return replace(run_row(*args, **kwargs), queue=None)

    machine.publish({"a": []}, **options)
    with monkeypatch.context() as patched:
        patched.setattr("spane_django.engine.release.run_row", queueless)
        with pytest.raises(IntegrityError):
            start("w", now=machine.now)

    assert (Execution.objects.count(), NodeRun.objects.count(), wakes) == (0, 0, [])
    key = machine.start()
    assert (statuses(key), set(wakes)) == ({"a": "ready"}, {"spane"})


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("options", [{}, {"idempotency_key": "k"}])
def test_who_commits_by_hand_can_start_and_take_it_back(machine: Machine, options, wakes):
    if connection.vendor != "postgresql":
        pytest.skip("with autocommit off SQLite commits by itself, as Django's documentation says")
    machine.publish({"a": []})
    transaction.set_autocommit(False)
    try:
        machine.start(**options)
        transaction.rollback()
        assert (Execution.objects.count(), wakes) == (0, [])
        key = machine.start(**options)
        transaction.commit()
    finally:
        transaction.set_autocommit(True)

    assert (statuses(key), wakes) == ({"a": "ready"}, ["spane"])


@pytest.mark.django_db(transaction=True)
def test_a_large_input_is_recorded_with_its_execution_or_not_at_all(machine, monkeypatch, settings):
    def fails(*args: object, **kwargs: object) -> None:
        raise OperationalError("gone")

    settings.SPANE = {**settings.SPANE, "OFFLOAD_BYTES": 10}
    machine.publish({"a": []})
    with monkeypatch.context() as patched:
        patched.setattr("spane_django.engine.release.record", fails)
        with pytest.raises(OperationalError):
            start("w", "x" * 100, now=machine.now)

    assert (Execution.objects.count(), NodeRun.objects.count()) == (0, 0)


@pytest.mark.django_db(transaction=True)
def test_workers_are_woken_only_after_the_callers_commit(machine: Machine, wakes):
    machine.publish({"a": [], "b": []}, nodes={"b": {"queue": "special"}})

    with transaction.atomic():
        Group.objects.create(name="order")
        machine.start()
        assert wakes == []

    assert wakes == ["spane", "special"]
    assert (Group.objects.count(), Execution.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_nobody_else_sees_a_start_before_it_is_committed(machine: Machine):
    if connection.vendor == "sqlite":
        pytest.skip("a second connection would wait for the first one's transaction")
    machine.publish({"a": []})

    with transaction.atomic():
        machine.start()
        assert in_threads([lambda: len(machine.claim())]) == [0]

    assert len(machine.claim()) == 1


@pytest.mark.django_db(transaction=True)
def test_a_wake_that_fails_spoils_nothing_and_the_sweep_finds_the_work(machine: Machine, settings):
    settings.SPANE = {**settings.SPANE, "DISPATCHER": "tests.wakes.broken"}
    machine.publish({"a": []})

    key = machine.start()

    assert status(key) == "running"
    assert sweep(now=machine.now).queues == {"spane"}


def test_an_unknown_workflow_cannot_be_started(machine: Machine):
    with pytest.raises(UnknownWorkflow, match="'w' not found: publish its definition first"):
        machine.start()


def test_a_disabled_workflow_cannot_be_started(machine: Machine):
    machine.publish({"a": []})
    Workflow.objects.update(is_enabled=False)

    with pytest.raises(DisabledWorkflow, match="'w' is disabled"):
        machine.start()


@pytest.mark.parametrize("data", [{1}, float("nan"), "\x00", "\ud800", ...], ids=repr)
def test_an_input_that_cannot_be_stored_is_refused(machine: Machine, data):
    machine.publish({"a": []})

    with pytest.raises(InvalidInput, match="initialData: "):
        machine.start(data)
    assert Execution.objects.count() == 0


def test_an_input_must_fit_the_workflows_schema_and_every_fault_is_told(machine: Machine):
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "who": {"type": "string"}},
        "required": ["who"],
    }
    machine.publish({"a": []}, inputSchema=schema)

    with pytest.raises(InvalidInput) as refused:
        machine.start({"n": "one"}, priority=11)

    assert [fault.path for fault in refused.value.faults] == [
        "priority", "initialData", "initialData.n",
    ]  # fmt: skip
    assert machine.start({"n": 1, "who": "ada"})


@pytest.mark.parametrize("options", [{"priority": 0}, {"priority": 11}, {"idempotency_key": ""}])
def test_an_option_out_of_range_is_refused(machine: Machine, options):
    machine.publish({"a": []})

    with pytest.raises(InvalidInput):
        machine.start(**options)


def test_many_are_started_all_or_none(machine: Machine):
    machine.publish({"a": []}, inputSchema={"type": "integer"})

    with pytest.raises(InvalidInput, match=r"initialData\[1\]"):
        start_many("w", [1, "two", 3], now=machine.now)
    assert Execution.objects.count() == 0

    keys = start_many("w", [1, 2, 3], now=machine.now)
    assert [execution(key).input for key in keys] == [1, 2, 3]
    assert machine.drain() == ["a"] * 3


def test_the_same_key_gives_the_first_execution_back(machine: Machine):
    machine.publish({"a": []})

    first = machine.start({"n": 1}, idempotency_key="order-1")
    again = machine.start({"n": 1}, idempotency_key="order-1")
    other = machine.start({"n": 1}, idempotency_key="order-2")

    assert (again, other != first) == (first, True)
    assert Execution.objects.count() == 2
    machine.drain()
    assert machine.start({"n": 1}, idempotency_key="order-1") == first


def test_the_same_key_with_another_input_is_refused(machine: Machine):
    machine.publish({"a": []})
    first = machine.start({"n": 1}, idempotency_key="order-1")

    with pytest.raises(IdempotencyConflict, match=f"for execution {first}"):
        machine.start({"n": 2}, idempotency_key="order-1")


def test_an_input_is_compared_as_it_is_stored(machine: Machine):
    machine.publish({"a": []})
    data = {"sizes": (1, 2), 3: "three"}

    assert machine.start(data, idempotency_key="k") == machine.start(data, idempotency_key="k")


def test_a_key_belongs_to_one_workflow(machine: Machine):
    machine.publish({"a": []})
    machine.publish({"a": []}, id="other")

    first = machine.start(idempotency_key="k")

    assert machine.start(workflow="other", idempotency_key="k") != first


def test_a_delayed_start_waits_for_its_time(machine: Machine):
    machine.publish({"a": []})
    key = machine.start({"n": 1}, start_at=after(60))

    assert (status(key), statuses(key), execution(key).started_at) == ("pending", {}, None)
    assert (promote(now=after(59)), machine.claim()) == (0, [])

    machine.now = after(60)
    assert promote(now=machine.now) == 1
    assert promote(now=machine.now) == 0
    assert (status(key), execution(key).started_at) == ("running", after(60))
    assert machine.drain() == ["a"]
    assert status(key) == "completed"


def test_a_start_in_the_past_is_a_start_now(machine: Machine):
    machine.publish({"a": []})

    key = machine.start(start_at=after(-5))

    assert (status(key), execution(key).start_at) == ("running", None)


@pytest.mark.django_db(transaction=True)
def test_promoting_wakes_workers(machine: Machine, wakes):
    machine.publish({"a": []})
    machine.start(start_at=after(60))
    assert wakes == []

    promote(now=after(60))

    assert wakes == ["spane"]


def test_a_delayed_start_that_was_paused_starts_at_the_resume(machine: Machine):
    machine.publish({"a": []})
    key = machine.start(start_at=after(60))
    pause(key, now=machine.now)
    machine.now = after(90)
    assert (promote(now=machine.now), status(key)) == (0, "paused")

    resume(key, now=machine.now)

    assert (status(key), execution(key).started_at) == ("running", after(90))
    assert machine.drain() == ["a"]
    assert status(key) == "completed"


def test_a_delayed_start_that_is_resumed_before_its_time_waits_on(machine: Machine):
    machine.publish({"a": []})
    key = machine.start(start_at=after(60))
    pause(key, now=machine.now)
    resume(key, now=machine.now)

    assert (status(key), statuses(key)) == ("pending", {})
    machine.now = after(60)
    assert (promote(now=machine.now), machine.drain()) == (1, ["a"])


@pytest.mark.parametrize(
    ("options", "deadline"),
    [
        ({}, 30),  # the workflow's
        ({"timeout": timedelta(seconds=5)}, 5),
        ({"start_at": after(60)}, 90),  # counted from its start
        ({"start_at": after(60), "timeout": timedelta(seconds=5)}, 65),
    ],
)
def test_a_deadline_is_counted_from_the_start(machine: Machine, options, deadline):
    machine.publish({"a": []}, timeout=30_000)

    assert execution(machine.start(**options)).deadline_at == after(deadline)


def test_who_started_it_is_kept(machine: Machine):
    ada = User.objects.create(username="ada")
    machine.publish({"a": []})

    row = start("w", now=machine.now, options=StartOptions(by=ada, priority=9))

    assert (row.started_by, row.priority, row.workflow.key) == (ada, 9, "w")


@pytest.mark.parametrize(
    ("workflow", "options"),
    [
        ({}, {}),
        ({"timeout": 30_000}, {"start_at": after(60), "idempotency_key": "k", "key": "ada"}),
        ({"maxExecutions": 1}, {"priority": 9}),
        ({}, {"tenant": "acme", "subject_type": "shop.order", "subject_id": "7", "trigger": "api"}),
        ({}, {"origin": "the parent's"}),
    ],
)
def test_what_a_start_returns_is_what_the_database_holds(machine: Machine, workflow, options):
    machine.publish({"a": []}, **workflow)
    if "origin" in options:
        options = {"origin": Origin(machine.start(tenant="acme"), 0, "acme")}

    row = start("w", {"n": [1, None]}, now=machine.now, options=StartOptions(**options))

    assert model_values(row) == model_values(Execution.objects.get(pk=row.pk))
    assert not row._state.adding
    assert row._state.db == "default"


def model_values(row: Execution) -> dict[str, object]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
