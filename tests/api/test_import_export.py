"""Workflows leave as JSON or YAML and arrive as they left: all of them, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from spane_django.authoring.yaml import Unreadable, read_all, write
from spane_django.models import AuditEntry, Workflow, WorkflowVersion
from tests.management.conftest import ask

from .conftest import Api, MakeApi, assert_refused, definition

pytestmark = pytest.mark.usefixtures("wakes")

YAML = "application/yaml"

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS | st.sampled_from(["no", "1e3", "0o7", "2025-01-31", "~", "<<", "=", "1_000", ".inf"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def post_yaml(api: Api, text: str | bytes, query: str = "") -> Any:
    body = text if isinstance(text, bytes) else text.encode()
    return api.post(f"/api/workflows/import{query}", body, content_type=YAML)


@given(VALUES)
def test_what_is_written_as_yaml_is_read_back_as_the_same_value(value: Any) -> None:
    assert read_all(write(value)) == [value]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x [1]\nb: [*x, *x]", "anchors and aliases are refused (line 1"),
        ("a: *x", "anchors and aliases are refused (line 1"),
        ("!!python/object/apply:os.system ['true']", "tags are refused (line 1"),
        ("a: !!binary aGk=", "tags are refused"),
        ("a: 1\nb: 2\na: 3", "the key 'a' stands twice (line 3"),
        ("1: a", "a key must be a text (line 1"),
        ("[1, 2]: a", "a key must be a text"),
        ("a: .nan", "no NaN"),
        ("a: 1e999", "too large"),
        ("a: [", "not YAML"),
        ("a: b: c", "not YAML"),
        ("[" * 200, "nests deeper than 100 levels"),
        ("a: \x07", "not YAML"),
    ],
)
def test_more_than_json_can_say_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read_all(text)

    assert said in str(refused.value)


def test_words_of_yaml_1_1_are_words() -> None:
    text = "country: no\nday: 2025-01-31\ntime: 12:30:00\nid: 0123\nmerge: <<\n"

    (value,) = read_all(text)

    assert value == {
        "country": "no", "day": "2025-01-31", "time": "12:30:00", "id": 123, "merge": "<<",
    }  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("form", ["json", "yaml"])
def test_what_was_exported_can_be_imported_and_changes_nothing(api: Api, form: str) -> None:
    raw = definition("a", "b", a={"text": "no", "lines": "one\ntwo\n"})
    api.post("/api/workflows", raw)

    exported = api.get(f"/api/workflows/flow/export?format={form}")
    kind = YAML if form == "yaml" else "application/json"
    imported = api.post("/api/workflows/import", exported.content, content_type=kind)

    assert exported["Content-Type"] == kind
    assert exported["Content-Disposition"] == f'attachment; filename="flow.{form}"'
    assert pyyaml.safe_load(exported.content) == raw
    assert imported.json() == {
        "dryRun": False, "results": [{"workflowId": "flow", "version": 1}],
    }  # fmt: skip


@pytest.mark.django_db
def test_many_arrive_at_once_and_who_sent_them_is_on_record(api: Api) -> None:
    answer = api.post("/api/workflows/import", [definition("a", key=key) for key in ("x", "y")])

    assert [result["workflowId"] for result in answer.json()["results"]] == ["x", "y"]
    published = AuditEntry.objects.filter(verb="publish")
    assert list(published.values_list("username", flat=True)) == ["user-0", "user-0"]
    assert Workflow.objects.count() == 2


@pytest.mark.django_db
def test_if_one_cannot_be_taken_none_is_and_every_fault_has_its_path(api: Api) -> None:
    good, broken = definition("a", key="x"), definition("a", key="y")
    broken["nodes"][0]["type"] = "no-such-type"
    nameless: dict[str, Any] = {"nodes": []}

    answer = api.post("/api/workflows/import", [good, broken, nameless, good])

    assert answer.status_code == 422
    paths = {detail["path"] for detail in answer.json()["error"]["details"]}
    assert {"[1].nodes[0].type", "[2].nodes", "[3].id"} <= paths
    assert not Workflow.objects.exists()


@pytest.mark.django_db
def test_workflows_that_would_start_each_other_for_ever_do_not_arrive(api: Api) -> None:
    def calling(key: str, other: str) -> dict[str, Any]:
        raw = definition("a", key=key)
        raw["nodes"][0] |= {"type": "sub-workflow", "config": {"workflowId": other}}
        return raw

    answer = api.post("/api/workflows/import", [calling("x", "y"), calling("y", "x")])

    assert answer.status_code == 422, answer.content
    assert answer.json()["error"]["details"][0]["path"].startswith("[1]")
    assert not Workflow.objects.exists()


@pytest.mark.django_db
def test_a_dry_run_says_what_would_be_and_changes_nothing(api: Api) -> None:
    api.post("/api/workflows", definition("a", key="x"))

    answer = api.post("/api/workflows/import?dryRun=true", [definition("b", key="x")])

    assert answer.json() == {"dryRun": True, "results": [{"workflowId": "x", "version": 2}]}
    assert WorkflowVersion.objects.count() == 1
    assert AuditEntry.objects.filter(verb="publish").count() == 1


@pytest.mark.django_db
def test_drafts_may_have_faults_but_need_a_name(api: Api) -> None:
    broken = {"id": "x", "name": "X", "nodes": []}

    saved = api.post("/api/workflows/import?draft=true", [broken])
    refused = api.post("/api/workflows/import?draft=true", [{"nodes": []}])
    exported = api.get("/api/workflows/x/export?draft=true")

    assert saved.status_code == 200
    assert refused.status_code == 422
    assert exported.json() == broken
    assert api.get("/api/workflows/x/export").status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text",
    [
        b"a: &x [1, 2]\nb: [*x, *x]",
        b"\xff\xfe",
        b'id: "\\ud800"',
        b"id: 'a\\0b'",
        b"- " * 300,
        b"a: [",
        b"",
        b"just words",
        b"[]",
        b"--- {}\n--- {}",
        b"n: " + b"9" * 300,
    ],
)
def test_yaml_that_is_no_definition_is_refused_as_the_clients_fault(api: Api, text: bytes) -> None:
    assert_refused(post_yaml(api, text))
    assert not Workflow.objects.exists()


@pytest.mark.django_db
def test_an_alias_bomb_is_refused_at_once(api: Api) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]

    answer = post_yaml(api, "\n".join(lines))

    assert answer.status_code == 400
    assert "anchors and aliases are refused" in answer.json()["error"]["message"]


@pytest.mark.django_db
def test_a_yaml_body_has_a_limit(api: Api, settings: Settings) -> None:
    settings.SPANE = {**settings.SPANE, "MAX_DEFINITION_BYTES": 1_000}

    assert post_yaml(api, "# " + "x" * 1_000).status_code == 413


@pytest.mark.django_db
def test_a_body_of_another_kind_is_refused(api: Api) -> None:
    answer = api.post("/api/workflows/import", b"<a/>", content_type="text/xml")

    assert answer.status_code == 415
    assert_refused(answer)


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["?dryRun=yes", "?draft=1", "?dryrun=true"])
def test_a_flag_that_is_none_is_refused(api: Api, query: str) -> None:
    assert_refused(api.post(f"/api/workflows/import{query}", [definition("a")]))
    assert not Workflow.objects.exists()


@pytest.mark.django_db
def test_too_many_at_once_are_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from spane_django.api import transfer

    monkeypatch.setattr(transfer, "MOST_AT_ONCE", 2)

    answer = api.post("/api/workflows/import", [definition("a", key=f"k{n}") for n in range(3)])

    assert answer.status_code == 422
    assert_refused(answer)


@pytest.mark.django_db
def test_who_may_only_look_exports_and_does_not_import(api: Api, api_of: MakeApi) -> None:
    api.post("/api/workflows", definition("a"))
    reader = api_of("view_workflow")

    assert reader.get("/api/workflows/flow/export").status_code == 200
    assert reader.post("/api/workflows/import", [definition("b")]).status_code == 403
    assert api_of("view_execution").get("/api/workflows/flow/export").status_code == 403
    assert reader.get("/api/workflows/none/export").status_code == 404
    assert reader.get("/api/workflows/flow/export?format=xml").status_code == 400


@pytest.mark.django_db
def test_the_command_line_reads_what_the_api_exports_and_the_other_way(
    api: Api, tmp_path: Path
) -> None:
    api.post("/api/workflows/import", [definition("a", key=key) for key in ("x", "y")])

    ask("spane_export", "--all", "--directory", tmp_path / "files", "--format", "yaml")
    ask("spane_export", "--all", "--output", tmp_path / "all.yaml")
    checked = ask("spane_validate", tmp_path / "files", "--json")
    text = (tmp_path / "all.yaml").read_text()

    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == ["x.yaml", "y.yaml"]
    assert [source["faults"] for source in checked.json] == [[], []]
    assert [r["version"] for r in post_yaml(api, text).json()["results"]] == [1, 1]
    assert ask("spane_import", tmp_path / "all.yaml", "--dry-run").code == 0


@pytest.mark.django_db
def test_a_yaml_file_with_faults_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text("id: x\nid: y\n")

    answer = ask("spane_import", tmp_path / "bad.yml", "--json")

    assert answer.code == 1
    assert "stands twice (line 2" in answer.json[0]["faults"][0]["message"]
