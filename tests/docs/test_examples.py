"""The examples of the documentation: each can be published as it stands.

A section's JSON and its Python say the same, and the tests that the testing kit's page shows
pass.  Links and pictures lead somewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spane_django import Workflow
from spane_django.engine.publish import validate
from spane_django.models import WorkflowVersion
from spane_django.nodes.base import registry
from spane_django.testing import InlineEngine

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")

Example = tuple[dict[str, Any], list[str]]


def examples() -> Iterator[Any]:
    """Yield each definition of a page with the Python of its section."""
    for page in PAGES:
        for section in re.split(r"^##+ ", page.read_text(), flags=re.MULTILINE):
            blocks = BLOCK.findall(section)
            code = [text for kind, text in blocks if kind == "python" and "Workflow(" in text]
            for kind, text in blocks:
                if kind == "json" and '"nodes"' in text:
                    raw = json.loads(text)
                    yield pytest.param((raw, code), id=f"{page.stem}-{raw['id']}")


def shown_tests() -> Iterator[str]:
    """Yield the code of the testing kit's page that holds tests of the fixture ``spane``."""
    for kind, text in BLOCK.findall((DOCS / "testing.md").read_text()):
        if kind == "python" and "(spane):" in text:
            yield text


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


def completed(raw: dict[str, Any]) -> dict[str, Any]:
    """Return a definition with what may be left out of it."""
    nodes = [{"config": {}, "inputs": [], "outputs": [], **node} for node in raw["nodes"]]
    return {**raw, "nodes": nodes}


def said_in_python(blocks: list[str]) -> dict[str, dict[str, Any]]:
    """Return the definitions that Python code makes or publishes, by id."""
    said: dict[str, dict[str, Any]] = {}
    for block in blocks:
        names: dict[str, Any] = {}
        exec(block, names)
        made = [name for name in names.values() if isinstance(name, Workflow)]
        said |= {workflow.id: workflow.definition() for workflow in made}
    published = WorkflowVersion.objects.whole().values_list("workflow__key", "definition")
    return {**said, **dict(published)}


@pytest.fixture
def _own_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget afterwards what node types the code of an example has registered."""
    monkeypatch.setattr(registry, "_types", dict(registry._types))


@pytest.mark.django_db
@pytest.mark.usefixtures("_own_types", "wakes")
@pytest.mark.parametrize("example", list(examples()))
def test_an_example_can_be_published_and_python_says_what_its_json_says(example: Example) -> None:
    raw, code = example

    said = said_in_python(code)
    _, faults = validate(raw)

    assert list(map(str, faults)) == []
    assert not code or completed(said[raw["id"]]) == completed(raw)


@pytest.mark.django_db
@pytest.mark.parametrize("code", list(shown_tests()))
def test_a_test_of_the_kits_page_passes(code: str) -> None:
    names: dict[str, Any] = {}

    exec(code, names)
    tests = [value for name, value in names.items() if name.startswith("test_")]

    assert tests
    for test in tests:
        with InlineEngine() as spane:
            test(spane)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text()):
        found = page.parent / target if target else page

        assert found.exists(), target
        assert not anchor or anchor in anchors(found), f"{target}#{anchor}"
