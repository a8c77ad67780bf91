"""Whose an execution is and what it is about goes on to all that it brings about."""

from __future__ import annotations

from uuid import UUID

import pytest

from spane_django.engine.retry import replay
from spane_django.engine.start import StartOptions, start
from spane_django.models import Execution

pytestmark = pytest.mark.django_db

OURS = StartOptions(tenant="acme", trigger="api", subject_type="shop.order", subject_id="7")


def test_children_endings_and_replays_belong_to_the_tenant_and_the_subject_of_the_first(machine):
    machine.publish({"c": []}, id="child")
    machine.publish(
        {"s": []},
        types={"s": "sub-workflow"},
        nodes={"s": {"config": {"workflowId": "child"}}},
        **{"finally": {"type": "call"}},
    )
    first = start("w", now=machine.now, options=OURS)

    machine.drain()
    again = replay(first.pk, now=machine.now)

    brought = Execution.objects.exclude(pk=first.pk)
    assert {whose(row.pk) for row in brought} == {("acme", "shop.order", "7")}
    assert sorted(row.relation for row in brought) == ["", "child", "ending"]
    assert again.trigger == ""


def test_what_nobody_owns_is_nobodys(machine):
    machine.publish({"a": []})

    execution = start("w", now=machine.now)

    assert whose(execution.pk) == ("", "", "")


def whose(execution_id: UUID) -> tuple[str, str, str]:
    row = Execution.objects.get(pk=execution_id)
    return row.tenant, row.subject_type, row.subject_id
