"""What became of an execution, and what an operator may say to it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from spane_django.models import DeadLetter, Execution

from .conftest import Api, definition, run_flow, work_off

NOBODYS = "0197f0c2-7b1e-7d3a-9c55-3f1a2b4c5d6e"
VERBS = ("pause", "resume", "cancel", "retry", "replay")


def start(api: Api, raw: dict[str, Any] | None = None) -> str:
    raw = raw or definition("a", "b")
    api.post("/api/workflows", raw)
    started = api.post(f"/api/workflows/{raw['id']}/execute", {"initialData": {"n": 1}})
    execution_id: str = started.json()["executionId"]
    return execution_id


def say(api: Api, execution_id: str, verb: str, body: Any = None) -> Any:
    return api.post(f"/api/executions/{execution_id}/{verb}", body)


def failed(api: Api) -> str:
    config = {"fail": "no such host", "retries": 0}
    return run_flow(api, definition("a", "b", a=config), {"n": 1})


def test_a_completed_execution_shows_input_output_and_the_results_of_its_nodes(api: Api) -> None:
    execution_id = run_flow(api, definition("a", "b", b={"return": {"total": 3}}), {"n": 1})

    shown = api.get(f"/api/executions/{execution_id}").json()

    assert (shown["executionId"], shown["workflowId"]) == (execution_id, "flow")
    assert (shown["status"], shown["input"], shown["output"]) == (
        "completed",
        {"n": 1},
        {"total": 3},
    )
    assert {node: result["data"] for node, result in shown["nodeResults"].items()} == {
        "a": {"from": "a"},
        "b": {"total": 3},
    }
    assert all(result["success"] for result in shown["nodeResults"].values())
    assert shown["metadata"] == {}
    assert shown["createdAt"].endswith("Z")
    assert shown["durationMs"] >= 0


def test_a_failed_node_shows_its_error_and_what_hangs_on_it_its_reason(api: Api) -> None:
    shown = api.get(f"/api/executions/{failed(api)}").json()

    assert (shown["status"], shown["output"]) == ("failed", None)
    assert shown["nodeResults"]["a"]["error"] == "no such host"
    assert shown["nodeResults"]["a"]["success"] is False
    assert shown["nodeResults"]["b"]["status"] == "cancelled"
    assert shown["nodeResults"]["b"]["reason"] == "upstream failed"


def test_a_paused_execution_runs_nothing_until_it_is_resumed(api: Api) -> None:
    execution_id = start(api)

    paused = say(api, execution_id, "pause", {"reason": "look first"})
    ran_while_paused = work_off()
    resumed = say(api, execution_id, "resume")
    ran_afterwards = work_off()

    assert (paused.json()["status"], paused.json()["reason"]) == ("paused", "look first")
    assert resumed.json()["status"] == "running"
    assert (ran_while_paused, ran_afterwards) == (0, 2)


def test_a_cancelled_execution_has_ended(api: Api) -> None:
    execution_id = start(api)

    cancelled = say(api, execution_id, "cancel", {"reason": "not needed"})

    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert work_off() == 0


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel"])
def test_what_cannot_happen_is_a_conflict_that_says_the_status(api: Api, verb: str) -> None:
    execution_id = run_flow(api, definition("a"))

    answer = say(api, execution_id, verb)
    error = answer.json()["error"]

    assert (answer.status_code, error["code"]) == (409, "illegal_transition")
    assert "completed" in error["message"]
    assert error["details"] == [
        {"path": "status", "code": "completed", "message": "it is completed"}
    ]


def test_a_replay_is_a_new_execution_that_names_the_one_it_repeats(api: Api) -> None:
    original = run_flow(api, definition("a"), {"n": 7})

    second = say(api, original, "replay")
    third = say(api, second.json()["executionId"], "replay")
    work_off()

    shown = [api.get(answer.headers["Location"]).json() for answer in (second, third)]
    assert (second.status_code, third.status_code) == (202, 202)
    assert [one["status"] for one in shown] == ["completed", "completed"]
    assert [one["input"] for one in shown] == [{"n": 7}, {"n": 7}]
    assert [one["metadata"] for one in shown] == [
        {"replayedFrom": original},
        {"replayedFrom": second.json()["executionId"]},
    ]


def test_retrying_runs_the_failed_nodes_again(api: Api) -> None:
    execution_id = failed(api)

    retried = say(api, execution_id, "retry")
    ran = work_off()

    assert (retried.status_code, retried.json()["status"]) == (200, "running")
    assert ran == 1
    assert Execution.objects.get().status == "failed"
    assert DeadLetter.objects.count() == 2


def test_retrying_what_did_not_fail_is_a_conflict(api: Api) -> None:
    answer = say(api, run_flow(api, definition("a")), "retry")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "nothing_to_retry")


def test_dead_letters_are_listed_newest_first_until_they_are_dealt_with(api: Api) -> None:
    older, newer = failed(api), failed(api)

    listed = api.get("/api/dlq").json()
    retried = api.post(f"/api/dlq/{listed['results'][0]['id']}/retry")
    discarded = api.post(f"/api/dlq/{listed['results'][1]['id']}/discard")

    first = listed["results"][0]
    assert [item["executionId"] for item in listed["results"]] == [newer, older]
    assert (first["workflowId"], first["nodeId"], first["attempts"]) == ("flow", "a", 1)
    assert (first["error"], first["errorType"]) == ("no such host", "RuntimeError")
    assert (first["input"], listed["next"]) == ({"n": 1}, None)
    assert [answer.json()["resolution"] for answer in (retried, discarded)] == [
        "retried",
        "discarded",
    ]
    assert api.get("/api/dlq").json()["results"] == []
    assert [Execution.objects.get(pk=pk).status for pk in (newer, older)] == ["running", "failed"]


@pytest.mark.parametrize("verb", ["retry", "discard"])
def test_a_dead_letter_is_dealt_with_once(api: Api, verb: str) -> None:
    failed(api)
    letter = DeadLetter.objects.get()
    api.post(f"/api/dlq/{letter.pk}/discard")

    answer = api.post(f"/api/dlq/{letter.pk}/{verb}")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "resolved_dead_letter")
    assert "discarded" in answer.json()["error"]["message"]


def test_dead_letters_come_in_pages_that_lead_to_each_other(api: Api) -> None:
    failing = {"fail": "no", "retries": 0}
    raw = definition("a", a=failing)
    raw["nodes"] += [{"id": f"n{i}", "type": "task", "config": failing} for i in range(4)]
    run_flow(api, raw)

    seen: list[int] = []
    path = "/api/dlq?limit=2"
    while path:
        page = api.get(path).json()
        seen += [item["id"] for item in page["results"]]
        path = page["next"]

    assert seen == sorted(DeadLetter.objects.values_list("id", flat=True), reverse=True)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "execution_id", ["0197f0c2-7b1e-7d3a-9c55-3f1a2b4c5d6e", "7", "exec_1", "%00", "a" * 300]
)
def test_an_execution_that_is_none_is_not_found(api: Api, verb: str, execution_id: str) -> None:
    answers = [say(api, execution_id, verb)] + [
        api.get(f"/api/executions/{execution_id}{part}") for part in ("", "/logs", "/trace")
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert {answer.json()["error"]["code"] for answer in answers} <= {
        "unknown_execution",
        "not_found",
    }


@pytest.mark.parametrize("letter_id", ["0", "-1", "x", "9" * 40, "1.5", "²", "%00"])
def test_a_dead_letter_that_is_none_is_not_found(api: Api, letter_id: str) -> None:
    answers = [api.post(f"/api/dlq/{letter_id}/{verb}") for verb in ("retry", "discard")]

    assert {answer.status_code for answer in answers} == {404}


def test_showing_an_execution_takes_as_many_queries_for_many_nodes_as_for_few(
    api: Api, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    few = run_flow(api, definition("a", "b", key="few"))
    many = run_flow(api, definition(*(f"n{index}" for index in range(30)), key="many"))

    # The token, three of the permissions, the execution, its runs, its output, its children.
    for execution_id in (few, many):
        with django_assert_num_queries(7):
            api.get(f"/api/executions/{execution_id}")


def test_a_retry_waits_for_its_time(api: Api) -> None:
    config = {"fail": "busy", "retryPolicy": {"maxAttempts": 2, "backoff": {"delay": 60_000}}}
    execution_id = run_flow(api, definition("a", a=config))

    waiting = api.get(f"/api/executions/{execution_id}").json()["nodeResults"]["a"]
    ran_later = work_off(later=timedelta(minutes=2))

    assert (waiting["status"], waiting["attempt"], waiting["error"]) == ("ready", 2, "busy")
    assert ran_later == 1


def mapped(api: Api, count: int) -> str:
    """Run a map over so many items, and return its execution."""
    raw = {
        "id": "all",
        "name": "all",
        "entryNodeId": "each",
        "nodes": [{"id": "each", "type": "map", "config": {"node": {"type": "task"}}}],
    }
    return run_flow(api, raw, list(range(count)))


def listed(api: Api, query: str = "") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = api.get(f"/api/executions{query}").json()["results"]
    return items


def test_lists_leave_out_what_other_executions_have_started(api: Api) -> None:
    plain, parent = run_flow(api, definition("a")), mapped(api, 3)

    assert [item["executionId"] for item in listed(api)] == [parent, plain]
    assert {item["parent"]["executionId"] for item in listed(api, f"?parent={parent}")} == {parent}


def test_a_child_says_whose_it_is_and_a_parent_how_many_it_has(api: Api) -> None:
    parent = mapped(api, 3)
    children = listed(api, f"?parent={parent}")

    child = api.get(f"/api/executions/{children[0]['executionId']}").json()

    assert child["parent"] == {
        "executionId": parent,
        "nodeId": "each",
        "relation": "child",
        "item": 2,
    }
    assert [item["parent"]["item"] for item in children] == [2, 1, 0]
    shown = api.get(f"/api/executions/{parent}").json()
    assert (shown["children"], shown["parent"]) == ({"completed": 3}, None)


def test_lists_are_narrowed_by_workflow_and_status_and_come_in_pages(api: Api) -> None:
    broken = failed(api)
    fine = [run_flow(api, definition("a", key="fine")) for _ in range(3)]

    page = api.get("/api/executions?workflow=fine&limit=2").json()
    rest = api.get(page["next"]).json()

    assert [item["executionId"] for item in listed(api, "?status=failed")] == [broken]
    assert [item["executionId"] for item in page["results"] + rest["results"]] == fine[::-1]
    assert rest["next"] is None
    assert listed(api, "?workflow=fine&status=failed") == []


def test_a_list_of_what_cannot_be_is_refused(api: Api) -> None:
    wrong = api.get("/api/executions?status=done")
    unknown = api.get("/api/executions?parent=nothing")

    assert (wrong.status_code, unknown.status_code) == (400, 400)
    assert "completed" in wrong.content.decode()


def test_listing_takes_as_many_queries_for_many_as_for_few(
    api: Api, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    few, many = mapped(api, 2), mapped(api, 30)

    # The token, two of the permissions, the page.
    for parent in (few, many):
        with django_assert_num_queries(4):
            listed(api, f"?parent={parent}")
