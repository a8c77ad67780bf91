"""Operators' verbs from the command line: one or many, counted first, never by a slip."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from spane_django.engine.start import start, start_many
from spane_django.models import DeadLetter, Execution
from tests.management.conftest import ask, work

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def running(line: str) -> list[str]:
    """Three executions that run."""
    ids = start_many(line, [{}, {}, {}], now=datetime.now(UTC))
    return [str(one) for one in ids]


def test_ids_choose_and_a_reason_is_kept(running: list[str]) -> None:
    answer = ask("spane_control", "cancel", running[0], "--reason", "wrong address")

    assert answer.code == 0
    assert _statuses() == {"cancelled": 1, "running": 2}
    assert Execution.objects.get(pk=running[0]).reason == "wrong address"


def test_a_filter_chooses_only_what_the_verb_can_change(
    running: list[str], completed: Execution
) -> None:
    # `completed` has worked off everything that was ready.
    start("line", now=datetime.now(UTC))

    answer = ask("spane_control", "pause", "--workflow", "line", "--yes", "--json")

    assert answer.code == 0
    assert (answer.json["chosen"], answer.json["refused"]) == (1, [])
    assert _statuses() == {"completed": 4, "paused": 1}


def test_a_dry_run_counts_and_changes_nothing(running: list[str]) -> None:
    answer = ask("spane_control", "cancel", "--all", "--dry-run")

    assert answer.code == 0
    assert "would cancel 3 executions" in answer.out
    assert _statuses() == {"running": 3}


def test_many_are_not_changed_unless_somebody_says_yes(running: list[str]) -> None:
    answer = ask("spane_control", "cancel", "--status", "running")

    assert answer.code == 2
    assert "add --yes" in answer.err
    assert _statuses() == {"running": 3}


def test_nothing_chosen_or_too_much_is_the_wrong_use(running: list[str]) -> None:
    codes = [
        ask("spane_control", "cancel").code,
        ask("spane_control", "cancel", running[0], "--all").code,
        ask("spane_control", "cancel", running[0], "--status", "running").code,
        ask("spane_control", "cancel", "--all", "--status", "running").code,
        ask("spane_control", "explode", running[0]).code,
    ]

    assert codes == [2] * 5
    assert _statuses() == {"running": 3}


def test_what_is_refused_is_told_one_by_one(running: list[str], completed: Execution) -> None:
    late = start("line", now=datetime.now(UTC))

    answer = ask("spane_control", "cancel", completed.pk, late.pk, "--json")

    assert answer.code == 1
    assert answer.json["changed"] == [str(late.pk)]
    (refused,) = answer.json["refused"]
    assert refused["id"] == str(completed.pk)
    assert "completed" in refused["why"]


def test_a_verb_that_finds_nothing_gives_1(line: str) -> None:
    answer = ask("spane_control", "resume", "--all", "--yes")

    assert answer.code == 1
    assert "nothing to resume" in answer.out


def test_pause_and_resume(running: list[str]) -> None:
    ask("spane_control", "pause", "--all", "--yes")
    paused = _statuses()

    ask("spane_control", "resume", "--status", "paused", "--yes")

    assert paused == {"paused": 3}
    assert _statuses() == {"running": 3}


def test_a_replay_names_the_new_execution(completed: Execution) -> None:
    answer = ask("spane_control", "replay", completed.pk)

    replay = Execution.objects.get(replay_of=completed)
    assert f"{completed.pk} → {replay.pk}" in answer.out
    assert replay.input == completed.input


def test_retry_runs_again_what_failed(failed: Execution, completed: Execution) -> None:
    answer = ask("spane_control", "retry", "--workflow", "line", "--yes", "--json")

    assert (answer.json["chosen"], answer.json["changedCount"]) == (1, 1)
    assert _statuses() == {"completed": 1, "running": 1}
    assert not DeadLetter.objects.open().exists()


def test_dead_letters_are_listed_by_filter(failed: Execution) -> None:
    (row,) = ask("spane_dlq", "list", "--json").json
    chosen = ask("spane_dlq", "list", "--error", "SET IN AN OBJECT", "--node", "first", "--json")
    others = ask("spane_dlq", "list", "--node", "last", "--json")

    assert (row["nodeId"], row["executionId"]) == ("first", str(failed.pk))
    assert row["error"]["type"] == "Permanent"
    assert chosen.json == [row]
    assert others.json == []
    assert "first" in ask("spane_dlq", "list").out


def test_a_dead_letter_is_shown_with_input_and_traceback(failed: Execution) -> None:
    letter = DeadLetter.objects.get()

    answer = ask("spane_dlq", "show", letter.pk)

    for told in ("Permanent", "Traceback", str(failed.pk), f"spane_dlq retry {letter.pk}"):
        assert told in answer.out
    assert ask("spane_dlq", "show", letter.pk, "--json").json[0]["input"] == [1]


def test_a_retried_dead_letter_is_resolved_and_its_node_runs_again(failed: Execution) -> None:
    letter = DeadLetter.objects.get()

    answer = ask("spane_dlq", "retry", letter.pk)

    letter.refresh_from_db()
    failed.refresh_from_db()
    assert answer.code == 0
    assert letter.resolution == "retried"
    assert failed.status == "running"
    work()
    assert DeadLetter.objects.open().count() == 1


def test_discarding_by_filter_asks_counts_and_leaves_executions_failed(failed: Execution) -> None:
    refused = ask("spane_dlq", "discard", "--all")
    counted = ask("spane_dlq", "discard", "--execution", failed.pk, "--dry-run", "--json")
    done = ask("spane_dlq", "discard", "--workflow", "line", "--yes")

    assert refused.code == 2
    assert counted.json["chosen"] == 1
    assert done.code == 0
    assert DeadLetter.objects.get().resolution == "discarded"
    assert _statuses() == {"failed": 1}


def test_a_dead_letter_is_resolved_once(failed: Execution) -> None:
    letter = DeadLetter.objects.get()
    ask("spane_dlq", "discard", letter.pk)

    answer = ask("spane_dlq", "retry", letter.pk, 4711)

    assert answer.code == 1
    assert "was discarded already" in answer.out
    assert "there is no dead letter 4711" in answer.out


def test_resolved_dead_letters_are_listed_only_with_all(failed: Execution) -> None:
    ask("spane_dlq", "discard", DeadLetter.objects.get().pk)

    assert ask("spane_dlq", "list", "--json").json == []
    assert ask("spane_dlq", "list", "--all", "--json").json[0]["resolution"] == "discarded"


def _statuses() -> dict[str, int]:
    found = list(Execution.objects.values_list("status", flat=True))
    return {status: found.count(status) for status in sorted(set(found))}
