"""Starting executions, once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from spane_django.models import Execution, Workflow

from .conftest import Api, assert_refused, definition, work_off

EXECUTE = "/api/workflows/flow/execute"


@pytest.fixture(autouse=True)
def _flow(api: Api) -> None:
    assert api.post("/api/workflows", definition("a", "b")).status_code == 201


def test_a_start_is_accepted_and_says_where_the_execution_is(api: Api) -> None:
    data = {"userId": 7, "names": ["Ada", None, 0, False, ""]}

    started = api.post(EXECUTE, {"initialData": data})
    found = api.get(started.headers["Location"]).json()

    assert started.status_code == 202
    assert started.headers["Location"].endswith(started.json()["executionId"])
    assert (found["status"], found["input"]) == ("running", data)
    assert Execution.objects.get().started_by is not None


@pytest.mark.parametrize("data", [None, False, 0, "", [], {}, 2**63, -0.5])
def test_any_json_is_an_input(api: Api, data: object) -> None:
    started = api.post(EXECUTE, {"initialData": data})
    work_off()

    found = api.get(started.headers["Location"]).json()

    assert (found["status"], found["input"]) == ("completed", data)


def test_a_start_without_a_body_has_no_input(api: Api) -> None:
    assert api.post(EXECUTE).status_code == 202
    assert Execution.objects.get().input is None


def test_priority_and_delay_are_those_of_the_request(api: Api) -> None:
    api.post(EXECUTE, {"priority": 9, "delay": 60_000})

    execution = Execution.objects.get()
    assert (execution.priority, execution.status) == (9, "pending")
    assert execution.start_at == execution.created_at + timedelta(minutes=1)


def test_the_same_key_and_input_start_one_execution(api: Api) -> None:
    first = api.post(EXECUTE, {"initialData": {"order": 1}}, Idempotency_Key="order-1")
    again = api.post(EXECUTE, {"initialData": {"order": 1}}, Idempotency_Key="order-1")
    other = api.post(EXECUTE, {"initialData": {"order": 1}}, Idempotency_Key="order-2")

    assert [answer.status_code for answer in (first, again, other)] == [202, 202, 202]
    assert first.json() == again.json() != other.json()
    assert Execution.objects.count() == 2


def test_the_same_key_with_another_input_is_a_conflict_that_names_the_first(api: Api) -> None:
    first = api.post(EXECUTE, {"initialData": {"order": 1}}, Idempotency_Key="order-1")
    other = api.post(EXECUTE, {"initialData": {"order": 2}}, Idempotency_Key="order-1")

    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")
    assert first.json()["executionId"] in other.json()["error"]["message"]
    assert Execution.objects.count() == 1


@pytest.mark.parametrize("key", ["", "x" * 201, "a\x00b", "naïve", "tab\there"])
def test_a_key_that_is_none_is_refused(api: Api, key: str) -> None:
    answer = api.post(EXECUTE, {}, Idempotency_Key=key)

    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["path"] == "Idempotency-Key"
    assert not Execution.objects.exists()


def test_every_fault_of_a_start_is_listed(api: Api) -> None:
    answer = api.post(EXECUTE, {"priority": 11, "delay": -1, "initialdata": {}})

    paths = {(item["path"], item["code"]) for item in answer.json()["error"]["details"]}
    assert answer.status_code == 400
    assert paths == {("priority", "schema"), ("delay", "schema"), ("", "schema")}
    assert "initialdata" in answer.json()["error"]["message"]


def test_an_input_that_does_not_fit_the_schema_of_the_workflow_is_refused(api: Api) -> None:
    schema = {"type": "object", "required": ["email"], "properties": {"age": {"minimum": 0}}}
    api.post("/api/workflows", definition("a") | {"inputSchema": schema})

    answer = api.post(EXECUTE, {"initialData": {"age": -1}})

    paths = [item["path"] for item in answer.json()["error"]["details"]]
    assert (answer.status_code, paths) == (400, ["initialData", "initialData.age"])


def test_a_disabled_workflow_starts_nothing(api: Api) -> None:
    Workflow.objects.update(is_enabled=False)

    answer = api.post(EXECUTE, {})

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "disabled_workflow")


def test_a_workflow_that_was_never_registered_cannot_be_started(api: Api) -> None:
    answer = api.post("/api/workflows/nobody/execute", {})

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_workflow")


def test_a_duplicate_is_answered_with_the_execution_that_is_there(api: Api) -> None:
    first = api.post(EXECUTE, {"initialData": 1, "onDuplicate": "return"})
    again = api.post(EXECUTE, {"initialData": 1, "onDuplicate": "return"})
    other = api.post(EXECUTE, {"initialData": 2, "onDuplicate": "return"})

    assert [answer.status_code for answer in (first, again, other)] == [202, 200, 202]
    assert first.json() == again.json() != other.json()
    assert again.headers["Location"] == first.headers["Location"]


def test_a_duplicate_that_is_rejected_is_a_conflict_that_names_the_first(api: Api) -> None:
    body = {"duplicateKey": "report", "onDuplicate": "reject"}
    first = api.post(EXECUTE, body)

    other = api.post(EXECUTE, body | {"initialData": 2})

    assert (other.status_code, other.json()["error"]["code"]) == (409, "duplicate_execution")
    assert first.json()["executionId"] in other.json()["error"]["message"]


def test_a_debounced_start_takes_the_last_input(api: Api) -> None:
    body = {"duplicateKey": "report", "debounce": 60_000, "key": "ada"}
    first = api.post(EXECUTE, body | {"initialData": 1})
    again = api.post(EXECUTE, body | {"initialData": 2})

    execution = Execution.objects.get()
    assert (first.status_code, again.status_code) == (202, 200)
    assert (execution.input, execution.status, execution.key) == (2, "pending", "ada")
    assert execution.start_at >= execution.created_at + timedelta(minutes=1)


def test_what_finds_no_room_is_refused_with_who_holds_the_places(api: Api) -> None:
    limit = {"maxExecutions": {"max": 1, "overflow": "reject"}}
    api.post("/api/workflows", definition("a") | limit)
    first = api.post(EXECUTE, {})

    answer = api.post(EXECUTE, {})

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_room")
    assert first.json()["executionId"] in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        {"onDuplicate": "later"},
        {"onDuplicate": "debounce"},
        {"onDuplicate": "return", "debounce": 5},
        {"debounce": 0},
        {"duplicateKey": ""},
        {"duplicateKey": "x" * 201},
        {"key": 7},
        {"key": "a\x00b"},
    ],
)
def test_an_option_of_a_start_that_makes_no_sense_is_refused(api: Api, body: object) -> None:
    assert_refused(api.post(EXECUTE, body))
    assert not Execution.objects.exists()
