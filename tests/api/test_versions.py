"""Versions over HTTP: drafts, differences, going back, archiving, moving executions."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from spane_django.models import AuditEntry, Execution, WorkflowVersion

from .conftest import Api, assert_refused, definition, work_off

FLOW = "/api/workflows/flow"


def send(api: Api, method: str, path: str, body: Any = None) -> Any:
    data = b"" if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {api.token}"}
    return api.client.generic(method, path, data, "application/json", headers=headers)


def begin(api: Api, raw: dict[str, Any]) -> str:
    """Register and execute; return the execution's id."""
    api.post("/api/workflows", raw)
    started: str = api.post(f"{FLOW}/execute", {}).json()["executionId"]
    return started


@pytest.fixture
def two(api: Api) -> None:
    """A workflow of two versions."""
    api.post("/api/workflows", definition("a", "b"))
    api.post("/api/workflows", definition("a", "c"))


def test_versions_are_listed_newest_first_and_shown_with_their_definition(
    api: Api, two: None
) -> None:
    listed = api.get(f"{FLOW}/versions").json()
    first = api.get(f"{FLOW}/versions/1").json()

    assert [(one["version"], one["isCurrent"]) for one in listed["results"]] == [
        (2, True),
        (1, False),
    ]
    assert listed["next"] is None
    assert first["definition"] == definition("a", "b")
    assert (first["status"], first["publishedBy"]) == ("published", "user-0")


def test_versions_come_in_pages(api: Api, two: None) -> None:
    flow = WorkflowVersion.objects.all()[0].workflow
    WorkflowVersion.objects.bulk_create(
        WorkflowVersion(workflow=flow, number=number, definition={}, content_hash="")
        for number in range(3, 152)
    )

    first = api.get(f"{FLOW}/versions?limit=100").json()
    second = api.get(first["next"]).json()

    numbers = [one["version"] for one in first["results"] + second["results"]]
    assert numbers == list(range(151, 0, -1))
    assert (len(first["results"]), second["next"]) == (100, None)


def test_parts_are_no_versions_of_their_own(api: Api, two: None) -> None:
    flow = WorkflowVersion.objects.all()[0].workflow
    WorkflowVersion.objects.create(
        workflow=flow, number=1, part="end", definition={"part": True}, content_hash=""
    )

    assert len(api.get(f"{FLOW}/versions").json()["results"]) == 2
    assert api.get(f"{FLOW}/versions/1").json()["definition"] == definition("a", "b")


def test_the_difference_of_two_versions_is_data(api: Api, two: None) -> None:
    found = api.get(f"{FLOW}/versions/1/diff?to=2").json()

    assert (found["from"], found["to"]) == (1, 2)
    assert [node["id"] for node in found["nodes"]["added"]] == ["c"]
    assert [node["id"] for node in found["nodes"]["removed"]] == ["b"]
    assert found["edges"] == {
        "added": [{"from": "a", "to": "c"}],
        "removed": [{"from": "a", "to": "b"}],
    }


def test_a_draft_is_saved_with_its_faults_and_published_without(api: Api, two: None) -> None:
    faulty = definition("a", "b") | {"entryNodeId": "ghost"}

    saved = send(api, "PUT", f"{FLOW}/draft", faulty)
    refused = api.post(f"{FLOW}/draft/publish")
    send(api, "PUT", f"{FLOW}/draft", definition("a", "z"))
    published = api.post(f"{FLOW}/draft/publish")

    assert (saved.status_code, saved.json()["version"], saved.json()["valid"]) == (200, 3, False)
    assert [item["code"] for item in saved.json()["details"]] == ["unknown_entry"]
    assert (refused.status_code, published.status_code) == (422, 200)
    assert published.json() == {"workflowId": "flow", "version": 3}
    assert api.get(published.headers["Location"]).json()["isCurrent"]
    assert api.get(f"{FLOW}/draft").status_code == 404


def test_a_draft_is_read_and_thrown_away(api: Api) -> None:
    send(api, "PUT", f"{FLOW}/draft", {"id": "flow", "nodes": "none yet"})

    read = api.get(f"{FLOW}/draft").json()
    gone = send(api, "DELETE", f"{FLOW}/draft")

    assert (read["definition"], read["valid"]) == ({"id": "flow", "nodes": "none yet"}, False)
    assert gone.status_code == 204
    assert api.get(f"{FLOW}/draft").json()["error"]["code"] == "unknown_version"
    assert api.get(FLOW).status_code == 404


def test_a_draft_is_saved_only_under_its_own_id(api: Api) -> None:
    answer = send(api, "PUT", f"{FLOW}/draft", definition("a", key="other"))

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_definition")


def test_going_back_and_archiving(api: Api, two: None) -> None:
    back = api.post(f"{FLOW}/versions/1/activate", {"reason": "the new one fails"})
    archived = api.post(f"{FLOW}/versions/2/archive")
    again = api.post(f"{FLOW}/versions/2/activate")

    assert (back.status_code, back.json()["isCurrent"]) == (200, True)
    assert archived.json()["status"] == "archived"
    assert (again.status_code, again.json()["error"]["code"]) == (409, "wrong_version_status")
    assert api.get(FLOW).json() == definition("a", "b")
    entry = AuditEntry.objects.get(verb="activate")
    assert (entry.reason, entry.username) == ("the new one fails", "user-0")


def test_a_workflow_may_be_archived_as_a_whole(api: Api, two: None) -> None:
    assert send(api, "DELETE", FLOW).status_code == 204

    assert api.get(FLOW).status_code == 404
    assert api.post(f"{FLOW}/execute", {}).status_code == 404
    assert send(api, "DELETE", FLOW).status_code == 404
    assert {one["status"] for one in api.get(f"{FLOW}/versions").json()["results"]} == {"archived"}


def test_a_migration_is_a_preview_unless_it_is_to_be_applied(api: Api) -> None:
    execution = begin(api, definition("a", "b"))
    api.post("/api/workflows", definition("z"))

    previewed = api.post(f"{FLOW}/migrate", {"toVersion": 2}).json()

    assert previewed == {
        "toVersion": 2,
        "applied": False,
        "next": None,
        "executions": [
            {
                "executionId": execution,
                "fromVersion": 1,
                "possible": True,
                "details": [],
                "starts": ["z"],
                "drops": ["a"],
            }
        ],
    }
    assert Execution.objects.get().version.number == 1


def test_an_applied_migration_tells_of_each_execution(api: Api) -> None:
    begun = begin(api, definition("a", "b", a={"return": 1}, b={"fail": "no", "retries": 5}))
    work_off()
    fresh: str = api.post(f"{FLOW}/execute", {}).json()["executionId"]
    api.post("/api/workflows", definition("z"))

    body = {"toVersion": 2, "apply": True, "reason": "new form"}
    results = api.post(f"{FLOW}/migrate", body).json()["executions"]

    assert [(one["executionId"], one["moved"]) for one in results] == [
        (begun, False),
        (fresh, True),
    ]
    assert {item["code"] for item in results[0]["details"]} == {"node_missing"}
    assert api.get(f"/api/executions/{fresh}").json()["version"] == 2
    assert AuditEntry.objects.get(verb="migrate").reason == "new form"


def test_named_executions_are_moved_with_renamed_nodes(api: Api) -> None:
    execution = begin(api, definition("a", "b", b={"fail": "no", "retries": 5}))
    other: str = api.post(f"{FLOW}/execute", {}).json()["executionId"]
    work_off()
    api.post("/api/workflows", definition("first", "second"))

    body = {
        "toVersion": 2,
        "executions": [execution],
        "rename": {"a": "first", "b": "second"},
        "apply": True,
    }
    results = api.post(f"{FLOW}/migrate", body).json()["executions"]

    assert [one["moved"] for one in results] == [True]
    assert set(api.get(f"/api/executions/{execution}").json()["nodeResults"]) == {"first", "second"}
    assert api.get(f"/api/executions/{other}").json()["version"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"toVersion": "2"},
        {"toVersion": 2**40},
        {"toVersion": 9},
        {"toVersion": 1, "executions": []},
        {"toVersion": 1, "executions": ["nonsense"]},
        {"toVersion": 1, "executions": [str(uuid4())]},
        {"toVersion": 1, "rename": {"a": 1}},
        {"toVersion": 1, "after": "nonsense"},
        {"toVersion": 1, "everything": True},
    ],
)
def test_a_bad_migration_is_refused(api: Api, two: None, body: dict[str, Any]) -> None:
    assert_refused(api.post(f"{FLOW}/migrate", body))


@pytest.mark.parametrize(
    "path",
    [
        "/versions/0",
        "/versions/x",
        "/versions/-1",
        "/versions/²",
        f"/versions/{2**31}",
        f"/versions/{'9' * 5000}",
        "/versions/1/diff",
        "/versions/1/diff?to=x",
        "/versions/1/diff?to=9",
        "/versions?before=",
        "/draft",
    ],
)
def test_a_version_that_is_none_is_refused(api: Api, two: None, path: str) -> None:
    assert_refused(api.get(FLOW + path))


def test_nobody_has_versions_of_a_workflow_that_is_not_there(api: Api) -> None:
    assert_refused(api.get("/api/workflows/nobody/versions"))
    assert_refused(api.get("/api/workflows/nobody/versions/1"))
    assert_refused(send(api, "DELETE", "/api/workflows/nobody"))
