"""Signals and approvals over HTTP: what is sent arrives, who may decides, refusals say why."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from spane_django.engine.control import cancel
from spane_django.engine.run import utc_now
from spane_django.engine.start import StartOptions, start
from spane_django.engine.tokens import issue
from spane_django.models import Approval, AuditEntry, Execution, Signal

from .conftest import EVERYTHING, Api, MakeApi, assert_refused, work_off

FORM = {
    "type": "object",
    "properties": {"cents": {"type": "integer"}},
    "required": ["cents"],
}


def waits(api: Api, **config: Any) -> str:
    """Start an execution that waits for ``paid``."""
    node = {"id": "w", "type": "wait", "config": {"signal": "paid", **config}}
    raw = {"id": "waits", "name": "Waits", "entryNodeId": "w", "nodes": [node]}
    assert api.post("/api/workflows", raw).status_code in (200, 201)
    started = api.post("/api/workflows/waits/execute", {})
    work_off()
    execution_id: str = started.json()["executionId"]
    return execution_id


def asks(api: Api, *, by: User | None = None, **config: Any) -> int:
    """Start an execution that asks; return the approval's id."""
    config = {"title": "May it?", "description": "5 EUR", "groups": "board", **config}
    node = {"id": "a", "type": "approval", "config": config}
    raw = {"id": "asks", "name": "Asks", "entryNodeId": "a", "nodes": [node]}
    assert api.post("/api/workflows", raw).status_code in (200, 201)
    key = start("asks", now=utc_now(), options=StartOptions(by=by)).pk
    work_off()
    return Approval.objects.get(execution_id=key).pk


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create(username="ada", is_superuser=True)


@pytest.fixture
def as_ada(ada: User) -> Api:
    return Api(issue(ada, "test", now=utc_now())[0])


def test_a_signal_to_an_execution_lets_its_node_go_on(api: Api) -> None:
    execution_id = waits(api)

    answer = api.post(f"/api/executions/{execution_id}/signal/paid", {"payload": {"cents": 5}})

    assert answer.status_code == 202
    assert answer.json() | {"id": 0, "keptUntil": ""} == {
        "id": 0,
        "name": "paid",
        "key": execution_id,
        "isTaken": True,
        "keptUntil": "",
    }
    work_off()
    assert Execution.objects.get(pk=execution_id).output == {"cents": 5}
    assert AuditEntry.objects.get(verb="signal").username.startswith("user-")


def test_a_signal_by_key_is_kept_until_somebody_waits_for_it(api: Api) -> None:
    answer = api.post("/api/signals", {"name": "paid", "key": "7", "payload": 5})

    assert (answer.status_code, answer.json()["isTaken"]) == (202, False)
    execution_id = waits(api, key="7")
    assert Execution.objects.get(pk=execution_id).output == 5


def test_a_signal_without_a_body_has_no_payload(api: Api) -> None:
    execution_id = waits(api)

    assert api.post(f"/api/executions/{execution_id}/signal/paid").status_code == 202

    work_off()
    assert Execution.objects.get(pk=execution_id).status == "completed"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, ""),
        ({"name": ""}, "signal"),
        ({"name": "n" * 101}, "signal"),
        ({"name": 7}, "name"),
        ({"name": "paid", "key": "k" * 201}, "key"),
        ({"name": "paid", "execution": "x"}, ""),
    ],
)
def test_a_signal_that_is_none_is_refused_with_its_path(api: Api, body: Any, path: str) -> None:
    answer = api.post("/api/signals", body)

    assert_refused(answer)
    assert answer.status_code == 400
    assert [detail["path"] for detail in answer.json()["error"]["details"]] == [path]
    assert not Signal.objects.exists()


def test_an_execution_that_is_unknown_or_has_ended_takes_no_signal(api: Api) -> None:
    execution_id = waits(api)
    cancel(Execution.objects.get().pk, now=utc_now())

    ended = api.post(f"/api/executions/{execution_id}/signal/paid")
    unknown = api.post("/api/executions/nobody/signal/paid")

    assert (ended.status_code, ended.json()["error"]["code"]) == (409, "ended_execution")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "unknown_execution")


def test_an_approval_is_shown_to_who_may_decide_and_decided(api: Api, as_ada: Api) -> None:
    key = asks(api)

    (listed,) = as_ada.get("/api/approvals").json()["results"]
    answer = as_ada.post(f"/api/approvals/{key}/approve", {"comment": "fine"})

    assert (listed["id"], listed["title"], listed["description"]) == (key, "May it?", "5 EUR")
    assert (listed["nodeId"], listed["workflowId"], listed["groups"]) == ("a", "asks", ["board"])
    assert (answer.status_code, answer.json()["status"]) == (200, "approved")
    assert answer.json()["decisions"][0]["comment"] == "fine"
    work_off()
    assert Execution.objects.get().output["approved"] is True


def test_a_rejection_is_recorded_with_its_comment(api: Api, as_ada: Api) -> None:
    key = asks(api)

    answer = as_ada.post(f"/api/approvals/{key}/reject", {"comment": "too dear"})

    assert answer.json()["status"] == "rejected"
    work_off()
    run = Execution.objects.get().node_runs.get()
    assert (run.error_type, run.error_message) == ("Rejected", "ada has rejected it: too dear")


def test_lists_are_of_mine_of_the_open_or_of_all(api: Api, as_ada: Api) -> None:
    mine, other = asks(api), asks(api)
    as_ada.post(f"/api/approvals/{other}/approve")

    def listed(client: Api, scope: str) -> list[int]:
        items = client.get(f"/api/approvals?scope={scope}").json()["results"]
        return [item["id"] for item in items]

    assert listed(as_ada, "mine") == [mine]
    assert (listed(api, "mine"), listed(api, "open")) == ([], [mine])
    assert listed(api, "all") == [other, mine]
    assert_refused(api.get("/api/approvals?scope=yours"))


def test_one_tells_why_the_user_may_not_decide(api: Api, as_ada: Api) -> None:
    key = asks(api)

    shown = [client.get(f"/api/approvals/{key}").json()["whyNot"] for client in (api, as_ada)]

    assert shown == ["user-0 is none of those who were asked", None]


def test_refusals_have_their_status_and_say_why(api: Api, as_ada: Api, ada: User) -> None:
    started, filled = asks(api, by=ada), asks(api, form=FORM)

    def refused(client: Api, key: object, body: Any = None) -> tuple[int, str]:
        answer = client.post(f"/api/approvals/{key}/approve", body)
        assert_refused(answer)
        return answer.status_code, answer.json()["error"]["code"]

    assert refused(api, filled) == (403, "not_allowed")
    assert refused(as_ada, started) == (403, "not_allowed")
    assert refused(as_ada, 10**9) == (404, "unknown_approval")
    assert refused(as_ada, "x") == (404, "unknown_approval")
    assert refused(as_ada, filled, {"form": {"cents": "many"}}) == (422, "invalid_decision")
    assert refused(as_ada, filled, {"yes": True}) == (400, "invalid_input")
    assert (
        as_ada.post(f"/api/approvals/{filled}/approve", {"form": {"cents": 5}}).status_code == 200
    )
    assert refused(as_ada, filled) == (409, "already_decided")


def test_a_fault_of_a_form_has_its_path(api: Api, as_ada: Api) -> None:
    key = asks(api, form=FORM)

    answer = as_ada.post(f"/api/approvals/{key}/approve", {"form": {"cents": "many"}})

    assert [detail["path"] for detail in answer.json()["error"]["details"]] == ["form.cents"]


def test_what_was_filled_in_is_a_payload(api: Api, as_ada: Api, api_of: MakeApi) -> None:
    key = asks(api, form=FORM)
    as_ada.post(f"/api/approvals/{key}/approve", {"form": {"cents": 5}})
    viewer = api_of(*set(EVERYTHING) - {"view_payload"})

    shown = [client.get(f"/api/approvals/{key}").json() for client in (viewer, as_ada)]

    assert [one["decisions"][0]["form"] for one in shown] == [None, {"cents": 5}]
    assert [one["payloadsHidden"] for one in shown] == [True, False]


def test_an_approval_that_nobody_could_answer_is_a_fault_with_its_path(api: Api) -> None:
    node = {"id": "a", "type": "approval", "config": {"title": "May it?"}}
    raw = {"id": "asks", "name": "Asks", "entryNodeId": "a", "nodes": [node]}

    answer = api.post("/api/workflows", raw)

    (fault,) = answer.json()["error"]["details"]
    assert (answer.status_code, fault["path"]) == (422, "nodes[0].config")
    assert "nobody could decide" in fault["message"]
