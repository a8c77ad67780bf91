"""Model triggers: a save and what it starts are one, and only what has changed counts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Event
from typing import Any

import pytest
from django.core import serializers
from django.db import connection, connections, transaction
from django.db.models import F, Q
from django.db.models.signals import post_save

from spane_django import InvalidInput, Workflow
from spane_django.checks import check_model_triggers
from spane_django.engine.enable import disable
from spane_django.engine.start import UnknownWorkflow
from spane_django.models import Execution, LogLine, WorkflowVersion
from spane_django.triggers.listing import listed
from tests.engine.helpers import NOON, Machine
from tests.triggers.shop import Customer, Gift, Order, Parcel, UrgentOrder

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _published(machine: Machine) -> None:
    machine.publish({"a": []})


def inputs() -> list[Any]:
    return list(Execution.objects.order_by("id").values_list("input", flat=True))


def paid(trigger: Any, **more: Any) -> Any:
    return trigger(
        Order, on="update", fields=["status"], when=Q(status="paid"), workflow="w", **more
    )


def test_an_order_that_becomes_paid_starts_its_workflow_once(trigger):
    paid(trigger)
    order = Order.objects.create()

    order.note = "please ring"
    order.save()
    order.status = "paid"
    order.save()
    order.save()

    execution = Execution.objects.get()
    assert list(order.executions) == [execution]
    assert execution.trigger == "model:w:demo_project.order:update:status"
    assert execution.input == {
        "model": "demo_project.order",
        "id": order.pk,
        "on": "update",
        "changed": {"status": {"before": "new", "after": "paid"}},
    }


def test_the_database_says_what_has_changed_not_the_instance(trigger):
    trigger(Order, on="update", fields=["total"], workflow="w", input=["total"])
    order = Order.objects.create(total=Decimal("1.50"))

    Order(pk=order.pk, total="1.5").save()
    assert inputs() == []
    order.total = F("total") + 1
    order.save()

    assert inputs() == [{"total": "2.50"}]


def test_an_instance_that_was_never_read_is_compared_as_well(trigger):
    paid(trigger)
    order = Order.objects.create()

    Order(pk=order.pk, status="paid").save()

    assert len(inputs()) == 1


def test_a_save_of_other_fields_costs_no_query_more(trigger, django_assert_num_queries):
    paid(trigger)
    order = Order.objects.create()

    with django_assert_num_queries(1):
        order.save(update_fields=["note"])


def test_a_save_of_a_watched_field_costs_two_reads_and_one_for_its_condition(
    trigger, django_assert_num_queries
):
    paid(trigger)
    order = Order.objects.create()

    with django_assert_num_queries(3):
        order.save(update_fields=["status"])
    order.status = "cancelled"
    with django_assert_num_queries(4):
        order.save(update_fields=["status"])


@pytest.mark.parametrize("model", [Order, Gift, UrgentOrder])
def test_creations_of_the_model_its_proxies_and_its_heirs_count(trigger, model: Any):
    trigger(Order, on="create", workflow="w")

    created = model.objects.create()

    assert [one["id"] for one in inputs()] == [created.pk]


def test_an_object_that_makes_its_key_itself_is_created_only_once(trigger):
    trigger(Parcel, on="create", workflow="w", input=lambda parcel: ["new", parcel.weight])
    trigger(Parcel, on="update", workflow="w", input=lambda parcel: ["old", parcel.weight])

    parcel = Parcel(weight=1)
    parcel.save()
    parcel.weight = 2
    parcel.save()

    assert inputs() == [["new", 1], ["old", 2]]


@pytest.mark.parametrize(
    "delete",
    [
        lambda order: order.delete(),
        lambda order: Order.objects.filter(pk=order.pk).delete(),
        lambda order: UrgentOrder.objects.get(pk=order.pk).delete(),
        lambda order: order.customer.delete(),
    ],
    ids=["instance", "queryset", "proxy", "cascade"],
)
def test_a_deletion_is_told_however_it_comes_about(trigger, delete: Any):
    fields = ["id", "customer__email"]
    trigger(Order, on="delete", when=Q(status="new"), input=fields, workflow="w")
    order = Order.objects.create(customer=Customer.objects.create(email="a@example.com"))
    key = order.pk

    delete(order)

    assert inputs() == [{"id": key, "customer__email": "a@example.com"}]


def test_the_deletion_of_an_heir_is_told_once(trigger):
    trigger(Order, on="delete", workflow="w")

    Gift.objects.create().delete()

    assert len(inputs()) == 1


def test_conditions_may_look_at_related_objects_or_be_functions(trigger):
    trigger(Order, on="create", when=Q(customer__email__endswith=".de"), workflow="w", name="q")
    trigger(Order, on="create", when=lambda order: order.total > 10, workflow="w", name="f")

    Order.objects.create(customer=Customer.objects.create(email="a@example.de"))
    Order.objects.create(total=11)
    Order.objects.create()

    assert sorted(Execution.objects.values_list("trigger", flat=True)) == ["model:f", "model:q"]


@pytest.mark.django_db(transaction=True)
def test_a_save_in_autocommit_and_its_execution_commit_together_or_not_at_all(trigger):
    paid(trigger, input=lambda order: 1 / int(order.total))
    order = Order.objects.create(total=0)

    order.status = "paid"
    with pytest.raises(ZeroDivisionError):
        order.save()
    order.refresh_from_db()
    assert (order.status, inputs()) == ("new", [])

    order.status, order.total = "paid", 1
    order.save()
    assert inputs() == [1.0]


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_has_started_nothing(trigger, wakes):
    paid(trigger)
    order = Order.objects.create()

    with transaction.atomic():
        order.status = "paid"
        order.save()
        assert len(inputs()) == 1
        transaction.set_rollback(True)

    assert (inputs(), wakes) == ([], [])


@pytest.mark.django_db(transaction=True)
def test_of_two_saves_at_once_one_finds_the_change(trigger):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite writes one transaction at a time")
    paid(trigger)
    order = Order.objects.create()
    is_saved, may_commit = Event(), Event()

    def pay(*, first: bool) -> None:
        try:
            with transaction.atomic():
                Order(pk=order.pk, status="paid").save()
                is_saved.set()
                if first:
                    assert may_commit.wait(30)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(pay, first=True)]
        assert is_saved.wait(30)
        both.append(pool.submit(pay, first=False))
        may_commit.set()
        for one in both:
            one.result()

    assert len(inputs()) == 1


def test_a_workflow_that_refuses_its_input_undoes_the_save(trigger, machine):
    machine.publish({"a": []}, id="strict", inputSchema={"required": ["email"]})
    trigger(Order, on="create", workflow="strict")

    with pytest.raises(InvalidInput, match="email"), transaction.atomic():
        Order.objects.create()

    assert not Order.objects.exists()


def test_a_workflow_that_does_not_exist_undoes_the_save(trigger):
    trigger(Order, on="create", workflow="ghost")

    with pytest.raises(UnknownWorkflow), transaction.atomic():
        Order.objects.create()

    assert not Order.objects.exists()


def test_a_workflow_in_python_that_was_never_published_is_published(trigger):
    flow = Workflow("fresh")
    flow.add("a", "call")
    trigger(Order, on="create", workflow=flow)

    Order.objects.create()

    assert WorkflowVersion.objects.filter(workflow__key="fresh").count() == 1
    assert len(inputs()) == 1


def test_what_an_operator_or_a_limit_holds_back_lets_the_save_stand(trigger, machine):
    machine.publish({"a": []}, id="one", maxExecutions={"max": 1, "overflow": "reject"})
    trigger(Order, on="create", workflow="one")
    trigger(Order, on="create", workflow="w")
    disable("w", now=NOON)

    Order.objects.create()
    Order.objects.create()

    assert (Order.objects.count(), len(inputs())) == (2, 1)


def test_a_workflow_that_saves_the_model_that_starts_it_comes_to_an_end_and_says_why(
    trigger, machine, does, settings
):
    settings.SPANE = {**settings.SPANE, "MAX_DEPTH": 3}
    trigger(Order, on="update", workflow="w")
    order = Order.objects.create()
    does["a"] = lambda ctx: ctx.subject.save()

    order.save()
    machine.drain()

    depths = sorted(Execution.objects.values_list("depth", flat=True))
    assert depths == [0, 1, 2, 3]
    assert set(Execution.objects.values_list("status", flat=True)) == {"completed"}
    (line,) = LogLine.objects.all()
    assert "MAX_DEPTH" in line.message


def test_what_a_nodes_save_starts_is_its_child(trigger, machine, does):
    machine.publish({"pay": []}, id="pay")
    paid(trigger)
    order = Order.objects.create()
    does["pay"] = lambda ctx: Order(pk=order.pk, status="paid").save()

    parent = machine.start(workflow="pay", tenant="acme")
    machine.drain()

    child = Execution.objects.get(parent_id=parent)
    assert (child.relation, child.depth, child.tenant) == ("triggered", 1, "acme")
    assert child.subject_id == str(order.pk)


def test_a_receiver_that_saves_again_does_not_start_twice(trigger):
    paid(trigger)
    order = Order.objects.create()

    def again(sender: Any, instance: Order, **_: Any) -> None:
        if instance.note != "seen":
            instance.note = "seen"
            instance.save()

    post_save.connect(again, sender=Order)
    try:
        order.status = "paid"
        order.save()
    finally:
        post_save.disconnect(again, sender=Order)

    assert len(inputs()) == 1


def test_tenant_and_key_may_come_from_the_object(trigger):
    trigger(
        Order, on="create", workflow="w",
        tenant=lambda order: order.note, key=lambda order: f"customer-{order.total}",
    )  # fmt: skip

    Order.objects.create(note="acme", total=7)

    execution = Execution.objects.get()
    assert (execution.tenant, execution.key) == ("acme", "customer-7")


def test_bulk_writes_and_fixtures_go_past_triggers(trigger):
    trigger(Order, on="create", workflow="w")
    trigger(Order, on="update", workflow="w")

    orders = Order.objects.bulk_create([Order(), Order()])
    Order.objects.update(status="paid")
    Order.objects.bulk_update(orders, ["note"])
    for loaded in serializers.deserialize("json", serializers.serialize("json", orders)):
        loaded.save()

    assert inputs() == []


def test_a_triggering_update_is_as_good_as_saving_each(trigger):
    paid(trigger, input=["id"])
    new = [order.pk for order in Order.objects.bulk_create([Order(), Order()])]
    Order.objects.create(status="paid")

    count = Order.objects.all().triggering_update(status="paid")
    again = Order.objects.all().triggering_update(status="paid")

    assert (count, again) == (3, 3)
    assert sorted(one["id"] for one in inputs()) == sorted(new)


def test_a_triggering_update_that_changes_what_it_was_chosen_by_still_starts(trigger):
    paid(trigger, input=["id"])
    order = Order.objects.create()

    Order.objects.filter(status="new").triggering_update(status="paid")

    assert inputs() == [{"id": order.pk}]


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"on": "updated"}, "not one of create, update, delete"),
        ({"on": "create", "fields": ["status"]}, "leave them out"),
        ({"on": "update", "fields": ["statsu"]}, "no column 'statsu'"),
        ({"on": "update", "name": "x" * 111}, "longer than 110"),
    ],
)
def test_a_trigger_that_makes_no_sense_is_refused(trigger, said: dict[str, Any], fault: str):
    with pytest.raises(ValueError, match=fault):
        trigger(Order, workflow="w", **said)


def test_two_triggers_of_one_name_are_refused(trigger):
    paid(trigger)

    with pytest.raises(ValueError, match="give one a name"):
        paid(trigger)


class _Elsewhere:
    """Keeps orders in another database than workflows."""

    def db_for_write(self, model: Any, **_: Any) -> str | None:
        return "elsewhere" if model is Order else None


def test_a_model_in_another_database_is_warned_about(trigger, settings):
    paid(trigger)

    assert check_model_triggers() == []
    settings.DATABASE_ROUTERS = [_Elsewhere()]

    (warning,) = check_model_triggers()
    assert warning.id == "spane.W004"


def test_a_model_trigger_is_listed_beside_the_others(trigger):
    paid(trigger)

    (one,) = listed(workflow="w")

    assert (one.type, one.says) == ("model", "update of demo_project.Order (status)")
    assert list(listed(workflow="other")) == []
