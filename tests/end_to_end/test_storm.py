"""Nothing is lost and nothing happens twice while workers are killed and Redis is emptied."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.storm import storm

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="finds processes in /proc")


def test_killed_workers_and_an_emptied_redis_lose_nothing_and_double_nothing():
    outcome = storm(executions=60, kills=3)

    assert outcome.is_sound, outcome
    assert outcome.flushes >= 1
