"""Versions, moves, exports and imports from the command line."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from spane_django.engine.drafts import find_draft, save_draft
from spane_django.engine.publish import publish
from spane_django.engine.start import start
from spane_django.models import AuditEntry, Execution, Workflow, WorkflowVersion
from tests.management.conftest import ask, work
from tests.management.project import LINE

pytestmark = pytest.mark.django_db

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LONGER: dict[str, Any] = {
    **LINE,
    "priority": 7,
    "nodes": [
        {"id": "first", "type": "set", "config": {"values": {"n": 2}}, "outputs": ["middle"]},
        {
            "id": "middle", "type": "set", "config": {"values": {}}, "inputs": ["first"],
            "outputs": ["last"],
        },
        {"id": "last", "type": "set", "config": {"values": {"m": 2}}, "inputs": ["middle"]},
    ],
}  # fmt: skip


@pytest.fixture
def two(line: str) -> str:
    """A workflow of two versions."""
    publish(LONGER, now=NOW)
    return line


@pytest.fixture
def old(line: str) -> Execution:
    """An execution of the first of two versions that has not begun."""
    execution = start(line, {}, now=datetime.now(UTC))
    publish(LONGER, now=NOW)
    return execution


def current() -> int | None:
    version = Workflow.objects.get(key="line").current_version
    return version and version.number


def test_versions_are_listed_with_what_they_are(two: str) -> None:
    save_draft(LINE, now=NOW)

    listed = ask("spane_versions", "list", two, "--json").json
    told = ask("spane_versions", "list", two).out

    assert [(one["version"], one["status"], one["isCurrent"]) for one in listed] == [
        (3, "draft", False),
        (2, "published", True),
        (1, "published", False),
    ]
    assert "v2" in told
    assert "current" in told


def test_two_versions_are_compared(two: str) -> None:
    told = ask("spane_versions", "diff", two, 1, 2)
    data = ask("spane_versions", "diff", two, 1, 2, "--json")
    same = ask("spane_versions", "diff", two, 1, 1)

    assert (told.code, data.code, same.code) == (1, 1, 0)
    assert told.out.splitlines() == [
        "+ /priority: 7",
        "+ node middle (set)",
        "~ node first",
        "    ~ /config/values/n: 1 → 2",
        "- edge first → last",
        "+ edge first → middle",
        "+ edge middle → last",
    ]
    assert data.json["edges"]["removed"] == [{"from": "first", "to": "last"}]
    assert "do not differ" in same.out


def test_differences_are_coloured_for_people(two: str) -> None:
    told = ask("spane_versions", "diff", two, 1, 2, "--force-color").out

    assert "\x1b[32m+ node middle" in told
    assert "\x1b[31m- edge first" in told


def test_going_back_and_archiving(two: str) -> None:
    back = ask("spane_versions", "activate", two, 1, "--reason", "too long")
    archived = ask("spane_versions", "archive", two, 2, "--json")
    refused = ask("spane_versions", "activate", two, 2)

    assert (back.out, current()) == ("line v1 is current\n", 1)
    assert archived.json == {"workflowId": "line", "version": 2, "status": "archived"}
    assert (refused.code, "is archived" in refused.err) == (1, True)
    assert AuditEntry.objects.get(verb="activate").reason == "too long"


def test_a_whole_workflow_is_archived_only_after_a_yes(two: str) -> None:
    assert ask("spane_versions", "archive", two).code == 2
    assert current() == 2
    assert ask("spane_versions", "archive", two, "--yes").out == "line archived\n"
    assert current() is None


def test_a_draft_is_published_or_discarded(line: str) -> None:
    save_draft({**LONGER, "entryNodeId": "ghost"}, now=NOW)
    faulty = ask("spane_versions", "publish", line)
    discarded = ask("spane_versions", "discard", line)
    save_draft(LONGER, now=NOW)
    published = ask("spane_versions", "publish", line)

    assert (faulty.code, "ghost" in faulty.err) == (1, True)
    assert discarded.out == "line v2 discarded\n"
    assert (published.out, current()) == ("line v2 published\n", 2)


def test_a_dry_run_previews_the_moves(old: Execution) -> None:
    told = ask("spane_versions", "migrate", "line", 2, "--dry-run")
    data = ask("spane_versions", "migrate", "line", 2, "--dry-run", "--json")

    assert told.code == 0
    assert "1 of 1 executions can be moved to v2" in told.out
    assert [(move["possible"], move["starts"]) for move in data.json] == [(True, ["first"])]
    old.refresh_from_db()
    assert old.version.number == 1


def test_executions_are_moved_and_run_by_the_new_version(old: Execution) -> None:
    moved = ask("spane_versions", "migrate", "line", 2, "--yes", "--reason", "longer", "--json")
    work()

    assert (moved.code, moved.json["changed"]) == (0, [str(old.pk)])
    old.refresh_from_db()
    assert (old.status, old.version.number) == ("completed", 2)
    assert old.node_runs.count() == 3
    assert AuditEntry.objects.get(verb="migrate").reason == "longer"


def test_what_cannot_be_moved_is_told_with_its_reasons(failed: Execution) -> None:
    publish({**LINE, "name": "Two"}, now=NOW)
    fewer = {**LINE, "nodes": [{**LINE["nodes"][0], "id": "other", "outputs": []}]}  # type: ignore[dict-item, index]
    publish({**fewer, "entryNodeId": "other"}, now=NOW)

    refused = ask("spane_versions", "migrate", "line", 3, "--execution", failed.pk)
    previewed = ask("spane_versions", "migrate", "line", 3, "--execution", failed.pk, "--dry-run")
    renamed = ask(
        "spane_versions", "migrate", "line", 3, "--execution", failed.pk, "--rename", "first=other"
    )  # fmt: skip

    assert (refused.code, "has no node 'first'" in refused.out) == (1, True)
    assert (previewed.code, "0 of 1" in previewed.out) == (1, True)
    assert (renamed.code, renamed.out) == (0, "migrate: 1 of 1 execution\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "line", 1),
        ("diff", "line", 1),
        ("activate", "line"),
        ("archive", "line", 1, 2),
        ("migrate", "line"),
        ("migrate", "line", 1, "--rename", "nonsense"),
        ("migrate", "line", 1, "--execution", "0199c0de7a11", "--from", 2),
        ("list", "line", "--rename", "a=b"),
        ("migrate", "line", "one"),
    ],
)
def test_wrong_use_is_told_apart_from_refusals(line: str, arguments: tuple[object, ...]) -> None:
    assert ask("spane_versions", *arguments).code == 2


@pytest.mark.parametrize(
    "arguments", [("list", "nobody"), ("diff", "line", 1, 9), ("migrate", "line", 9)]
)
def test_what_does_not_exist_is_told(line: str, arguments: tuple[object, ...]) -> None:
    answer = ask("spane_versions", *arguments)

    assert (answer.code, bool(answer.err)) == (1, True)


def test_an_execution_of_another_workflow_is_not_moved(failed: Execution) -> None:
    publish({**LINE, "id": "other"}, now=NOW)

    answer = ask("spane_versions", "migrate", "other", 1, "--execution", failed.pk)

    assert (answer.code, "another workflow" in answer.err) == (2, True)


def test_an_export_is_imported_elsewhere_to_the_letter(two: str, tmp_path: Path) -> None:
    publish({**LINE, "id": "other"}, now=NOW)
    file = tmp_path / "all.json"
    ask("spane_export", "--all", "--output", file)
    Workflow.objects.all().delete()

    imported = ask("spane_import", file, "--json")

    assert [(one["workflowId"], one["version"], one["status"]) for one in imported.json] == [
        ("line", 1, "published"),
        ("other", 1, "published"),
    ]
    assert ask("spane_export", "line").json == [LONGER]


def test_an_export_may_be_a_file_for_each_workflow(two: str, tmp_path: Path) -> None:
    publish({**LINE, "id": "other"}, now=NOW)

    ask("spane_export", "--all", "--directory", tmp_path / "deep" / "down")

    files = {file.name: json.loads(file.read_text()) for file in tmp_path.rglob("*.json")}
    assert files == {"line.json": LONGER, "other.json": {**LINE, "id": "other"}}


def test_drafts_are_exported_apart_and_imported_with_their_faults(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty = {**LONGER, "entryNodeId": "ghost"}
    save_draft(faulty, now=NOW)
    exported = ask("spane_export", "--all", "--draft")
    WorkflowVersion.objects.filter(status="draft").delete()

    monkeypatch.setattr("sys.stdin", io.StringIO(exported.out))
    imported = ask("spane_import", "-", "--draft")

    assert exported.json == [faulty]
    assert imported.out == "line v2 draft, 1 faults\n"
    assert find_draft("line").definition == faulty
    assert current() == 1


def test_one_fault_and_nothing_is_imported(db: None, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([LINE, {**LINE, "id": "b", "entryNodeId": "x"}]))

    answer = ask("spane_import", tmp_path / "a.json")
    one = ask("spane_import", tmp_path / "a.json", "--only", "line", "--dry-run")
    unnamed = ask("spane_import", tmp_path / "a.json", "--only", "nobody")

    assert (answer.code, "Nothing was imported" in answer.err) == (1, True)
    assert (one.code, one.out) == (0, "line v1 would be published\n")
    assert unnamed.code == 1
    assert not Workflow.objects.exists()


def test_a_draft_without_an_id_is_not_imported(db: None, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([LINE, {"name": "no id"}]))

    assert ask("spane_import", tmp_path / "a.json", "--draft").code == 1
    assert not Workflow.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 2),
        (("line", "--all"), 2),
        (("--all", "--output", "x", "--directory", "y"), 2),
        (("nobody",), 1),
        (("line", "--draft"), 1),
        (("line", "--output", "/nowhere/at/all.json"), 1),
    ],
)
def test_an_export_of_nothing_is_refused(line: str, arguments: tuple[str, ...], code: int) -> None:
    assert ask("spane_export", *arguments).code == code
