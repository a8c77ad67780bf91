"""A runner that cannot fail proves nothing: whatever is not as expected is told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios import behaviours
from tests.scenarios.expectations import differences
from tests.scenarios.world import World

NODES = [
    {"id": "a", "type": "task", "inputs": [], "outputs": ["b"]},
    {"id": "b", "type": "task", "inputs": ["a"], "outputs": [], "config": {"retries": 0}},
]
CASE = {
    "id": "X",
    "workflow": {"id": "w", "name": "w", "entryNodeId": "a", "nodes": NODES},
    "input": {"n": 0},
    "behaviours": {"a": {"return": 0}, "b": {"throw": "boom"}},
    "steps": [{"start": True}, {"wait_end": "e1"}, {"checkpoint": "end"}],
    "expect": {},
}
RIGHT: dict[str, Any] = {
    "e1": {
        "status": "failed",
        "duration_ms": [0, 9_000],
        "max_parallel": 1,
        "order": [["a", "b"]],
        "nodes": {
            "a": {"status": "completed", "runs": 1, "input": {"n": 0}, "output": 0},
            "b": {"error_contains": "boom", "input_any_of": [1, 0], "previous_results": ["a"]},
        },
    },
    "dlq": [{"node": "b", "error_contains": "boom"}],
    "node_runs": {"a": 1, "b": 1},
    "inputs_of": {"a": [{"n": 0}]},
    "start_order_of_inputs": [{"n": 0}],
    "executions_total": 1,
    "checkpoints": {"end": {"status": "failed"}},
    "logs_contain": ["Executing node a", "failed"],
    "spans": 2,
    "register_error": False,
    "any_of": [{"executions_total": 5}, {"executions_total": 1}],
}
WRONG: list[dict[str, Any]] = [
    {"e1": {"status": "completed"}},
    {"e1": {"duration_ms": [5_000, 9_000]}},
    {"e1": {"max_parallel": 0}},
    {"e1": {"order": [["b", "a"]]}},
    {"e1": {"metadata_replayed_from": "e1"}},
    {"e1": {"colour": "blue"}},
    {"e1": {"nodes": {"ghost": {}}}},
    {"e1": {"nodes": {"a": {"colour": "blue"}}}},
    {"e1": {"nodes": {"a": {"status": "not_run"}}}},
    {"e1": {"nodes": {"a": {"runs": 2}}}},
    {"e1": {"nodes": {"a": {"input": {"n": False}}}}},
    {"e1": {"nodes": {"a": {"input_has": {"n": 1}}}}},
    {"e1": {"nodes": {"a": {"input_has_keys": ["m"]}}}},
    {"e1": {"nodes": {"b": {"input_any_of": [False, None]}}}},
    {"e1": {"nodes": {"a": {"output": False}}}},
    {"e1": {"nodes": {"b": {"error_contains": "bang"}}}},
    {"e1": {"nodes": {"a": {"attempt_gaps_ms": [[0, 9]]}}}},
    {"e1": {"nodes": {"b": {"previous_results": []}}}},
    {"e1": {"nodes": {"b": {"sees_results": ["c"]}}}},
    {"e1": {"nodes": {"b": {"sees_results": {"a": 1}}}}},
    {"e2": {"status": "completed"}},
    {"dlq": []},
    {"dlq": [{"node": "a"}, {"node": "b"}]},
    {"dlq": [{"node": "b"}, {"node": "b"}]},
    {"node_runs": {"a": 2}},
    {"node_runs": 3},
    {"inputs_of": {"a": []}},
    {"start_order_of_inputs": []},
    {"executions_total": 2},
    {"executions_total_min": 2},
    {"executions_total_max": 0},
    {"children": [{"workflow": "w"}]},
    {"child_runs": {"a": 1}},
    {"node_depth": {"a": 1}},
    {"bulk_ids": [True]},
    {"bulk_ids": 1},
    {"checkpoints": {"end": {"status": "running"}}},
    {"checkpoints": {"start": {}}},
    {"logs_contain": ["nothing of the kind"]},
    {"spans": 1},
    {"spans": [{"node": "c"}]},
    {"spans": {"a": "failed"}},
    {"register_error": True},
    {"register_error_contains": "cycle"},
    {"register_error_contains_all": ["cycle"]},
    {"webhook_counts": [1]},
    {"schedules": 1},
    {"any_of": [{"executions_total": 5}, {"register_error": True}]},
    {"colour": "blue"},
]


@pytest.fixture
def case() -> dict[str, Any]:
    return CASE


@pytest.fixture
def played(case: dict[str, Any], transactional_db: None) -> World:
    behaviours.register()
    world = World(case)
    world.play()
    return world


def test_what_is_as_expected_is_not_told_and_everything_else_is(played: World):
    assert differences(RIGHT, played) == []
    untold = [wrong for wrong in WRONG if len(differences(wrong, played)) != 1]
    assert untold == []


def test_an_unknown_step_is_an_error(case: dict[str, Any], transactional_db: None):
    behaviours.register()

    with pytest.raises(ValueError, match="unknown step"):
        World({**case, "steps": [{"dance": True}]}).play()


def test_a_wait_in_vain_is_told(case: dict[str, Any], transactional_db: None):
    behaviours.register()
    steps = [{"workers_off": True}, {"start": True}, {"wait_end": "e1", "timeout_ms": 30}]

    with pytest.raises(AssertionError, match="waited 30 ms in vain until e1 ends"):
        World({**case, "steps": steps}).play()
