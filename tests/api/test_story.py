"""What an execution did: its log, its trace, its output, derived and never stored twice."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.test.utils import CaptureQueriesContext

from spane_django.engine.control import cancel
from spane_django.engine.run import utc_now
from spane_django.models import Execution, LogLine, story

from .conftest import Api, definition, run_flow, work_off


def told(execution_id: str) -> list[str]:
    return [entry.message for entry in Execution.objects.get(pk=execution_id).logs()]


def branches(**configs: dict[str, object]) -> dict[str, object]:
    nodes = [
        {
            "id": "top",
            "type": "task",
            "outputs": ["left", "right"],
            "config": configs.get("top", {}),
        },
        {"id": "left", "type": "task", "inputs": ["top"], "config": configs.get("left", {})},
        {"id": "right", "type": "task", "inputs": ["top"], "config": configs.get("right", {})},
    ]
    return {"id": "flow", "name": "Flow", "entryNodeId": "top", "nodes": nodes}


def test_the_log_tells_the_start_every_node_and_the_end_in_order(api: Api) -> None:
    execution_id = run_flow(api, definition("a", "b"))

    assert told(execution_id) == [
        f"Workflow flow started (Execution ID: {execution_id})",
        "Executing node a (type: task)",
        "Node execution completed successfully",
        "Executing node b (type: task)",
        "Node execution completed successfully",
        "Workflow flow completed",
    ]
    assert not LogLine.objects.exists()


def test_what_a_node_writes_stands_between_its_start_and_its_end(api: Api) -> None:
    execution_id = run_flow(api, definition("a", a={"log": "looking"}), {"n": 1})

    logs = api.get(f"/api/executions/{execution_id}/logs").json()["results"]

    assert [line["message"] for line in logs[1:4]] == [
        "Executing node a (type: task)",
        "looking",
        "Node execution completed successfully",
    ]
    assert logs[2] | {"timestamp": ""} == {
        "timestamp": "",
        "level": "info",
        "message": "looking",
        "nodeId": "a",
        "attempt": 1,
        "data": {"seen": {"n": 1}},
    }
    assert logs == sorted(logs, key=lambda line: line["timestamp"])


def test_every_attempt_that_failed_is_told_once(api: Api) -> None:
    config = {"fail": "busy", "log": "trying", "retries": 2}
    execution_id = run_flow(api, definition("a", "b", a=config))
    work_off(later=timedelta(hours=1))

    execution = Execution.objects.get(pk=execution_id)
    attempt = ["Executing node a (type: task)", "trying", "Node execution failed: busy"]
    assert told(execution_id) == [
        f"Workflow flow started (Execution ID: {execution_id})",
        *attempt * 3,
        "Node cancelled: upstream failed",
        "Workflow flow failed",
    ]
    assert [entry.attempt for entry in execution.logs()[1:10]] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    errors = [entry.message for entry in execution.logs() if entry.level == "error"]
    assert errors == ["Node execution failed: busy"] * 3 + ["Workflow flow failed"]
    assert [(span.attempt, span.status) for span in execution.trace().spans] == [
        (1, "failed"),
        (2, "failed"),
        (3, "failed"),
    ]


def test_what_happened_later_is_told_later_whichever_node_came_first(api: Api) -> None:
    execution_id = run_flow(api, branches(left={"fail": "busy", "retries": 1}))
    work_off(later=timedelta(hours=1))

    entries = Execution.objects.get(pk=execution_id).logs()

    executed = [entry.node_id for entry in entries if entry.message.startswith("Executing")]
    assert executed == ["top", "left", "right", "left"]
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)


def test_a_retry_that_waits_has_not_been_executed_yet(api: Api) -> None:
    config = {"fail": "busy", "retryPolicy": {"backoff": {"delay": 60_000}}}
    execution_id = run_flow(api, definition("a", a=config))

    assert told(execution_id)[1:] == [
        "Executing node a (type: task)",
        "Node execution failed: busy",
    ]


def test_a_node_cancelled_before_its_retry_was_executed_once(api: Api) -> None:
    config = {"fail": "busy", "retryPolicy": {"backoff": {"delay": 60_000}}}
    execution_id = run_flow(api, definition("a", a=config))
    execution = cancel(Execution.objects.get().pk, now=utc_now(), reason="enough")

    assert told(execution_id)[1:] == [
        "Executing node a (type: task)",
        "Node execution failed: busy",
        "Node cancelled: enough",
        "Workflow flow cancelled: enough",
    ]
    assert len(execution.trace().spans) == 1


def test_a_node_whose_failure_became_data_has_failed_and_the_workflow_went_on(api: Api) -> None:
    config = {"fail": "no", "retries": 0, "continueOnFail": True}
    execution_id = run_flow(api, definition("a", "b", a=config))

    assert told(execution_id)[2:4] == [
        "Node execution failed: no",
        "Node failed for good; the workflow goes on with the error as its data",
    ]
    spans = Execution.objects.get().trace().spans
    assert [(span.node_id, span.status) for span in spans] == [("a", "failed"), ("b", "completed")]


def test_a_branch_that_was_not_taken_is_told_and_has_no_span(api: Api) -> None:
    execution_id = run_flow(api, branches(top={"choose": ["left"]}))

    skipped = "Node skipped: no branch that was taken leads here"
    assert told(execution_id).count(skipped) == 1
    spans = Execution.objects.get().trace().spans
    assert {span.node_id for span in spans} == {"top", "left"}


def test_a_replay_says_what_it_repeats(api: Api) -> None:
    original = run_flow(api, definition("a"))
    replayed = api.post(f"/api/executions/{original}/replay").json()["executionId"]

    assert told(replayed) == [
        f"Replay of execution {original}",
        f"Workflow flow started (Execution ID: {replayed})",
    ]


def test_an_execution_that_has_not_begun_has_nothing_to_tell(api: Api) -> None:
    api.post("/api/workflows", definition("a"))
    started = api.post("/api/workflows/flow/execute", {"delay": 60_000})

    assert told(started.json()["executionId"]) == []


def test_a_trace_has_a_span_for_each_node_with_its_wait_apart(api: Api) -> None:
    execution_id = run_flow(api, definition("a", "b"))

    trace = api.get(f"/api/executions/{execution_id}/trace").json()

    assert (trace["traceId"], trace["status"]) == (execution_id, "completed")
    assert [(span["id"], span["name"], span["status"]) for span in trace["spans"]] == [
        ("a#1", "Execute task", "completed"),
        ("b#1", "Execute task", "completed"),
    ]
    assert all(span["durationMs"] >= 0 and span["waitMs"] >= 0 for span in trace["spans"])
    assert trace["durationMs"] >= max(span["durationMs"] for span in trace["spans"])


def test_the_output_is_the_data_of_the_only_leaf_that_completed(api: Api) -> None:
    run_flow(api, branches(top={"choose": ["left"]}, left={"return": [1, 2]}))

    assert Execution.objects.get().output == [1, 2]


def test_the_outputs_of_several_leaves_are_told_apart_by_their_ids(api: Api) -> None:
    run_flow(api, branches(left={"return": False}, right={"return": None}))

    assert Execution.objects.get().output == {"left": False, "right": None}


def test_what_did_not_complete_has_no_output(api: Api) -> None:
    run_flow(api, branches(left={"return": 1}, right={"fail": "no", "retries": 0}))

    assert Execution.objects.get().output is None


def test_reading_costs_the_same_for_many_nodes_as_for_few(api: Api) -> None:
    run_flow(api, definition("a", "b", key="few", a={"log": "one"}))
    failing = {"fail": "no", "retries": 0, "continueOnFail": True, "log": "another"}
    names = [f"n{index}" for index in range(20)]
    run_flow(api, definition(*names, key="many", **dict.fromkeys(names, failing)))

    counts = []
    for key in ("few", "many"):
        execution = Execution.objects.select_related("workflow", "version").get(workflow__key=key)
        for read in (story.logs, story.trace, story.output):
            with CaptureQueriesContext(connection) as queries:
                read(execution)
            counts.append(len(queries))

    assert counts == [3, 2, 1] * 2


def test_a_log_without_end_is_cut_and_says_so(api: Api) -> None:
    execution_id = run_flow(api, definition("a", a={"log": "first"}))
    line = LogLine.objects.get()
    rows = [LogLine(**(_values(line) | {"message": f"line {n}"})) for n in range(story.MAX_LINES)]
    LogLine.objects.bulk_create(rows)

    messages = told(execution_id)

    assert len(messages) == story.MAX_LINES + 5
    assert "only the first 10,000 lines that nodes wrote are shown" in messages
    assert f"line {story.MAX_LINES - 1}" not in messages


def _values(line: LogLine) -> dict[str, object]:
    fields = ("execution_id", "node_id", "attempt", "level", "data", "created_at")
    return {name: getattr(line, name) for name in fields}
