"""What is tuned is the next version; what is switched is not; and both happen or neither."""

from __future__ import annotations

import pytest

from spane_django.core.errors import InvalidDefinition
from spane_django.engine.amend import amend
from spane_django.engine.current import UnknownWorkflow
from spane_django.engine.publish import publish
from spane_django.models import AuditEntry, Workflow
from tests.engine.helpers import after, definition

pytestmark = pytest.mark.django_db

RAW = definition({"a": []}, priority=3)


def test_options_are_changed_added_and_taken_out_in_the_next_version():
    publish(RAW, now=after(0))

    changed = amend("w", {"priority": None, "maxExecutions": 2}, now=after(1))

    version = changed.current_version
    assert version is not None
    expected = {key: value for key, value in RAW.items() if key != "priority"}
    assert (version.number, version.definition) == (2, {**expected, "maxExecutions": 2})


def test_what_changes_nothing_makes_no_version_and_no_entry():
    publish(RAW, now=after(0))
    before = AuditEntry.objects.count()

    changed = amend("w", {"priority": 3}, is_enabled=True, now=after(1))

    assert changed.current_version is not None
    assert (changed.current_version.number, AuditEntry.objects.count()) == (1, before)


def test_switching_is_no_version_and_is_audited():
    publish(RAW, now=after(0))

    changed = amend("w", {}, is_enabled=False, now=after(1), reason="bank is down")

    assert not changed.is_enabled
    entry = AuditEntry.objects.latest("id")
    assert (entry.verb, entry.reason) == ("disable", "bank is down")


def test_a_change_that_is_refused_switches_nothing_either():
    publish(RAW, now=after(0))

    with pytest.raises(InvalidDefinition):
        amend("w", {"name": None}, is_enabled=False, now=after(1))

    assert Workflow.objects.get().is_enabled


def test_a_workflow_of_another_tenant_is_none():
    publish(RAW, now=after(0), tenant="acme")

    with pytest.raises(UnknownWorkflow):
        amend("w", {"priority": 5}, now=after(1), tenant="bolt")
