"""Nodes by hand, and one verb for many executions."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from spane_django.engine import bulk
from spane_django.models import AuditEntry, Execution

from .conftest import EVERYTHING, Api, MakeApi, definition, run_flow, work_off
from .test_executions import failed, say, start

BULK = "/api/executions/bulk"


def nodes(api: Api, execution_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = api.get(f"/api/executions/{execution_id}").json()["nodeResults"]
    return shown


def waiting(api: Api) -> str:
    """Start an execution whose node waits for a retry."""
    execution_id = start(api, definition("a", "b", a={"fail": "busy", "retries": 3}))
    work_off()
    return execution_id


def test_a_retry_that_waits_is_made_now(api: Api) -> None:
    execution_id = waiting(api)
    assert work_off() == 0

    answer = say(api, execution_id, "nodes/a/retry-now", {"reason": "they are back"})

    assert (answer.status_code, answer.json()["status"]) == (200, "running")
    assert work_off() == 1
    assert AuditEntry.objects.get(verb="retry-now").reason == "they are back"


def test_an_execution_goes_on_without_a_node(api: Api) -> None:
    execution_id = failed(api)

    answer = say(api, execution_id, "nodes/a/skip")

    assert answer.json()["status"] == "completed"
    assert {node: shown["status"] for node, shown in nodes(api, execution_id).items()} == {
        "a": "skipped",
        "b": "skipped",
    }


def test_a_node_is_completed_with_an_output(api: Api) -> None:
    execution_id = failed(api)

    answer = say(api, execution_id, "nodes/a/complete", {"output": {"n": 7}, "nextNodes": ["b"]})
    work_off()

    assert answer.json()["status"] == "running"
    assert nodes(api, execution_id)["a"]["data"] == {"n": 7}
    assert api.get(f"/api/executions/{execution_id}").json()["status"] == "completed"


def test_an_execution_runs_again_from_a_node_and_from_the_start(api: Api) -> None:
    execution_id = run_flow(api, definition("a", "b"), {"n": 1})

    again = say(api, execution_id, "rerun-from/b")
    ran = work_off()
    anew = say(api, execution_id, "rerun", {"from": "start", "input": {"n": 2}})
    ran_anew = work_off()

    assert (again.json()["status"], anew.json()["status"]) == ("running", "running")
    assert (ran, ran_anew) == (1, 2)
    assert api.get(f"/api/executions/{execution_id}").json()["input"] == {"n": 2}


def test_a_rerun_in_the_latest_version_is_another_execution(api: Api) -> None:
    execution_id = failed(api)
    api.post("/api/workflows", definition("a", "b", a={"return": 3}))

    answer = say(api, execution_id, "rerun", {"version": "latest"})
    work_off()

    new = answer.json()["executionId"]
    assert new != execution_id
    shown = api.get(f"/api/executions/{new}").json()
    assert (shown["status"], shown["metadata"]["replayedFrom"]) == ("completed", execution_id)


def test_what_has_not_ended_is_moved(api: Api) -> None:
    execution_id = start(api)

    answer = say(api, execution_id, "reassign", {"priority": 9})

    assert answer.status_code == 200
    assert api.get(f"/api/executions/{execution_id}").json()["priority"] == 9


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("nodes/a/retry-now", {}, 409, "not_waiting_for_time"),
        ("nodes/a/skip", {}, 409, "illegal_transition"),
        ("nodes/a/complete", {"output": 1}, 409, "illegal_transition"),
        ("nodes/a/complete", {}, 400, "invalid_input"),
        ("nodes/a/complete", {"output": 1, "nextNodes": ["x"]}, 400, "invalid_input"),
        ("nodes/x/skip", {}, 404, "unknown_node_run"),
        ("nodes/a/skip", {"colour": 1}, 400, "invalid_input"),
        ("rerun", {"from": "failed"}, 409, "nothing_to_retry"),
        ("rerun", {"from": "middle"}, 400, "invalid_input"),
        ("rerun", {"input": 1}, 400, "invalid_input"),
        ("rerun-from/x", {}, 404, "unknown_node_run"),
        ("rerun-from/a", {"from": "start"}, 400, "invalid_input"),
        ("rerun-from/a", {"input": 1, "output": 2}, 400, "invalid_input"),
        ("reassign", {}, 400, "invalid_input"),
        ("reassign", {"priority": 5}, 409, "nothing_to_reassign"),
    ],
)
def test_what_cannot_be_done_is_refused(
    api: Api, path: str, body: Any, status: int, code: str
) -> None:
    execution_id = run_flow(api, definition("a", "b"))

    answer = say(api, execution_id, path, body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert not AuditEntry.objects.exclude(verb__in=["publish", "create_token", "start"]).exists()


@pytest.mark.parametrize("path", ["nodes/a/skip", "nodes/a/retry-now", "rerun", "rerun-from/a"])
def test_of_an_unknown_execution_nothing_is_done(api: Api, path: str) -> None:
    for key in (str(uuid4()), "none"):
        answer = say(api, key, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_execution")


def test_giving_values_takes_the_permission_to_complete_by_hand(api: Api, api_of: MakeApi) -> None:
    execution_id = run_flow(api, definition("a", "b"))
    other = api_of(*set(EVERYTHING) - {"complete_node"})

    plain = say(other, execution_id, "rerun-from/b")
    given = say(other, execution_id, "rerun-from/a", {"output": 1})
    wish = {"verb": "rerun", "selection": {"all": True}, "arguments": {"nodeId": "a", "input": 1}}

    assert (plain.status_code, given.status_code) == (200, 403)
    assert other.post(BULK, wish).status_code == 403
    assert api.post(BULK, wish).status_code == 200


def test_a_bulk_wish_is_only_counted_unless_it_is_meant(api: Api) -> None:
    ids = [start(api) for _ in range(3)]

    counted = api.post(BULK, {"verb": "cancel", "selection": {"workflow": "flow"}})

    assert counted.json() == {"verb": "cancel", "dryRun": True, "count": 3}
    assert {api.get(f"/api/executions/{one}").json()["status"] for one in ids} == {"running"}


def test_a_bulk_operation_is_done_and_tells_what_it_refused(api: Api) -> None:
    ids = [start(api) for _ in range(3)]
    say(api, ids[0], "cancel")

    wish = {"verb": "cancel", "selection": {"ids": ids}, "dryRun": False, "reason": "wrong batch"}
    answer = api.post(BULK, wish)

    operation = answer.json()
    assert answer.status_code == 202
    assert (operation["count"], operation["changed"], operation["refused"]) == (3, 2, 1)
    assert operation["refusals"] == {ids[0]: "cannot be cancelled: it is cancelled"}
    assert operation["finishedAt"] is not None
    assert set(Execution.objects.values_list("status", flat=True)) == {"cancelled"}
    assert AuditEntry.objects.filter(verb="cancel", reason="wrong batch").count() == 2
    assert api.get(f"{BULK}/{operation['operationId']}").json() == operation


def test_a_large_operation_is_gone_on_with_by_the_sweep(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        start(api)
    monkeypatch.setattr(bulk, "ROWS_PER_STEP", 1)

    wish = {"verb": "pause", "selection": {"workflow": "flow"}, "dryRun": False}
    operation = api.post(BULK, wish).json()
    assert (operation["changed"], operation["finishedAt"]) == (1, None)
    bulk.advance_abandoned(now=bulk.find_operation(operation["operationId"]).created_at)

    shown = api.get(f"{BULK}/{operation['operationId']}").json()
    assert (shown["changed"], shown["refused"]) == (3, 0)
    assert shown["finishedAt"] is not None


@pytest.mark.parametrize("verb", ["pause", "cancel", "replay", "retry", "skip", "complete"])
def test_a_bulk_wish_takes_the_permission_of_its_verb(api_of: MakeApi, verb: str) -> None:
    names = {"skip": "skip_node", "complete": "complete_node"}
    missing = names.get(verb, f"{verb}_execution")
    answer = api_of(*set(EVERYTHING) - {missing}).post(
        BULK, {"verb": verb, "selection": {"all": True}}
    )

    assert answer.status_code == 403
    assert missing in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        {}, {"verb": "pause"}, {"verb": "explode", "selection": {"all": True}},
        {"verb": "pause", "selection": {}}, {"verb": "pause", "selection": []},
        {"verb": "pause", "selection": {"ids": ["x"]}},
        {"verb": "pause", "selection": {"workflow": 7}},
        {"verb": "pause", "selection": {"createdSince": "yesterday"}},
        {"verb": "pause", "selection": {"all": True}, "arguments": {"nodeId": "a"}},
        {"verb": "skip", "selection": {"all": True}},
        {"verb": "pause", "selection": {"all": True}, "dryRun": "no"},
    ],
)  # fmt: skip
def test_a_bulk_wish_that_is_none_is_refused(api: Api, body: Any) -> None:
    assert api.post(BULK, body).status_code == 400


def test_an_unknown_operation_is_not_found(api: Api) -> None:
    for key in ("none", str(uuid4())):
        answer = api.get(f"{BULK}/{key}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_operation")
