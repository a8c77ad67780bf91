"""A fault at any statement or commit changes nothing about how a workflow ends."""

from __future__ import annotations

import pytest

from tests.faults import flows
from tests.faults.replay import strike
from tests.faults.story import told_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("name", told_in(flows))
def test_a_workflow_ends_as_it_does_without_a_fault(name: str, record_property):
    strike(name, record_property)
