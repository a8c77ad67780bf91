"""Reading workflows and executions: lists, nodes, logs, pictures, why nothing moves."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from spane_django.engine.run import utc_now
from spane_django.engine.start import start_many
from spane_django.models import Execution, Workflow

from .conftest import Api, MakeApi, definition, run_flow, work_off

pytestmark = pytest.mark.django_db

MOST_QUERIES = 8


def wide(count: int) -> dict[str, Any]:
    """Return a definition of one root and ``count`` nodes behind it."""
    nodes = [f"n{place}" for place in range(count)]
    root = {"id": "root", "type": "task", "config": {}, "inputs": [], "outputs": nodes}
    leaves = [
        {"id": node, "type": "task", "config": {}, "inputs": ["root"], "outputs": []}
        for node in nodes
    ]
    return {"id": "wide", "name": "Wide", "entryNodeId": "root", "nodes": [root, *leaves]}


def test_workflows_are_listed_by_their_ids(api: Api) -> None:
    for key in ("b", "a", "c"):
        api.post("/api/workflows", definition("x", key=key))
    api.client.delete("/api/workflows/c", headers=api._headers({}))

    first = api.get("/api/workflows?limit=2").json()
    rest = api.get(first["next"]).json()

    assert [(one["workflowId"], one["version"]) for one in first["results"]] == [("a", 1), ("b", 1)]
    assert [(one["workflowId"], one["version"]) for one in rest["results"]] == [("c", None)]
    assert first["results"][0]["name"] == "A"


def test_workflows_are_found_by_what_they_are(api: Api) -> None:
    for key in ("mail", "pay", "old"):
        api.post("/api/workflows", definition("x", key=key))
    Workflow.objects.filter(key="pay").update(is_enabled=False)
    Workflow.objects.filter(key="old").update(current_version=None)

    def found(query: str) -> list[str]:
        results = api.get(f"/api/workflows?{query}").json()["results"]
        return [one["workflowId"] for one in results]

    assert found("isEnabled=false") == ["pay"]
    assert found("isArchived=true") == ["old"]
    assert found("isArchived=false&isEnabled=true") == ["mail"]
    assert found("text=AI") == ["mail"]
    assert api.get("/api/workflows?isEnabled=maybe").status_code == 400


def patch(api: Api, body: Any, key: str = "flow") -> Any:
    return api.client.patch(
        f"/api/workflows/{key}", body, content_type="application/json", headers=api._headers({})
    )


def test_a_workflow_is_disabled_enabled_and_tuned(api: Api) -> None:
    api.post("/api/workflows", definition("a"))

    off = patch(api, {"isEnabled": False, "reason": "the bank is down"})
    start = api.post("/api/workflows/flow/execute")
    on = patch(api, {"isEnabled": True, "priority": 9, "maxExecutions": 3})
    again = patch(api, {"isEnabled": True, "priority": 9})
    back = patch(api, {"maxExecutions": None})

    assert (off.json()["isEnabled"], off.json()["version"], start.status_code) == (False, 1, 409)
    assert (on.json()["isEnabled"], on.json()["version"]) == (True, 2)
    assert again.json()["version"] == 2
    current = api.get("/api/workflows/flow").json()
    assert (back.json()["version"], current) == (3, {**definition("a"), "priority": 9})


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({"priority": 11}, 400, "priority"),
        ({"nodes": []}, 400, ""),
        ({"isEnabled": None}, 400, "isEnabled"),
        ({"name": None}, 422, ""),
    ],
)
def test_what_cannot_be_tuned_is_refused_and_nothing_changes(
    api: Api, body: dict[str, Any], status: int, path: str
) -> None:
    api.post("/api/workflows", definition("a"))

    answer = patch(api, {"isEnabled": False, **body})

    assert answer.status_code == status
    assert path in [item["path"] for item in answer.json()["error"]["details"]]
    assert Workflow.objects.get().is_enabled


def test_an_archived_or_unknown_workflow_cannot_be_tuned(api: Api) -> None:
    api.post("/api/workflows", definition("a"))
    api.client.delete("/api/workflows/flow", headers=api._headers({}))

    codes = [patch(api, {"priority": 1}).status_code, patch(api, {}, "ghost").status_code]

    assert codes == [404, 404]


def test_the_picture_of_a_version_has_every_node_and_edge(api: Api) -> None:
    api.post("/api/workflows", definition("a", "b"))
    api.post("/api/workflows", definition("a", "b", "c"))

    old = api.get("/api/workflows/flow/graph?version=1").json()
    new = api.get("/api/workflows/flow/graph").json()

    assert (old["version"], old["layers"]) == (1, [["a"], ["b"]])
    assert (new["version"], new["layers"]) == (2, [["a"], ["b"], ["c"]])
    assert [(node["id"], node["layer"]) for node in new["nodes"]] == [("a", 0), ("b", 1), ("c", 2)]
    assert [(edge["from"], edge["to"]) for edge in new["edges"]] == [("a", "b"), ("b", "c")]
    assert all(edge["points"] for edge in new["edges"])


@pytest.mark.parametrize("query", ["?version=9", "?version=x"])
def test_there_is_no_picture_of_what_is_not_there(api: Api, query: str) -> None:
    api.post("/api/workflows", definition("a"))

    assert api.get(f"/api/workflows/flow/graph{query}").status_code == 404
    assert api.get("/api/workflows/ghost/graph").status_code == 404


def test_the_nodes_of_an_execution_come_in_pages_and_are_narrowed(
    api: Api, api_of: MakeApi
) -> None:
    key = run_flow(api, definition("a", "b", "c", b={"fail": "no", "retries": 0}))
    path = f"/api/executions/{key}/nodes"

    first = api.get(f"{path}?limit=2").json()
    failed = api.get(f"{path}?status=failed").json()["results"]
    named = api.get(f"{path}?node=a&type=task").json()["results"]
    hidden = api_of("view_execution").get(path).json()["results"]

    assert [node["nodeId"] for node in first["results"]] == ["a", "b"]
    assert [node["nodeId"] for node in api.get(first["next"]).json()["results"]] == ["c"]
    assert [(node["nodeId"], node["error"]) for node in failed] == [("b", "no")]
    assert [(node["nodeId"], node["data"]) for node in named] == [("a", {"from": "a"})]
    assert {node["data"] for node in hidden} == {None}


def test_the_log_comes_in_pages_that_lead_forth_and_back(api: Api) -> None:
    key = run_flow(api, definition("a", "b", a={"log": "saw it"}))
    path = f"/api/executions/{key}/logs"
    whole = api.get(path).json()["results"]

    forth, back = [], []
    page = api.get(f"{path}?limit=2").json()
    forth.append(page["results"])
    while page["next"]:
        page = api.get(page["next"]).json()
        forth.append(page["results"])
    back.append(page["results"])
    while page["previous"]:
        page = api.get(page["previous"]).json()
        back.append(page["results"])

    assert [line for lines in forth for line in lines] == whole
    assert [line for lines in back[::-1] for line in lines] == whole
    assert all(len(lines) <= 2 for lines in forth + back)


def test_the_log_is_narrowed(api: Api) -> None:
    key = run_flow(api, definition("a", "b", a={"log": "Saw it"}, b={"fail": "no", "retries": 0}))

    def messages(query: str) -> list[str]:
        page = api.get(f"/api/executions/{key}/logs?{query}").json()
        return [line["message"] for line in page["results"]]

    assert messages("text=saw") == ["Saw it"]
    assert messages("level=error&node=b") == ["Node execution failed: no"]
    assert len(messages("node=a")) == 3
    assert api.get(f"/api/executions/{key}/logs?level=loud").status_code == 400


def test_an_execution_tells_why_it_does_not_move(api: Api) -> None:
    api.post("/api/workflows", definition("a"))
    key = api.post("/api/workflows/flow/execute", {"delay": 60_000}).json()["executionId"]

    found = api.get(f"/api/executions/{key}/explain").json()

    assert found["sentence"].startswith("It starts in ")
    assert (found["facts"], found["queues"]) == ([], [])


def test_node_types_tell_what_configures_them(api: Api) -> None:
    found = {one["type"]: one for one in api.get("/api/node-types").json()["results"]}

    assert {"http", "condition", "task"} <= set(found)
    assert "url" in found["http"]["config"]["properties"]
    assert (found["http"]["isBuiltIn"], found["task"]["isBuiltIn"]) == (True, False)
    assert found["condition"]["isPure"]


def test_reading_takes_no_more_queries_for_a_thousand_nodes(api: Api) -> None:
    assert api.post("/api/workflows", wide(1_000)).status_code == 201
    (key,) = start_many("wide", [{"n": 1}], now=utc_now())
    work_off()
    assert Execution.objects.get().status == "completed"

    for path in ("", "/nodes", "/logs", "/trace", "/explain"):
        with CaptureQueriesContext(connection) as queries:
            answer = api.get(f"/api/executions/{key}{path}")

        assert answer.status_code == 200
        assert len(queries) <= MOST_QUERIES, path
    assert len(api.get(f"/api/executions/{key}").json()["nodeResults"]) == 1_001
