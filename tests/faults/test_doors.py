"""A fault at any statement or commit changes nothing about what happens by itself."""

from __future__ import annotations

import pytest

from tests.faults import doors
from tests.faults.replay import strike
from tests.faults.story import told_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("name", told_in(doors))
def test_what_happens_by_itself_comes_to_what_it_does_without_a_fault(name: str, record_property):
    strike(name, record_property)
