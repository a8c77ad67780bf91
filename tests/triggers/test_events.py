"""Named events: who hears them, what they start, and that they do it with their transaction."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from django.db import connections, transaction

from spane_django import InvalidInput, OnEvent, Workflow, emit
from spane_django.core.errors import InvalidDefinition
from spane_django.engine import drafts
from spane_django.engine.enable import disable, enable
from spane_django.engine.publish import publish
from spane_django.models import Execution, LogLine, Trigger
from tests.engine.helpers import NOON, Machine, definition
from tests.engine.statements import counted
from tests.triggers.shop import Order

pytestmark = pytest.mark.django_db

CALL: dict[str, Any] = {"a": []}


def event(name: str, **config: Any) -> dict[str, Any]:
    return {"type": "event", "config": {"event": name, **config}}


def listen(machine: Machine, *triggers: dict[str, Any], workflow: str = "w", **more: Any) -> None:
    machine.publish(CALL, id=workflow, triggers=list(triggers), **more)


def only(executions: list[UUID]) -> Execution:
    (key,) = executions
    return Execution.objects.select_related("workflow").get(pk=key)


def test_an_event_starts_what_listens_for_it_with_its_payload(machine):
    listen(machine, event("order.paid"))

    execution = only(emit("order.paid", {"id": 7}).executions)

    assert (execution.workflow.key, execution.input) == ("w", {"id": 7})
    assert (execution.trigger, execution.relation) == ("event:order.paid", "")
    assert machine.drain() == ["a"]


def test_an_event_nobody_listens_for_starts_nothing_and_costs_one_query(machine):
    listen(machine, event("order.paid"))

    with counted() as statements:
        emission = emit("order.shipped")

    assert (emission.executions, emission.refused) == ([], [])
    assert len(statements) == 1


@pytest.mark.parametrize(
    ("pattern", "name", "is_heard"),
    [
        ("order.*", "order.paid", True),
        ("order.*", "order.item.added", True),
        ("order.item.*", "order.paid", False),
        ("order.*", "order", False),
        ("order.*", "orders.paid", False),
        ("*", "order", True),
        ("*", "order.paid", True),
        ("order.paid", "order.paid.twice", False),
    ],
)
def test_a_pattern_hears_what_begins_like_it(machine, pattern: str, name: str, is_heard: bool):
    listen(machine, event(pattern))

    assert bool(emit(name).executions) is is_heard


def test_a_condition_over_the_payload_decides(machine):
    listen(machine, event("order.paid", when="total > `100` && country == 'DE'"))

    cheap = emit("order.paid", {"total": 99, "country": "DE"})
    dear = emit("order.paid", {"total": 101, "country": "DE"})

    assert (len(cheap.executions), len(dear.executions)) == (0, 1)


@pytest.mark.parametrize(
    ("mapping", "data"),
    [
        ({"order": "id", "first": "items[0].sku"}, {"order": 7, "first": "x"}),
        ("items[].sku", ["x", "y"]),
        ({"missing": "nothing.here"}, {"missing": None}),
    ],
)
def test_a_map_makes_the_input(machine, mapping: Any, data: Any):
    listen(machine, event("order.paid", map=mapping))

    emission = emit("order.paid", {"id": 7, "items": [{"sku": "x"}, {"sku": "y"}]})

    assert only(emission.executions).input == data


def test_every_trigger_that_applies_starts_its_workflow(machine):
    listen(machine, event("order.paid"), event("order.*"), workflow="one")
    listen(machine, event("*"), workflow="two")

    started = emit("order.paid").executions

    keys = Execution.objects.filter(pk__in=started).values_list("workflow__key", flat=True)
    assert sorted(keys) == ["one", "one", "two"]


@pytest.mark.django_db(transaction=True)
def test_an_event_starts_with_its_transaction_or_not_at_all(machine, wakes):
    listen(machine, event("order.paid"))
    wakes.clear()

    with transaction.atomic():
        Order.objects.create(status="paid")
        assert emit("order.paid").executions
        transaction.set_rollback(True)

    assert (Order.objects.count(), Execution.objects.count(), wakes) == (0, 0, [])

    with transaction.atomic():
        emit("order.paid")
        assert wakes == []
    assert wakes == ["spane"]


@pytest.mark.django_db(transaction=True)
def test_what_another_connection_has_committed_is_heard_by_the_very_next_event(machine):
    machine.publish(CALL)
    assert emit("order.paid").executions == []

    with ThreadPoolExecutor(1) as elsewhere:
        elsewhere.submit(_publish_elsewhere, machine, [event("order.paid")]).result()
        heard = emit("order.paid").executions
        elsewhere.submit(_publish_elsewhere, machine, []).result()
        gone = emit("order.paid").executions

    assert (len(heard), len(gone)) == (1, 0)


def _publish_elsewhere(machine: Machine, triggers: list[dict[str, Any]]) -> None:
    try:
        listen(machine, *triggers)
    finally:
        connections.close_all()


def test_a_transaction_hears_by_the_triggers_that_it_has_written_itself(machine):
    with transaction.atomic():
        listen(machine, event("order.paid"))

        assert len(emit("order.paid").executions) == 1


def test_an_event_with_an_idempotency_key_starts_once(machine):
    listen(machine, event("order.paid"))

    first = emit("order.paid", {"id": 7}, idempotency_key="stripe-1")
    again = emit("order.paid", {"id": 7, "again": True}, idempotency_key="stripe-1")
    other = emit("order.paid", {"id": 7}, idempotency_key="stripe-2")

    assert first.executions == again.executions != other.executions
    assert Execution.objects.count() == 2


def test_a_very_long_idempotency_key_is_as_good_as_a_short_one(machine):
    listen(machine, event("order.paid"))

    first = emit("order.paid", idempotency_key="k" * 5_000)
    again = emit("order.paid", idempotency_key="k" * 5_000)

    assert first.executions == again.executions


def test_a_trigger_that_cannot_start_is_told_and_harms_neither_emitter_nor_others(
    machine, django_capture_on_commit_callbacks
):
    schema = {"type": "object", "required": ["email"]}
    listen(machine, event("order.paid", map={"x": "total"}), workflow="a", inputSchema=schema)
    listen(machine, event("order.paid", when="length(total) > `1`"), workflow="b")
    listen(machine, event("order.paid"), workflow="c")

    with django_capture_on_commit_callbacks(execute=True):
        emission = emit("order.paid", {"total": 5})

    assert only(emission.executions).workflow.key == "c"
    assert [refusal.workflow for refusal in emission.refused] == ["a", "b"]
    faulty = Trigger.objects.get(workflow__key="a")
    assert (faulty.failures, faulty.failed_at is None) == (1, False)
    assert "email" in faulty.last_error
    assert Trigger.objects.get(workflow__key="c").failures == 0


@pytest.mark.parametrize(
    "name", ["", "order paid", ".paid", "order.", "a..b", "order.*", "x" * 101]
)
def test_a_name_that_is_none_is_refused(machine, name: str):
    with pytest.raises(InvalidInput, match="name"):
        emit(name)


def test_a_payload_that_no_database_keeps_is_refused_with_its_path(machine):
    with pytest.raises(InvalidInput, match="payload"):
        emit("order.paid", {"when": object()})


def test_a_disabled_workflow_hears_nothing_until_it_is_enabled(machine):
    listen(machine, event("order.paid"))

    disable("w", now=NOON)
    silent = emit("order.paid")
    enable("w", now=NOON)

    assert (silent.executions, silent.refused) == ([], [])
    assert len(emit("order.paid").executions) == 1


def test_a_tenants_events_are_heard_by_its_own_triggers_and_by_shared_ones(machine):
    listen(machine, event("order.paid"), workflow="shared")
    listen(machine, event("order.paid"), workflow="acmes")
    Trigger.objects.filter(workflow__key="acmes").update(tenant="acme")

    heard = {
        tenant: {only([key]).workflow.key for key in emit("order.paid", tenant=tenant).executions}
        for tenant in ("", "acme", "other")
    }

    assert heard == {"": {"shared"}, "acme": {"shared", "acmes"}, "other": {"shared"}}
    assert set(Execution.objects.values_list("tenant", flat=True)) == {"", "acme", "other"}


def test_a_tenants_own_workflow_hears_in_the_place_of_the_shared_one(machine):
    listen(machine, event("order.paid"))
    raw = definition(CALL, triggers=[event("order.paid")], description="ours")
    ours = publish(raw, now=NOON, tenant="acme")

    theirs = only(emit("order.paid", tenant="other").executions)
    mine = only(emit("order.paid", tenant="acme").executions)

    assert (mine.version, theirs.workflow.tenant) == (ours, "")


def test_declared_triggers_follow_the_version_that_is_current(machine):
    listen(machine, event("order.paid"), event("order.late"))
    second = machine.publish(CALL, triggers=[event("order.late")], description="less")

    assert (len(emit("order.paid").executions), len(emit("order.late").executions)) == (0, 1)
    drafts.activate("w", second.number - 1, now=NOON)
    assert (len(emit("order.paid").executions), len(emit("order.late").executions)) == (1, 1)
    drafts.archive_workflow("w", now=NOON)
    assert (emit("order.late").executions, Trigger.objects.count()) == ([], 0)


def test_a_declared_trigger_that_was_switched_off_stays_off_while_it_says_the_same(machine):
    listen(machine, event("order.paid"))
    Trigger.objects.update(is_enabled=False)

    listen(machine, event("order.paid"), description="changed elsewhere")

    assert emit("order.paid").executions == []


def test_every_fault_of_a_trigger_is_told_when_it_is_published(machine):
    with pytest.raises(InvalidDefinition) as refusal:
        listen(
            machine,
            event("order paid"),
            event("ok", when="total >"),
            event("ok", map={"a": "b", "c": "]"}),
            event("ok", colour="red"),
            {"type": "workflow", "config": {"workflowId": "x", "on": "paused"}},
            {"type": "event"},
        )

    paths = [fault.path for fault in refusal.value.faults]
    assert paths == [
        "triggers[0].config.event",
        "triggers[1].config.when",
        "triggers[2].config.map.c",
        "triggers[3].config",
        "triggers[4].config.on",
        "triggers[5].config",
    ]


def test_python_and_json_say_the_same_of_a_trigger(machine):
    flow = Workflow(
        "w", triggers=[OnEvent("order.paid", when="total > `100`", map={"order": "id"})]
    )
    flow.add("a", "call")

    raw = flow.definition()

    assert raw["triggers"] == [
        event("order.paid", when="total > `100`", map={"order": "id"}),
    ]
    assert Workflow.from_definition(raw).definition() == raw


def test_what_a_nodes_event_starts_is_its_child_and_its_tenants(machine, does):
    listen(machine, event("stock.low"), workflow="reorder")
    machine.publish({"check": []}, id="sale")
    does["check"] = lambda ctx: len(emit("stock.low", {"sku": "x"}).executions)
    sale = machine.start(workflow="sale", tenant="acme", subject_type="shop.order", subject_id="7")

    machine.drain()

    child = Execution.objects.get(parent_id=sale)
    assert (child.relation, child.depth, child.trigger) == ("triggered", 1, "event:stock.low")
    assert (child.tenant, child.subject_type, child.subject_id) == ("acme", "shop.order", "7")
    assert child.follows_parent is False


def test_an_event_that_sets_off_its_own_workflow_comes_to_an_end_and_says_why(
    machine, does, settings
):
    settings.SPANE = {**settings.SPANE, "MAX_DEPTH": 4}
    listen(machine, event("ping"))
    does["a"] = lambda ctx: len(emit("ping").executions)

    emit("ping")
    machine.drain()

    depths = sorted(Execution.objects.values_list("depth", flat=True))
    assert depths == [0, 1, 2, 3, 4]
    (line,) = LogLine.objects.all()
    assert line.execution.depth == 4
    assert "MAX_DEPTH" in line.message
