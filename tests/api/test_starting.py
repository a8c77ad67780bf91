"""Starting many by one call, waiting for an end, running a node by hand."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, transaction

from spane_django.engine.batch import MAX_INPUTS
from spane_django.models import Execution

from .conftest import Api, MakeApi, assert_refused, definition, run_flow, work_off

BATCH = "/api/workflows/flow/execute/batch"
EXECUTE = "/api/workflows/flow/execute"


@pytest.fixture(autouse=True)
def _flow(api: Api) -> None:
    assert api.post("/api/workflows", definition("a")).status_code == 201


@pytest.mark.django_db
def test_a_batch_starts_one_execution_per_input_in_order(api: Api) -> None:
    answer = api.post(BATCH, {"inputs": [{"n": 0}, None, [1]], "priority": 9})

    keys = answer.json()["executionIds"]
    started = Execution.objects.in_bulk()
    assert answer.status_code == 202
    assert [(str(key), started[key].input) for key in sorted(started)] == list(
        zip(keys, [{"n": 0}, None, [1]], strict=True)
    )
    assert {(one.priority, one.trigger) for one in started.values()} == {(9, "api")}


@pytest.mark.django_db
def test_ten_thousand_inputs_are_one_call_and_one_more_is_refused(api: Api) -> None:
    fine = api.post(BATCH, {"inputs": list(range(MAX_INPUTS))})
    over = api.post(BATCH, {"inputs": [0] * (MAX_INPUTS + 1)})

    assert (fine.status_code, len(set(fine.json()["executionIds"]))) == (202, 10_000)
    assert Execution.objects.count() == 10_000
    assert over.status_code == 400
    assert_refused(over)


@pytest.mark.django_db
def test_of_a_batch_all_start_or_none_and_every_fault_is_listed(api: Api) -> None:
    schema = {"inputSchema": {"type": "object", "required": ["n"]}}
    api.post("/api/workflows", definition("a") | schema)

    answer = api.post(BATCH, {"inputs": [{"n": 1}, {}, 7]})
    single = api.post(BATCH, {"inputs": [{}]})

    assert answer.status_code == 400
    paths = [item["path"] for item in answer.json()["error"]["details"]]
    assert paths == ["inputs[1]", "inputs[2]"]
    assert single.json()["error"]["details"][0]["path"] == "inputs[0]"
    assert not Execution.objects.exists()


@pytest.mark.django_db
def test_a_batch_that_is_sent_again_gives_the_same_executions(api: Api) -> None:
    body = {"inputs": [{"n": n} for n in range(3)]}

    first = api.post(BATCH, body, Idempotency_Key="orders")
    again = api.post(BATCH, body, Idempotency_Key="orders")
    other = api.post(BATCH, body, Idempotency_Key="more")

    assert first.json() == again.json()
    assert set(first.json()["executionIds"]).isdisjoint(other.json()["executionIds"])
    assert Execution.objects.count() == 6


@pytest.mark.django_db
@pytest.mark.parametrize("inputs", [[0, 1], [0, 1, 2, 3], [0, 1, 7]])
def test_a_key_is_not_taken_for_another_batch(api: Api, inputs: list[int]) -> None:
    api.post(BATCH, {"inputs": [0, 1, 2]}, Idempotency_Key="orders")

    answer = api.post(BATCH, {"inputs": inputs}, Idempotency_Key="orders")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "idempotency_conflict")
    assert Execution.objects.count() == 3


@pytest.mark.django_db
@pytest.mark.parametrize(
    "body", [{}, {"inputs": []}, {"inputs": {}}, {"inputs": [1], "initialData": 1}, []]
)
def test_what_is_no_batch_is_refused(api: Api, body: Any) -> None:
    answer = api.post(BATCH, body)

    assert answer.status_code == 400
    assert_refused(answer)


def at_once(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """Let a worker run what is started as soon as somebody waits for it."""
    workers: list[threading.Thread] = []

    def work(seconds: float) -> None:
        worker = threading.Thread(target=_work)
        worker.start()
        worker.join()
        workers.append(worker)

    monkeypatch.setattr("spane_django.dispatch.waiting.time.sleep", work)
    return workers


def _work() -> None:
    work_off()
    connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_start_may_wait_for_what_comes_of_it(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once(monkeypatch)

    answer = api.post(f"{EXECUTE}?wait=10", {"initialData": 1})

    found = answer.json()
    assert (answer.status_code, found["status"], found["output"]) == (
        200,
        "completed",
        {"from": "a"},
    )
    assert answer.headers["Location"].endswith(found["executionId"])


@pytest.mark.django_db(transaction=True)
def test_who_may_not_see_payloads_waits_and_sees_none(
    api: Api, api_of: MakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once(monkeypatch)

    found = api_of("run_workflow").post(f"{EXECUTE}?wait=10").json()

    assert (found["status"], found["output"], found["payloadsHidden"]) == ("completed", None, True)


@pytest.mark.django_db(transaction=True)
def test_a_wait_is_over_when_its_time_is(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    slept: list[float] = []
    monkeypatch.setattr("spane_django.dispatch.waiting.time.sleep", slept.append)
    monkeypatch.setattr("spane_django.dispatch.waiting.time.monotonic", lambda: next(clock) / 4)

    answer = api.post(f"{EXECUTE}?wait=3")

    assert answer.status_code == 202
    assert list(answer.json()) == ["executionId"]
    assert slept == sorted(slept)
    assert max(slept) <= 0.25
    assert 9 <= len(slept) <= 12


@pytest.mark.django_db(transaction=True)
def test_too_many_who_wait_are_answered_at_once(
    api: Api, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.SPANE = {"WAITERS": 1}
    inner: list[Any] = []

    def sleep(seconds: float) -> None:
        if not inner:
            inner.append(api.post(f"{EXECUTE}?wait=10"))
            work_off()

    monkeypatch.setattr("spane_django.dispatch.waiting.time.sleep", sleep)

    outer = api.post(f"{EXECUTE}?wait=10")
    later = api.post(f"{EXECUTE}?wait=10")

    assert (inner[0].status_code, outer.status_code, later.status_code) == (202, 200, 202)


@pytest.mark.django_db(transaction=True)
def test_nobody_waits_inside_a_transaction(api: Api) -> None:
    with transaction.atomic():
        answer = api.post(f"{EXECUTE}?wait=60")

    assert answer.status_code == 202


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["wait=61", "wait=x", "wait=-1", "wait=1.5", "wait=", "waits=1"])
def test_a_wait_that_is_none_is_refused(api: Api, query: str) -> None:
    answer = api.post(f"{EXECUTE}?{query}")

    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["path"] == query.partition("=")[0]
    assert not Execution.objects.exists()


@pytest.mark.django_db
def test_a_node_runs_again_by_hand_with_what_it_is_given(api: Api) -> None:
    chain = definition("first", "second")
    key = run_flow(api, chain, {"n": 1})
    by_hand = "/api/workflows/flow/nodes/first/execute"

    answer = api.post(by_hand, {"executionId": key, "inputData": {"n": 2}, "reason": "typo"})

    found = api.get(answer.headers["Location"]).json()
    assert (answer.status_code, answer.json()) == (202, {"executionId": key})
    assert found["nodeResults"]["first"]["status"] == "ready"
    work_off()
    assert api.get(f"/api/executions/{key}").json()["status"] == "completed"


@pytest.mark.django_db
def test_a_node_runs_by_hand_only_in_an_execution_of_its_workflow(
    api: Api, api_of: MakeApi
) -> None:
    key = run_flow(api, definition("a"))
    api.post("/api/workflows", definition("a", key="other"))
    operator = api_of("retry_execution")

    other = api.post("/api/workflows/other/nodes/a/execute", {"executionId": key})
    unknown = api.post("/api/workflows/flow/nodes/b/execute", {"executionId": key})
    no_id = api.post("/api/workflows/flow/nodes/a/execute", {"executionId": "x"})
    giving = operator.post(
        "/api/workflows/flow/nodes/a/execute", {"executionId": key, "inputData": 1}
    )

    codes = [answer.status_code for answer in (other, unknown, no_id, giving)]
    assert codes == [404, 404, 404, 403]


@pytest.mark.django_db
def test_a_replay_that_is_sent_again_gives_the_same_execution(api: Api) -> None:
    key, other = run_flow(api, definition("a")), run_flow(api, definition("a"))

    first = api.post(f"/api/executions/{key}/replay", Idempotency_Key="once")
    again = api.post(f"/api/executions/{key}/replay", Idempotency_Key="once")
    conflict = api.post(f"/api/executions/{other}/replay", Idempotency_Key="once")

    assert first.json() == again.json()
    assert (conflict.status_code, Execution.objects.count()) == (409, 3)
    replayed = Execution.objects.get(pk=first.json()["executionId"])
    assert (str(replayed.replay_of_id), replayed.trigger) == (key, "api")
