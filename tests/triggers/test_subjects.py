"""Subjects: from a business object to its executions, and back from a node."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async

from spane_django import Context, SpaneExecutions, Workflow, emit, start
from spane_django.models import Execution
from spane_django.testing import InlineEngine
from tests.engine.helpers import definition
from tests.testing.shop import look_up
from tests.triggers.shop import Gift, Order, Parcel, UrgentOrder

pytestmark = pytest.mark.django_db

ANY = {"type": "event", "config": {"event": "*"}}


def test_an_order_has_the_executions_that_are_about_it(machine):
    machine.publish({"a": []})
    ours, other = Order.objects.create(), Order.objects.create()

    execution = start("w", subject=ours)
    start("w", subject=other)
    start("w")

    assert list(ours.executions) == [execution]
    assert (execution.subject_type, execution.subject_id) == ("demo_project.order", str(ours.pk))
    assert ours.executions.filter(status="completed").count() == 0


def test_executions_of_an_order_are_found_by_an_index(machine, django_assert_num_queries):
    order = Order.objects.create()

    with django_assert_num_queries(1):
        assert list(order.executions) == []


def test_what_is_not_saved_has_no_executions_and_is_no_subject(machine):
    machine.publish({"a": []})

    assert list(Order().executions) == []
    with pytest.raises(ValueError, match="save the order"):
        start("w", subject=Order())


def test_the_descriptor_of_the_class_is_itself():
    assert isinstance(Order.executions, SpaneExecutions)


def test_a_proxy_is_its_model_and_a_child_model_is_its_own(machine):
    machine.publish({"a": []})
    order = Order.objects.create()
    gift = Gift.objects.create()

    execution = start("w", subject=UrgentOrder.objects.get(pk=order.pk))
    start("w", subject=gift)

    assert list(order.executions) == [execution]
    assert gift.executions.get().subject_type == "demo_project.gift"


@pytest.mark.parametrize("make", [Order.objects.create, Parcel.objects.create])
def test_a_node_is_given_the_subject_as_it_is_now(machine, does, make: Any):
    subject = make()
    seen: list[Any] = []
    does["a"] = lambda ctx: seen.append(ctx.subject)
    machine.publish({"a": []})

    start("w", subject=subject)
    machine.drain()

    assert seen == [subject]


def test_a_subject_that_is_gone_or_was_never_named_is_none(machine, does):
    order = Order.objects.create()
    seen: list[Any] = []
    does["a"] = lambda ctx: seen.append(ctx.subject)
    machine.publish({"a": []})

    start("w", subject=order)
    order.delete()
    start("w")
    start("w")
    Execution.objects.filter(subject_type="").update(subject_type="gone.model", subject_id="1")
    start("w")
    machine.drain()

    assert seen == [None] * 4


def test_an_async_node_is_given_its_subject_and_what_it_emits_is_its_child(spane: InlineEngine):
    order = Order.objects.create()
    Workflow.from_definition(definition({"h": []}, id="heard", triggers=[ANY])).publish()
    flow = Workflow.from_definition(definition({"a": []}, id="flow", types={"a": look_up.type}))
    flow.publish()

    async def answer(ctx: Context) -> Any:
        return {"note": ctx.subject.note, "heard": len((await sync_to_async(emit)("x")).executions)}

    spane.stub("a", does=answer)
    order.note = "read"
    order.save()
    execution = flow.start(subject=order)
    spane.run()

    spane.assert_output(execution, {"note": "read", "heard": 1})
    assert Execution.objects.get(parent=execution).subject_id == str(order.pk)


def test_children_are_about_what_their_parent_is_about(machine):
    machine.publish({"c": []}, id="child")
    flow = Workflow("parent")
    flow.add("s", "sub-workflow", {"workflowId": "child"})
    flow.publish()
    order = Order.objects.create()

    flow.start({}, subject=order)
    machine.drain()

    assert {row.workflow.key for row in order.executions} == {"parent", "child"}


def test_an_event_about_an_order_starts_executions_about_it(machine):
    machine.publish({"a": []}, triggers=[{"type": "event", "config": {"event": "order.*"}}])
    order = Order.objects.create()

    emit("order.paid", subject=order)

    assert order.executions.get().trigger == "event:order.paid"
