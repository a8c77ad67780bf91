"""Publishing: a definition becomes an immutable version, or every reason why not is told."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from spane_django.core.errors import InvalidDefinition
from spane_django.engine.publish import publish, validate
from spane_django.models import Workflow, WorkflowVersion
from tests.engine.helpers import Machine, after, definition, execution, outputs, statuses

pytestmark = pytest.mark.django_db

RAW = definition({"a": ["b"]}, description="what it is for")


def test_a_published_definition_is_the_workflows_current_version(db):
    ada = User.objects.create(username="ada")

    version = publish(RAW, now=after(0), by=ada)

    workflow = Workflow.objects.get()
    assert (workflow.key, workflow.name, workflow.description) == ("w", "W", "what it is for")
    assert workflow.current_version == version
    assert (version.number, version.definition) == (1, RAW)
    assert (version.published_at, version.published_by) == (after(0), ada)


def test_the_same_content_is_the_same_version_whatever_the_order_of_its_keys(db):
    first = publish(RAW, now=after(0))

    again = publish(dict(reversed(RAW.items())), now=after(1))

    assert again == first
    assert WorkflowVersion.objects.get().published_at == after(0)


def test_changed_content_is_the_next_version_and_going_back_is_one_more(db):
    changed = {**RAW, "name": "Other"}

    numbers = [publish(raw, now=after(0)).number for raw in (RAW, changed, RAW)]

    assert numbers == [1, 2, 3]
    assert Workflow.objects.get().name == "W"


def test_executions_keep_the_version_they_started_with(machine: Machine):
    old = machine.begin({"a": ["b"]})
    machine.step()
    machine.publish({"a": ["c"]})
    new = machine.start()

    machine.drain()

    assert sorted(statuses(old)) == ["a", "b"]
    assert sorted(statuses(new)) == ["a", "c"]
    assert execution(old).version.number == 1


def test_a_faulty_definition_is_refused_with_every_fault_and_nothing_is_written(db):
    raw = definition({"a": ["b"]}, types={"b": "no-such-type"}, name=7, entryNodeId="ghost")

    with pytest.raises(InvalidDefinition) as refused:
        publish(raw, now=after(0))

    assert {fault.code for fault in refused.value.faults} == {
        "schema", "unknown_entry", "unknown_type",
    }  # fmt: skip
    assert Workflow.objects.count() == 0


def test_a_config_that_does_not_fit_its_type_is_refused_with_its_path(db):
    raw = definition({"a": []}, types={"a": "delay"}, nodes={"a": {"config": {"duration": "x"}}})

    _, faults = validate(raw)

    assert [fault.path for fault in faults] == ["nodes[0].config"]


def test_a_process_without_the_workers_node_types_may_publish_for_them(db):
    raw = definition({"a": []}, types={"a": "no-such-type"})

    assert publish(raw, now=after(0), check_nodes=False).number == 1


def test_the_limits_of_the_settings_count(settings, db):
    settings.SPANE = {**settings.SPANE, "MAX_NODES": 1}

    with pytest.raises(InvalidDefinition, match="2 nodes are too many"):
        publish(RAW, now=after(0))


def test_a_version_that_was_rolled_back_leaves_nothing_behind(machine: Machine, does):
    does["old"] = lambda ctx: "old"
    does["new"] = lambda ctx: "new"
    with transaction.atomic():
        machine.begin({"old": []})
        transaction.set_rollback(True)

    key = machine.begin({"new": []})
    machine.drain()

    assert outputs(key) == {"new": "new"}
