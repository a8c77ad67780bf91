"""Events and their triggers over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission

from spane_django.engine.publish import publish
from spane_django.models import AuditEntry, Execution, Trigger
from tests.api.conftest import Api, MakeApi
from tests.engine.helpers import NOON, definition

pytestmark = pytest.mark.django_db

ALL = ("run_workflow", "view_trigger", "add_trigger", "change_trigger", "delete_trigger")
TRIGGERS = "/api/triggers/events"
DEAR = {"event": "order.*", "workflowId": "w", "when": "total > `100`", "map": {"order": "id"}}


@pytest.fixture
def api(api_of: MakeApi, wakes: list[str]) -> Api:
    publish(definition({"a": []}, types={"a": "task"}), now=NOON)
    return api_of(*ALL)


def patch(api: Api, path: str, body: Any) -> Any:
    data = json.dumps(body)
    return api.client.patch(path, data, "application/json", headers=api._headers({}))


def delete(api: Api, path: str) -> Any:
    return api.client.delete(path, headers=api._headers({}))


def test_an_event_starts_what_listens_for_it(api):
    made = api.post(TRIGGERS, DEAR)
    subject = {"type": "shop.order", "id": "7"}

    answer = api.post(
        "/api/events/order.paid", {"payload": {"id": 7, "total": 120}, "subject": subject}
    )

    assert (made.status_code, answer.status_code) == (201, 202)
    (key,) = answer.json()["executionIds"]
    execution = Execution.objects.get(pk=key)
    assert (execution.input, execution.trigger) == ({"order": 7}, "event:order.paid")
    assert (execution.subject_type, execution.subject_id) == ("shop.order", "7")
    assert execution.started_by is not None


def test_an_event_nobody_hears_is_accepted_all_the_same(api):
    answer = api.post("/api/events/order.paid")

    assert (answer.status_code, answer.json()["executionIds"]) == (202, [])


def test_an_event_that_is_sent_again_starts_nothing_again(api):
    api.post(TRIGGERS, {"event": "*", "workflowId": "w"})

    first, again = (api.post("/api/events/x", {"payload": 1}, Idempotency_Key="a") for _ in "12")

    assert first.json() == again.json()
    assert Execution.objects.count() == 1


def test_what_could_not_start_is_told(api):
    api.post(TRIGGERS, {"event": "*", "workflowId": "w", "when": "length(@) > `1`"})

    answer = api.post("/api/events/x", {"payload": 1}).json()

    assert (answer["executionIds"], answer["refused"][0]["workflowId"]) == ([], "w")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/events/order.", {}),
        ("/api/events/a*", {}),
        ("/api/events/x", {"colour": 1}),
        ("/api/events/x", {"key": ""}),
        ("/api/events/x", {"subject": {"type": "Order"}}),
        ("/api/events/x", []),
    ],
)
def test_a_bad_event_is_refused(api, path: str, body: Any):
    assert api.post(path, body).status_code == 400


def test_triggers_are_listed_shown_changed_and_deleted(api):
    key = api.post(TRIGGERS, DEAR).json()["id"]

    (listed,) = api.get(f"{TRIGGERS}?workflow=w").json()["results"]
    shown = api.get(f"{TRIGGERS}/{key}").json()
    changed = patch(api, f"{TRIGGERS}/{key}", {"enabled": False, "map": None, "when": None})
    gone = delete(api, f"{TRIGGERS}/{key}")

    assert listed == shown
    assert {name: shown[name] for name in DEAR} == DEAR
    assert changed.json() == {**shown, "enabled": False, "map": None, "when": None}
    assert (gone.status_code, Trigger.objects.count()) == (204, 0)
    verbs = AuditEntry.objects.order_by("id").values_list("verb", flat=True)
    assert list(verbs)[-3:] == ["create trigger", "change trigger", "delete trigger"]


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({}, ["", ""]),
        ({"event": "a b", "workflowId": "w"}, ["event"]),
        ({"event": "a", "workflowId": "w", "when": "total >"}, ["when"]),
        ({"event": "a", "workflowId": "w", "map": {"x": "]"}, "when": "["}, ["when", "map.x"]),
        ({"event": "a", "workflowId": "w", "map": 5}, ["map"]),
        ({"event": "a", "workflowId": "w", "colour": 5}, [""]),
        ([], [""]),
    ],
)
def test_every_fault_of_a_trigger_is_told(api, body: Any, paths: list[str]):
    answer = api.post(TRIGGERS, body)

    assert answer.status_code == 400
    assert [detail["path"] for detail in answer.json()["error"]["details"]] == paths


def test_a_trigger_of_an_unknown_workflow_is_refused(api):
    assert api.post(TRIGGERS, {"event": "a", "workflowId": "ghost"}).status_code == 404


def test_a_declared_trigger_can_be_switched_off_and_nothing_else(api):
    raw = definition(
        {"a": []},
        types={"a": "task"},
        triggers=[{"type": "event", "config": {"event": "order.paid"}}],
    )
    publish(raw, now=NOON)
    path = f"{TRIGGERS}/{Trigger.objects.get().pk}"

    off = patch(api, path, {"enabled": False})

    assert (off.status_code, off.json()["enabled"], off.json()["declared"]) == (200, False, True)
    assert patch(api, path, {"event": "other"}).status_code == 409
    assert delete(api, path).status_code == 409
    assert api.post("/api/events/order.paid").json()["executionIds"] == []


def test_ends_of_workflows_are_no_event_triggers(api):
    raw = definition(
        {"a": []},
        types={"a": "task"},
        triggers=[{"type": "workflow", "config": {"workflowId": "order"}}],
    )
    publish(raw, now=NOON)

    assert api.get(TRIGGERS).json()["results"] == []
    assert api.get(f"{TRIGGERS}/{Trigger.objects.get().pk}").status_code == 404


def test_all_that_starts_a_workflow_is_listed_in_one_place(api):
    raw = definition(
        {"a": []},
        types={"a": "task"},
        triggers=[{"type": "workflow", "config": {"workflowId": "order", "on": "failed"}}],
    )
    publish(raw, now=NOON)
    api.post(TRIGGERS, DEAR)

    answer = api.get("/api/workflows/w/triggers").json()["results"]

    said = [(one["type"], one["says"], one["declared"]) for one in answer]
    assert said == [
        ("event", "the event order.* and total > `100`", False),
        ("workflow", "'order' has failed", True),
    ]
    assert api.get("/api/workflows/ghost/triggers").status_code == 404


@pytest.mark.parametrize("key", ["0", "999", "x", "9" * 30])
def test_a_trigger_that_does_not_exist_is_not_found(api, key: str):
    path = f"{TRIGGERS}/{key}"

    answers = [api.get(path), patch(api, path, {"enabled": True}), delete(api, path)]

    assert {answer.status_code for answer in answers} == {404}


@pytest.mark.parametrize("missing", ALL)
def test_each_route_takes_its_permission(api_of, missing: str):
    publish(definition({"a": []}, types={"a": "task"}), now=NOON)
    trigger = api_of(*ALL).post(TRIGGERS, DEAR).json()["id"]
    api = api_of(*(name for name in ALL if name != missing))
    assert Permission.objects.filter(codename=missing).exists()

    status = {
        "run_workflow": lambda: api.post("/api/events/x"),
        "view_trigger": lambda: api.get(TRIGGERS),
        "add_trigger": lambda: api.post(TRIGGERS, DEAR),
        "change_trigger": lambda: patch(api, f"{TRIGGERS}/{trigger}", {}),
        "delete_trigger": lambda: delete(api, f"{TRIGGERS}/{trigger}"),
    }[missing]().status_code

    assert status == 403
