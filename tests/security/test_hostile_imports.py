"""Imported YAML that grows, builds objects or never ends: refused, and nothing is published."""

from __future__ import annotations

from time import perf_counter

import pytest

from spane_django.models import Workflow
from tests.api.conftest import MakeApi
from tests.management.conftest import ask

SECONDS = 6.0
LAUGHS = "a0: &a0 [lol]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30)
)
BOMBS = {
    "laughs": LAUGHS,
    "a loop": "&a [*a]",
    "merged": "a: &a {b: 1}\nc: {<<: *a}",
    "an object": "!!python/object/apply:os.system ['touch /tmp/owned']",
    "a name": "!!python/name:os.system",
    "a new object": "!!python/object/new:subprocess.Popen [[id]]",
    "a set": "!!set {a, b}",
    "binary": "!!binary aGVsbG8=",
    "deep lists": "[" * 50_000,
    "deep maps": "{a: " * 50_000,
    "indented": "\n".join(" " * i + "a:" for i in range(2_000)),
    "a long number": "n: " + "9" * 500_000,
    "base sixty": "n: " + ":".join(["59"] * 50_000),
    "many documents": "--- 1\n" * 50_000,
    "many keys": "? " * 50_000,
    "infinite": "n: .inf",
    "quotes": "'" * 200_001,
    "comments": "#" * 500_000 + "\n" * 500_000,
    "folded": "a: >\n" + "  x\n\n" * 200_000,
}


@pytest.mark.django_db
@pytest.mark.parametrize("bomb", BOMBS)
def test_no_yaml_brings_the_api_down_or_builds_anything(api_of: MakeApi, bomb: str) -> None:
    api, began = api_of("publish_workflow"), perf_counter()

    answer = api.post(
        "/api/workflows/import", BOMBS[bomb].encode(), content_type="application/yaml"
    )

    assert 400 <= answer.status_code < 500
    assert len(answer.content) < 500_000
    assert perf_counter() - began < SECONDS
    assert not Workflow.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("bomb", ["laughs", "an object", "a loop", "deep lists"])
def test_no_file_brings_the_command_down(tmp_path, bomb: str) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "bomb.yaml"
    file.write_text(BOMBS[bomb])

    answer = ask("spane_import", file)

    assert answer.code == 1
    assert not Workflow.objects.exists()
