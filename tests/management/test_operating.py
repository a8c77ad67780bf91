"""Nodes by hand, bulk operations and the audit trail from the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from spane_django.engine import bulk
from spane_django.engine.start import start_many
from spane_django.models import AuditEntry, BulkOperation, Execution, NodeRun
from tests.management.conftest import ask, work

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def running(line: str) -> list[str]:
    """Three executions that run."""
    ids = start_many(line, [{}, {}, {}], now=datetime.now(UTC))
    return [str(one) for one in ids]


def control(*args: object) -> Any:
    return ask("spane_control", *args)


def node(execution: object, node_id: str) -> NodeRun:
    return NodeRun.objects.get(execution=execution, node_id=node_id)


def test_a_failed_node_is_skipped_and_its_execution_ends(failed: Execution) -> None:
    answer = control("skip", failed.pk, "--node", "first", "--reason", "known")

    failed.refresh_from_db()
    assert (answer.code, failed.status) == (0, "completed")
    assert "skip: 1 of 1 execution" in answer.out
    assert node(failed, "first").reason == "skipped by hand: known"


def test_a_node_is_completed_with_an_output(failed: Execution, tmp_path: Path) -> None:
    file = tmp_path / "output.json"
    file.write_text(json.dumps({"n": 5}))

    answer = control("complete", failed.pk, "--node", "first", "--output", f"@{file}")
    work()

    failed.refresh_from_db()
    assert (answer.code, failed.status) == (0, "completed")
    assert node(failed, "first").output == {"n": 5}


def test_null_is_an_output(failed: Execution) -> None:
    answer = control("complete", failed.pk, "--node", "first", "--output", "null", "--next", "last")

    assert answer.code == 0
    assert node(failed, "first").status == "completed"
    assert node(failed, "first").next_nodes == ["last"]


def test_an_execution_is_run_again_from_a_node_or_with_another_input(
    completed: Execution,
) -> None:
    control("rerun", completed.pk, "--from", "last")
    again = node(completed, "last").status
    work()
    answer = control("rerun", completed.pk, "--from", "start", "--input", '{"b": 2}')

    completed.refresh_from_db()
    assert (again, answer.code) == ("ready", 0)
    assert (completed.input, completed.status) == ({"b": 2}, "running")


def test_a_rerun_in_the_latest_version_names_the_new_execution(completed: Execution) -> None:
    answer = control("rerun", completed.pk, "--from", "last", "--in", "latest")

    new = Execution.objects.get(replay_of=completed)
    assert f"{completed.pk} → {new.pk}" in answer.out
    assert node(new, "first").status == "completed"


def test_executions_are_moved_to_another_priority(running: list[str]) -> None:
    answer = control("reassign", "--workflow", "line", "--priority", "9", "--yes")

    assert answer.code == 0
    assert set(Execution.objects.values_list("priority", flat=True)) == {9}


def test_a_node_that_waits_for_no_time_is_not_hurried(running: list[str]) -> None:
    answer = control("retry-now", running[0], "--node", "first", "--json")

    assert answer.code == 1
    assert "due already" in answer.json["refused"][0]["why"]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("skip", "{id}"), "skip needs --node"),
        (("complete", "{id}", "--node", "first"), "complete needs --output"),
        (("cancel", "{id}", "--queue", "spane"), "--queue is not for cancel"),
        (("rerun", "{id}", "--node", "first"), "--node is not for rerun"),
        (("pause", "{id}", "--in", "latest"), "--in is not for pause"),
        (("cancel", "--continue", "x"), "no id of a bulk operation"),
        (("cancel", "{id}", "--continue", "x"), "takes neither ids nor filters"),
    ],
)
def test_what_does_not_fit_the_verb_is_the_wrong_use(
    running: list[str], args: tuple[str, ...], told: str
) -> None:
    answer = control(*(text.format(id=running[0]) for text in args))

    assert (answer.code, told in answer.err) == (2, True), answer.err


def test_what_the_engine_refuses_in_bulk_is_told_before_anything_changes(
    running: list[str],
) -> None:
    answer = control("rerun", "--all", "--input", "1", "--yes")

    assert answer.code == 1
    assert "another input is for a rerun from the start" in answer.err
    assert not BulkOperation.objects.exists()


def test_a_filter_by_error_chooses_what_failed_with_it(
    failed: Execution, running: list[str]
) -> None:
    counted = control("skip", "--node", "first", "--error", "Permanent", "--dry-run", "--json")
    none = control("skip", "--node", "first", "--error", "KeyError", "--yes")

    assert counted.json == {"verb": "skip", "dryRun": True, "chosen": 1}
    assert (none.code, "nothing to skip" in none.out) == (1, True)


def test_a_bulk_operation_tells_what_it_did(running: list[str]) -> None:
    answer = control("cancel", "--workflow", "line", "--yes", "--json", "--reason", "wrong")

    operation = BulkOperation.objects.get()
    assert answer.json == {
        "verb": "cancel", "operation": str(operation.pk), "chosen": 3, "changedCount": 3,
        "refusedCount": 0, "refused": [],
    }  # fmt: skip
    assert AuditEntry.objects.filter(verb="cancel", reason="wrong").count() == 3


def test_an_interrupted_operation_is_gone_on_with(
    running: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "ROWS_PER_STEP", 1)
    real, steps = bulk.advance, []

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        if steps:
            raise KeyboardInterrupt
        steps.append(1)
        return real(*args, **kwargs)

    with monkeypatch.context() as once:
        once.setattr("spane_django.management.operations.advance", interrupted)
        answer = control("cancel", "--workflow", "line", "--yes")
    operation = BulkOperation.objects.get()
    left = Execution.objects.filter(status="running").count()
    other = control("pause", "--continue", operation.pk)
    again = control("cancel", "--continue", operation.pk)

    assert (answer.code, left) == (130, 2)
    assert f"spane_control cancel --continue {operation.pk}" in answer.err
    assert (other.code, "is to cancel, not to pause" in other.err) == (2, True)
    assert (again.code, "cancel: 3 of 3 executions" in again.out) == (0, True)
    assert set(Execution.objects.values_list("status", flat=True)) == {"cancelled"}


def test_the_audit_trail_is_listed_by_filter(completed: Execution, running: list[str]) -> None:
    control("pause", running[0], "--reason", "look first")
    control("complete", running[1], "--node", "first", "--output", '{"n": 1}')
    control("cancel", running[0])

    everything = ask("spane_audit", "--json").json
    of_one = ask("spane_audit", "--execution", running[0], "--json").json
    by_verb = ask("spane_audit", "--verb", "complete", "--since", "1h", "--json").json
    shown = ask("spane_audit", "--limit", "2")

    assert [entry["verb"] for entry in everything] == ["cancel", "complete", "pause", "publish"]
    assert [entry["verb"] for entry in of_one] == ["cancel", "pause"]
    assert of_one[1]["reason"] == "look first"
    assert by_verb[0]["after"]["output"] == {"n": 1}
    assert by_verb[0]["target"] == "first"
    assert "paused → cancelled" in shown.out
    assert "there are more" in shown.err
    assert "no entries" in ask("spane_audit", "--user", "nobody").out
    assert ask("spane_audit", "--limit", "-1").code == 2
