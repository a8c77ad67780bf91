"""Definitions that are JSON by the letter and trouble by their meaning: refused, or they run."""

from __future__ import annotations

import copy
import json
import socket
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from .conftest import Api, assert_refused, definition, run_flow, work_off

EXECUTE = "/api/workflows/flow/execute"

INPUTS: tuple[Any, ...] = (None, 7, "x", {}, [])
HARD: dict[str, dict[str, Any]] = {
    "a timeout beyond time": {"timeout": 1e300},
    "a node's timeout beyond time": {"node": {"timeout": 1e18}},
    "a delay beyond time": {"node": {"retryPolicy": {"backoff": {"delay": 1e300}}}},
    "a ceiling beyond time": {"node": {"retryPolicy": {"backoff": {"maxDelay": 1e300}}}},
    "a float for a priority": {"priority": 5.0},
    "a float for a node's priority": {"node": {"priority": 5.0}},
    "a float for retries": {"node": {"retries": 2.0}},
    "a float for executions": {"maxExecutions": 2.0},
    "a float for executions of a key": {"maxExecutions": {"max": 2.0, "perKey": True}},
    "a float for concurrency": {"maxConcurrency": 1.0},
    "a float for a limit": {"node": {"limit": {"max": 1.0, "rate": {"count": 9.0, "perMs": 10}}}},
    "a float for a breaker": {
        "node": {"circuitBreaker": {"failureThreshold": 2.0, "successThreshold": 1.0}}
    },
    "a float for a join": {"node": {"join": {"rule": "n_of_m", "n": 1.0}}},
    "a float for days": {"keepDays": {"completed": 0.5}},
    "an id with a line end": {"id": "flow\n"},
    "a node's queue with NUL": {"node": {"queue": "\u0000"}},
    "a long description": {"description": "x" * 100_000},
    "an unknown type of schema": {"inputSchema": {"type": "nonsense"}},
    "a bad pattern": {"inputSchema": {"pattern": "("}},
    "a schema of itself": {"inputSchema": {"$ref": "#"}},
    "a schema of nowhere": {"inputSchema": {"$ref": "#/nowhere"}},
    "a schema of elsewhere": {"inputSchema": {"$ref": "http://127.0.0.1:9/schema"}},
    "a schema with a bad bound": {"inputSchema": {"minimum": "x", "enum": 5, "required": "x"}},
    "a schema that divides by zero": {"inputSchema": {"multipleOf": 0}},
    "a schema with bad properties": {"inputSchema": {"properties": []}},
    "a schema with a bad dialect": {"inputSchema": {"$schema": 7, "$id": "::"}},
    "many edges to nowhere": {"node": {"outputs": [f"n{n}" for n in range(100_000)]}},
}


@pytest.mark.parametrize("change", HARD.values(), ids=HARD)
def test_a_hard_definition_is_refused_or_runs(api: Api, change: dict[str, Any]) -> None:
    raw = definition("a", "b") | {key: value for key, value in change.items() if key != "node"}
    raw["nodes"][0] |= change.get("node", {})

    answer = api.post("/api/workflows", raw)
    if answer.status_code == 201:
        started = [api.post(EXECUTE, {"initialData": data}) for data in INPUTS]
        work_off()

    if answer.status_code == 201:
        assert {one.status_code for one in started} <= {202, 400}
    else:
        assert answer.status_code in (400, 422)
        assert len(answer.json()["error"]["details"]) <= 1_000


def test_a_schema_that_refers_elsewhere_fetches_nothing(
    api: Api, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(partial(socket.setdefaulttimeout, socket.getdefaulttimeout()))
    socket.setdefaulttimeout(1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/schema"
        api.post("/api/workflows", definition("a") | {"inputSchema": {"$ref": address}})

        answer = api.post(EXECUTE, {"initialData": {}})

        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")
        with pytest.raises(BlockingIOError):
            server.accept()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
PLACES = (
    (), ("id",), ("name",), ("description",), ("entryNodeId",), ("nodes",), ("queue",),
    ("priority",), ("failFast",), ("timeout",), ("inputSchema",), ("nodes", 0), ("nodes", 0, "id"),
    ("nodes", 0, "type"), ("nodes", 0, "config"), ("nodes", 0, "inputs"), ("nodes", 0, "outputs"),
    ("nodes", 0, "outputs", 0), ("nodes", 0, "timeout"), ("nodes", 0, "retries"),
    ("nodes", 0, "join"), ("nodes", 0, "queue"), ("nodes", 0, "priority"),
    ("nodes", 0, "retryPolicy"), ("nodes", 0, "config", "retryPolicy"),
    ("nodes", 0, "config", "timeout"), ("nodes", 0, "onFail"), ("nodes", 0, "continueOnFail"),
)  # fmt: skip


@given(place=st.sampled_from(PLACES), value=JSON)
@examples(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_json_anywhere_in_a_definition_is_refused_or_runs(
    api: Api, place: tuple[Any, ...], value: Any
) -> None:
    raw = _put(definition("a", "b"), place, value)

    answer = api.post("/api/workflows", raw)

    if answer.status_code in (200, 201):
        key = answer.json()["workflowId"]
        assert _as_floats(api.get(f"/api/workflows/{key}").content) == _as_floats(json.dumps(raw))
        assert api.post(f"/api/workflows/{key}/execute", {}).status_code in (202, 400)
        work_off()
    else:
        assert_refused(answer)


def _as_floats(text: str | bytes) -> Any:
    # PostgreSQL writes a float without a fraction as an integer: the same number in JSON.
    return json.loads(text, parse_int=float)


def _put(raw: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    changed = copy.deepcopy(raw)
    target = changed
    for step in place[:-1]:
        target = target.setdefault(step, {}) if isinstance(target, dict) else target[step]
    target[place[-1]] = value
    return changed


@pytest.mark.parametrize(
    "config",
    [{"parallelism": 2.0}, {"parallelism": 10**15}, {"toleratedFailures": 1.0},
     {"toleratedFailures": 10**15}],
)  # fmt: skip
def test_a_map_takes_any_integer_of_json(api: Api, config: dict[str, Any]) -> None:
    own = {"items": "@", "node": {"type": "task", "config": {}}, **config}
    node = {"id": "each", "type": "map", "config": own, "inputs": [], "outputs": []}
    raw = {"id": "mapped", "name": "Mapped", "entryNodeId": "each", "nodes": [node]}

    key = run_flow(api, raw, [1, 2, 3])

    assert api.get(f"/api/executions/{key}").json()["status"] == "completed"


def test_an_approval_takes_any_integer_of_json(api: Api) -> None:
    config = {"title": "Fine?", "users": ["ada"], "quorum": 1.0}
    node = {"id": "ask", "type": "approval", "config": config, "inputs": [], "outputs": []}
    raw = {"id": "asking", "name": "Asking", "entryNodeId": "ask", "nodes": [node]}

    key = run_flow(api, raw)

    assert api.get(f"/api/executions/{key}").json()["nodeResults"]["ask"]["status"] == "waiting"
