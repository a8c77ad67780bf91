"""No second is lost or doubled when the scheduler that leads is killed."""

from __future__ import annotations

import pytest

from tests.end_to_end.ticks import tick

pytestmark = [pytest.mark.end_to_end, pytest.mark.postgresql]


def test_a_second_is_neither_lost_nor_doubled_when_the_leader_is_killed():
    outcome = tick(seconds=6, kills=1)

    assert outcome.is_sound, outcome
    assert outcome.executions == 6
