"""Validating and publishing definitions: all faults at once, all or nothing."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from spane_django.authoring import Workflow, registered
from spane_django.models import WorkflowVersion
from tests.management.conftest import ask
from tests.management.project import LINE

pytestmark = pytest.mark.django_db

BROKEN = {
    "id": "broken",
    "name": "Broken",
    "entryNodeId": "nowhere",
    "nodes": [{"id": "a", "type": "no-such-type", "config": {}, "outputs": ["b"]}],
}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with one good definition and one that has faults."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "line.json").write_text(json.dumps(LINE))
    (tmp_path / "deep" / "broken.json").write_text(json.dumps(BROKEN))
    (tmp_path / "notes.txt").write_text("no definition")
    return tmp_path


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The module of an installed app in which workflows are looked for."""

    class Module:
        __name__ = "shop.workflows"

    module = Module()
    monkeypatch.setattr(registered, "_modules", lambda: iter([module]))
    return module.__dict__


def test_every_fault_of_every_file_is_listed_with_its_path(files: Path) -> None:
    answer = ask("spane_validate", files, "--json")

    by_name = {Path(item["source"]).name: item["faults"] for item in answer.json}
    assert answer.code == 1
    assert by_name["line.json"] == []
    paths = {fault["path"] for fault in by_name["broken.json"]}
    assert {"entryNodeId", "nodes[0].outputs[0]", "nodes[0].type"} <= paths


def test_people_get_the_same_in_lines(files: Path) -> None:
    answer = ask("spane_validate", files)

    assert answer.code == 1
    assert f"ok {files / 'line.json'}" in answer.out
    assert "entryNodeId: Entry node 'nowhere' not found" in answer.out
    assert "2 checked, 1 with faults" in answer.out


def test_good_definitions_give_0(files: Path) -> None:
    assert ask("spane_validate", files / "line.json").code == 0


def test_node_types_that_only_workers_know_may_be_let_pass(tmp_path: Path) -> None:
    unknown = {**LINE, "nodes": [{"id": "first", "type": "gpu-only"}]}
    (tmp_path / "gpu.json").write_text(json.dumps(unknown))

    assert ask("spane_validate", tmp_path).code == 1
    assert ask("spane_validate", tmp_path, "--any-type").code == 0
    assert ask("spane_publish", tmp_path, "--any-type").code == 0


@pytest.mark.parametrize(
    ("content", "code"),
    [("{", "not_json"), ("[" * 100_000, "not_json"), (b"\xff\xfe", "unreadable")],
    ids=["cut short", "nested", "no text"],
)
def test_a_file_that_cannot_be_read_is_a_fault(
    tmp_path: Path, content: str | bytes, code: str
) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())

    answer = ask("spane_validate", file, tmp_path / "missing.json", "--json")

    assert answer.code == 1
    assert [item["faults"][0]["code"] for item in answer.json] == [code, "unreadable"]


def test_standard_input_may_hold_one_definition_or_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps([LINE, BROKEN])))

    answer = ask("spane_validate", "-", "--json")

    assert [item["workflowId"] for item in answer.json] == ["line", "broken"]


def test_two_definitions_of_the_same_id_are_a_fault(files: Path) -> None:
    (files / "other.json").write_text(json.dumps({**LINE, "name": "Other"}))

    answer = ask("spane_validate", files / "line.json", files / "other.json", "--json")

    assert [len(item["faults"]) for item in answer.json] == [0, 1]
    assert "line.json" in answer.json[1]["faults"][0]["message"]


def test_the_python_workflows_of_the_project_are_validated_and_published(
    own: dict[str, Any],
) -> None:
    own["first"] = Workflow.from_definition(LINE)
    own["second"] = Workflow.from_definition({**LINE, "id": "second"})

    checked = ask("spane_validate", "--json")
    published = ask("spane_publish", "--all", "--json")

    assert [item["source"] for item in checked.json] == ["python:line", "python:second"]
    assert [(item["workflowId"], item["version"]) for item in published.json] == [
        ("line", 1),
        ("second", 1),
    ]


def test_publishing_again_changes_nothing_and_changes_give_the_next_version(files: Path) -> None:
    file = files / "line.json"
    ask("spane_publish", file)
    again = ask("spane_publish", file, "--json").json
    file.write_text(json.dumps({**LINE, "name": "Another"}))
    changed = ask("spane_publish", file, "--json").json

    assert [(item["version"], item["isNew"]) for item in again + changed] == [(1, False), (2, True)]


def test_one_fault_and_nothing_is_published(files: Path) -> None:
    answer = ask("spane_publish", files)

    assert answer.code == 1
    assert "Nothing was published" in answer.err
    assert "entryNodeId" in answer.out
    assert not WorkflowVersion.objects.exists()


def test_a_dry_run_publishes_nothing(files: Path) -> None:
    answer = ask("spane_publish", files / "line.json", "--dry-run")

    assert answer.code == 0
    assert "line v1 would be published" in answer.out
    assert not WorkflowVersion.objects.exists()


def test_publishing_needs_to_know_what(files: Path) -> None:
    assert ask("spane_publish").code == 2
    assert ask("spane_publish", files, "--all").code == 2
