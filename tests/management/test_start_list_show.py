"""Starting executions and looking at them from the command line."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import connections

from spane_django.engine.control import pause
from spane_django.engine.publish import publish
from spane_django.engine.start import StartOptions, start
from spane_django.models import Execution, NodeRun, Worker
from tests.management.conftest import ask, work
from tests.management.project import until

pytestmark = pytest.mark.django_db(transaction=True)

_BODY = {"type": "log", "config": {"message": "an item"}}
EACH = {
    "id": "each",
    "name": "each",
    "entryNodeId": "each",
    "nodes": [{"id": "each", "type": "map", "config": {"node": _BODY}}],
}


def test_start_prints_the_id_alone(line: str) -> None:
    answer = ask("spane_start", line, "--input", '{"a": 1}')

    execution = Execution.objects.get()
    assert answer.out == f"{execution.pk}\n"
    assert execution.input == {"a": 1}


def test_the_input_may_come_from_a_file(line: str, tmp_path: Path) -> None:
    (tmp_path / "input.json").write_text('{"from": "file"}')

    ask("spane_start", line, "--input", f"@{tmp_path / 'input.json'}")

    assert Execution.objects.get().input == {"from": "file"}


def test_options_of_a_start_reach_the_execution(line: str) -> None:
    answer = ask(
        "spane_start", line, "--priority", 9, "--delay", "1h30m", "--key", "k-1",
        "--timeout", "2h", "--json",
    )  # fmt: skip

    execution = Execution.objects.get()
    assert answer.json["executionId"] == str(execution.pk)
    assert (execution.priority, execution.idempotency_key) == (9, "k-1")
    assert execution.start_at == execution.created_at + timedelta(minutes=90)
    assert execution.deadline_at == execution.start_at + timedelta(hours=2)


def test_the_same_key_starts_once(line: str) -> None:
    first = ask("spane_start", line, "--key", "k-1").out
    second = ask("spane_start", line, "--key", "k-1").out

    assert first == second
    assert Execution.objects.count() == 1


def test_while_one_like_it_runs_it_is_given_back_or_the_start_is_refused(line: str) -> None:
    first = ask("spane_start", line, "--duplicate-key", "report", "--share-key", "ada").out

    again = ask("spane_start", line, "--duplicate-key", "report", "--on-duplicate", "return")
    refused = ask("spane_start", line, "--duplicate-key", "report", "--on-duplicate", "reject")

    assert again.out == first
    assert refused.code == 1
    assert first.strip() in refused.err
    assert Execution.objects.get().key == "ada"


def test_a_debounced_start_waits_for_the_next_one(line: str) -> None:
    for number in (1, 2):
        ask(
            "spane_start", line, "--duplicate-key", "k", "--debounce", "90s", "--input", number
        )  # fmt: skip

    execution = Execution.objects.get()
    assert (execution.status, execution.input) == ("pending", 2)


def test_nobody_waits_for_less_than_a_start_is_debounced(line: str) -> None:
    answer = ask("spane_start", line, "--debounce", "90s", "--wait", 30)

    assert answer.code != 0
    assert not Execution.objects.exists()


def test_waiting_shows_the_output_of_what_completes(line: str) -> None:
    worker = _working_thread()
    answer = ask("spane_start", line, "--input", '{"a": 1}', "--wait", 30)
    worker.join()

    first, _, output = answer.out.partition("\n")
    assert answer.code == 0
    assert "completed" in first
    assert json.loads(output) == {"a": 1, "n": 1, "m": 2}


def test_waiting_for_what_fails_gives_1_and_says_where_to_look(line: str) -> None:
    worker = _working_thread()
    answer = ask("spane_start", line, "--input", "[1]", "--wait", 30)
    worker.join()

    assert answer.code == 1
    assert "failed" in answer.out
    assert "spane_show" in answer.err


def test_waiting_in_vain_gives_1(line: str) -> None:
    answer = ask("spane_start", line, "--wait", 0.05)

    assert answer.code == 1
    assert "has not ended yet" in answer.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nobody"], 1, "publish its definition first"),
        (["line", "--input", "{a: 1}"], 2, "not JSON"),
        (["line", "--input", "@/nowhere.json"], 2, "cannot be read"),
        (["line", "--priority", "11"], 1, "between 1 and 10"),
        (["line", "--delay", "soon"], 2, "no duration"),
        (["line", "--delay", "1h", "--wait", "5"], 2, "longer than --delay"),
    ],
)
def test_a_start_that_is_refused_says_why(
    line: str, arguments: list[str], code: int, said: str
) -> None:
    answer = ask("spane_start", *arguments)

    assert (answer.code, said in answer.err) == (code, True)
    assert not Execution.objects.exists()


def test_executions_are_listed_newest_first_and_by_filter(
    completed: Execution, failed: Execution
) -> None:
    everything = ask("spane_list", "--json").json
    some = ask("spane_list", "--status", "failed", "--workflow", "line", "--json").json

    assert [row["executionId"] for row in everything] == [str(failed.pk), str(completed.pk)]
    assert [row["executionId"] for row in some] == [str(failed.pk)]


def test_a_list_tells_when_there_is_more(completed: Execution, failed: Execution) -> None:
    answer = ask("spane_list", "--limit", 1)

    assert str(failed.pk) in answer.out
    assert str(completed.pk) not in answer.out
    assert "there are more" in answer.err


def test_children_are_listed_with_their_parent_alone(completed: Execution) -> None:
    publish(EACH, now=datetime.now(UTC))
    parent = start("each", [1, 2, 3], now=datetime.now(UTC))
    work()

    own = [row["executionId"] for row in ask("spane_list", "--json").json]
    children = ask("spane_list", "--parent", parent.pk, "--json").json

    assert own == [str(parent.pk), str(completed.pk)]
    assert [(row["parent"], row["relation"], row["item"]) for row in children] == [
        (str(parent.pk), "child", item) for item in (2, 1, 0)
    ]
    assert "3 completed" in ask("spane_show", parent.pk).out
    assert f"{parent.pk} (child 2)" in ask("spane_show", children[0]["executionId"]).out
    assert ask("spane_show", parent.pk, "--json").json["children"] == {"completed": 3}


def test_a_verb_for_all_leaves_children_to_their_parents(line: str) -> None:
    publish(EACH, now=datetime.now(UTC))
    start("each", [1, 2, 3], now=datetime.now(UTC))
    work()

    answer = ask("spane_control", "replay", "--all", "--dry-run", "--json")

    assert answer.json["chosen"] == 1


def test_times_choose_executions(completed: Execution) -> None:
    before, after = datetime(2020, 1, 1, tzinfo=UTC).isoformat(), "2099-01-01"

    assert ask("spane_list", "--since", "1h", "--json").json
    assert not ask("spane_list", "--until", before, "--json").json
    assert not ask("spane_list", "--since", after, "--json").json


def test_a_filter_by_an_unknown_workflow_names_the_known(line: str) -> None:
    answer = ask("spane_list", "--workflow", "lime")

    assert answer.code == 1
    assert "There is no workflow 'lime'" in answer.err
    assert "line" in answer.err


def test_workflows_are_listed_with_their_version(line: str) -> None:
    (row,) = ask("spane_list", "workflows", "--json").json

    assert (row["id"], row["version"], row["nodes"], row["isEnabled"]) == ("line", 1, 2, True)
    assert "line" in ask("spane_list", "workflows").out


def test_brackets_in_data_are_shown_as_they_are(completed: Execution) -> None:
    Execution.objects.update(reason="[bold]not markup[/bold] :smile:")

    assert "[bold]not markup[/bold] :smile:" in ask("spane_list").out


def test_show_tells_nodes_and_log_and_takes_the_beginning_of_an_id(completed: Execution) -> None:
    answer = ask("spane_show", str(completed.pk)[:20])

    assert answer.code == 0
    for told in (str(completed.pk), "It has completed.", "first", "Executing node first"):
        assert told in answer.out


def test_show_gives_payloads_only_when_asked(completed: Execution) -> None:
    without = ask("spane_show", completed.pk, "--json").json
    with_them = ask("spane_show", completed.pk, "--json", "--payloads").json

    assert "input" not in without
    assert all("output" not in node for node in without["nodes"])
    assert with_them["input"] == {"a": 1}
    assert with_them["nodes"][-1]["output"] == {"a": 1, "n": 1, "m": 2}


def test_an_id_that_names_nothing_or_several_is_refused(line: str) -> None:
    first = start(line, now=datetime.now(UTC))
    start(line, now=datetime.now(UTC))

    several = ask("spane_show", str(first.pk)[:8])
    nothing = ask("spane_show", "ffffffff-ffff")
    nonsense = ask("spane_show", "line")

    assert (several.code, nothing.code, nonsense.code) == (2, 1, 2)
    assert "Several executions begin with" in several.err
    assert "There is no execution" in nothing.err
    assert "is no execution id" in nonsense.err


def test_show_explains_a_failure(failed: Execution) -> None:
    answer = ask("spane_show", failed.pk)

    assert "It has failed" in answer.out
    assert "'first' failed for good in attempt 1: Permanent" in answer.out


def test_show_explains_what_waits_for_a_worker(line: str) -> None:
    execution = start(line, now=datetime.now(UTC))

    answer = ask("spane_show", execution.pk)

    assert "needs a worker of queue 'spane'" in answer.out
    assert "manage.py rqworker spane" in answer.out


def test_show_explains_a_pause_and_a_delayed_start(line: str) -> None:
    at = datetime.now(UTC)
    paused = start(line, now=at)
    pause(paused.pk, now=at, reason="wrong price")
    delayed = start(line, now=at, options=StartOptions(start_at=at + timedelta(hours=2)))

    assert "It is paused: wrong price" in ask("spane_show", paused.pk).out
    assert "is held until the execution is resumed" in ask("spane_show", paused.pk).out
    assert "It starts in 1:59" in ask("spane_show", delayed.pk).out


def test_show_explains_a_node_whose_worker_is_silent(line: str) -> None:
    at = datetime.now(UTC)
    execution = start(line, now=at)
    worker = Worker.objects.create(
        name="far-away:7", queue="spane", pid=7, started_at=at,
        heartbeat_at=at - timedelta(minutes=5),
    )  # fmt: skip
    NodeRun.objects.update(
        status="running", worker_id=worker.pk, claim_token=worker.pk, started_at=at
    )

    answer = ask("spane_show", execution.pk)

    assert "runs on worker far-away:7, silent for 0:05:00" in answer.out


def _working_thread() -> threading.Thread:
    """Work, on another thread, as soon as there is something to do."""

    def run() -> None:
        until(lambda: NodeRun.objects.exists(), "something is ready")
        work()
        connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread
