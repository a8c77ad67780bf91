"""The tables of statuses and what really happened to rows in this run."""

from __future__ import annotations

from pathlib import Path

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


def test_every_line_of_both_tables_has_happened(request: pytest.FixtureRequest):
    modules = {item.path for item in request.session.items}
    if request.config.option.keyword or not modules.issuperset(
        Path(__file__).parent.glob("test_*")
    ):
        pytest.skip("only a run of all of the engine's tests can tell")

    assert transitions.drawn(transitions.LINES - transitions.seen) == []
