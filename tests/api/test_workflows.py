"""Registering, reading and checking definitions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from spane_django.api.errors import respond
from spane_django.engine.publish import validate
from spane_django.engine.start import UnknownWorkflow
from spane_django.models import Workflow, WorkflowVersion

from .conftest import Api, definition

CASES = Path(__file__).parents[1] / "scenarios" / "cases" / "validation.json"
FAULTY = [
    case
    for case in json.loads(CASES.read_text())
    if any(key.startswith("register_error") for key in case["expect"])
]

ONBOARDING: dict[str, Any] = {
    "id": "user-onboarding",
    "name": "User Onboarding Workflow",
    "entryNodeId": "validate-user",
    "nodes": [
        {
            "id": "validate-user",
            "type": "task",
            "config": {"validation": "email", "ratio": 0.5, "none": None, "flag": False},
            "inputs": [],
            "outputs": ["send-welcome-email", "create-account"],
        },
        {
            "id": "send-welcome-email",
            "type": "task",
            "config": {"template": "willkommen, Bjørn 🎉"},
            "inputs": ["validate-user"],
            "outputs": [],
        },
        {
            "id": "create-account",
            "type": "task",
            "config": {"endpoint": "/api/accounts", "method": "POST", "empty": [{}, []]},
            "inputs": ["validate-user"],
            "outputs": [],
            "position": {"x": 10, "y": -20.25},
        },
    ],
    "meta": {"drawnBy": ["somebody", {"else": [1, 2, 3]}]},
}


def test_a_registered_definition_is_given_back_as_it_was(api: Api) -> None:
    registered = api.post("/api/workflows", ONBOARDING)
    got = api.get(registered.headers["Location"])

    assert (registered.status_code, registered.json()) == (
        201,
        {"workflowId": "user-onboarding", "version": 1},
    )
    assert got.headers["Content-Type"] == "application/json"
    assert got.json() == ONBOARDING


def test_the_same_content_again_is_the_same_version_and_other_content_the_next(api: Api) -> None:
    first = api.post("/api/workflows", ONBOARDING)
    again = api.post("/api/workflows", dict(reversed(ONBOARDING.items())))
    changed = api.post("/api/workflows", ONBOARDING | {"name": "Another name"})

    assert [answer.status_code for answer in (first, again, changed)] == [201, 200, 201]
    assert [answer.json()["version"] for answer in (first, again, changed)] == [1, 1, 2]
    assert api.get("/api/workflows/user-onboarding").json()["name"] == "Another name"


@pytest.mark.parametrize("case", FAULTY, ids=[case["id"] for case in FAULTY])
def test_a_faulty_definition_is_refused_with_every_fault_and_nothing_is_stored(
    api: Api, case: dict[str, Any]
) -> None:
    answer = api.post("/api/workflows", case["workflow"])
    error = answer.json()["error"]

    faults = validate(case["workflow"])[1]
    wanted = case["expect"].get("register_error_contains_all") or [
        case["expect"].get("register_error_contains", "")
    ]
    assert (answer.status_code, error["code"]) == (422, "invalid_definition")
    assert all(words in error["message"] for words in wanted)
    assert [(item["path"], item["code"], item["message"]) for item in error["details"]] == [
        (fault.path, fault.code, fault.message) for fault in faults
    ]
    assert not Workflow.objects.exists()


def test_every_fault_has_its_path(api: Api) -> None:
    raw = definition("a", "b")
    raw["nodes"][0]["outputs"] = ["ghost"]
    raw["nodes"][1] |= {"type": "unheard-of", "config": {"timeout": "soon"}}
    raw["entryNodeId"] = "nope"

    details = api.post("/api/workflows", raw).json()["error"]["details"]

    assert {(item["path"], item["code"]) for item in details} >= {
        ("nodes[0].outputs[0]", "dangling_edge"),
        ("nodes[1].inputs[0]", "one_sided_edge"),
        ("nodes[1].type", "unknown_type"),
        ("nodes[1].config.timeout", "schema"),
        ("entryNodeId", "unknown_entry"),
    }


def test_checking_a_definition_tells_its_faults_and_stores_nothing(api: Api) -> None:
    good, bad = definition("a", "b"), definition("a", "b")
    bad["entryNodeId"] = "nope"

    fine = api.post("/api/workflows/flow/validate", good)
    faulty = api.post("/api/workflows/other/validate", bad)

    assert (fine.status_code, fine.json()) == (
        200,
        {"valid": True, "details": [], "warnings": []},
    )
    assert faulty.status_code == 200
    assert not faulty.json()["valid"]
    assert [item["path"] for item in faulty.json()["details"]] == ["id", "entryNodeId"]
    assert not WorkflowVersion.objects.exists()


def test_a_workflow_that_was_never_registered_is_not_found(api: Api) -> None:
    answer = api.get("/api/workflows/nobody")

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "unknown_workflow"
    assert "nobody" in answer.json()["error"]["message"]


def test_an_error_undoes_the_request_where_requests_are_transactions(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)

    with transaction.atomic():
        Workflow.objects.create(key="written-first", name="Written first")
        respond(UnknownWorkflow(), {})

    assert not Workflow.objects.exists()


def test_an_error_has_one_shape_whatever_the_client_accepts(api: Api) -> None:
    answer = api.get("/api/workflows/nobody?format=html", Accept="text/html")

    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {
        "error": {
            "code": "unknown_workflow",
            "message": "Workflow 'nobody' not found: register its definition first",
            "details": [],
        }
    }
