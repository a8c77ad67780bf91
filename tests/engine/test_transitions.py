"""The tables of statuses and what really happens to rows."""

from __future__ import annotations

import pytest

from spane_django.models import NodeRun
from tests.engine import transitions
from tests.engine.helpers import Machine

pytestmark = pytest.mark.django_db


def test_a_change_that_no_table_knows_is_noticed(machine: Machine):
    machine.begin({"a": []})
    machine.drain()

    NodeRun.objects.update(status="skipped")

    changes = transitions.collect()
    assert ("noderun", "completed", "skipped") in changes - transitions.LEGAL
    transitions.seen.discard(("noderun", "completed", "skipped"))
