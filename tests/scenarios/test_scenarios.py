"""Every behaviour case, through publish, start and the control verbs, with real workers."""

from __future__ import annotations

import pytest

from tests.scenarios.expectations import differences
from tests.scenarios.features import Case
from tests.scenarios.world import World


@pytest.mark.django_db(transaction=True)
def test_a_case_behaves_as_it_is_written_down(case: Case):
    world = World(case)

    world.play(lambda: differences(case["expect"], world) == [])

    assert differences(case["expect"], world) == []
