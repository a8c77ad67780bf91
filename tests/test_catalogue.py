"""Everything that people read can be translated, and is in every catalogue."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import polib
import pytest
from django.test import Client

from spane_django.models import Execution
from tests.admin.pages import list_of
from tests.catalogue import PACKAGE, catalogues, refreshed, said

CATALOGUES = [pytest.param(path, id=path.parts[-3]) for path in catalogues()]
PLACEHOLDER = re.compile(r"%\(\w+\)\w|%[\d.]*\w(?!\w)|\{\w*\}|\{\{.*?\}\}")
# What these are given is shown to people, wherever in the admin and the models it stands.
SHOWN = {
    "description", "done", "empty_hint", "help_text", "label", "search_help_text",
    "title", "verbose_name", "verbose_name_plural", "warning",
}  # fmt: skip
SHOWN_ATTRIBUTES = {"alt", "aria-label", "placeholder", "title"}
# Names of things, and of units, are the same in every language.
NAMES = {"p95", "ms", "s", "v", "#", "DAG", "JSON", "JMESPath", "SHA-256", "curl"}
TAG = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", re.DOTALL)
SAID = re.compile(r"\{%-?\s*blocktrans.*?endblocktrans(late)?\s*%\}", re.DOTALL)


@pytest.mark.parametrize("path", CATALOGUES)
def test_a_catalogue_has_what_is_said_and_nothing_else(path: Path) -> None:
    catalogue = polib.pofile(str(path))

    has = {(entry.msgid, entry.msgid_plural, entry.msgctxt or "") for entry in catalogue}

    assert has ^ {saying.key for saying in said()} == set(), "run python -m tests.catalogue"


@pytest.mark.parametrize("path", CATALOGUES)
def test_everything_is_translated_with_its_placeholders(path: Path) -> None:
    catalogue = polib.pofile(str(path))
    faults = []

    for entry in catalogue:
        pairs = [(entry.msgid, entry.msgstr or entry.msgstr_plural.get(0, ""))]
        pairs += [(entry.msgid_plural, entry.msgstr_plural[n]) for n in entry.msgstr_plural if n]
        faults += [pair for pair in pairs if len({tuple(_placeholders(one)) for one in pair}) > 1]

    assert catalogue.untranslated_entries() == []
    assert faults == []


@pytest.mark.parametrize("path", CATALOGUES)
def test_what_is_compiled_is_what_is_written(path: Path) -> None:
    written = refreshed(path).to_binary()

    assert path.with_suffix(".mo").read_bytes() == written, "run python -m tests.catalogue"


def test_no_template_says_anything_by_itself() -> None:
    faults = {
        str(path.relative_to(PACKAGE)): texts
        for path in PACKAGE.rglob("templates/**/*.html")
        if (texts := Literals(path.read_text()).found)
    }

    assert faults == {}


def test_no_text_that_the_admin_shows_is_a_bare_literal() -> None:
    faults = [
        f"{path.relative_to(PACKAGE)}:{line}: {text}"
        for folder in ("admin", "models")
        for path in (PACKAGE / folder).rglob("*.py")
        for line, text in _bare(ast.parse(path.read_text()))
    ]

    assert faults == []


def test_scripts_take_their_words_from_the_page() -> None:
    assigned = re.compile(r"\.(?:textContent|title|ariaLabel|innerText)\s*=\s*[\"'`]([^\"'`]+)")
    faults = {
        path.name: words
        for path in (PACKAGE / "static").rglob("*.js")
        if "vendor" not in path.parts
        and (words := [word for word in assigned.findall(_constant(path)) if _is_said(word)])
    }

    assert faults == {}


@pytest.mark.django_db
def test_the_admin_speaks_german(admin_client: Client, settings: object) -> None:
    page = admin_client.get(list_of(Execution), headers={"accept-language": "de"})
    assert "Noch wurde nichts gestartet" not in page.text

    settings.LANGUAGE_CODE = "de"  # type: ignore[attr-defined]
    page = admin_client.get(list_of(Execution))

    assert "Noch wurde nichts gestartet" in page.text


class Literals(HTMLParser):
    """Collects what a template says that goes through no tag of Django's."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._within: list[str] = []
        self.feed(TAG.sub("", SAID.sub("", source)))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within.append(tag)
        for name, value in attrs:
            if name in SHOWN_ATTRIBUTES and value and _is_said(value):
                self.found.append(value)

    def handle_endtag(self, tag: str) -> None:
        while self._within and self._within.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"code", "pre", "script", "style"} & set(self._within) and _is_said(data):
            self.found.append(data.strip())


def _placeholders(text: str) -> list[str]:
    return sorted(PLACEHOLDER.findall(text))


def _is_said(text: str) -> bool:
    return any(word not in NAMES for word in re.findall(r"[A-Za-z][\w%-]*", text))


def _constant(script: Path) -> str:
    return re.sub(r"\$\{[^}]*\}", "", script.read_text())


def _bare(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in SHOWN:
            value = node.value
        elif isinstance(node, ast.Assign | ast.AnnAssign) and _target(node) in SHOWN:
            value = node.value or ast.Constant(None)
        else:
            continue
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            if _is_said(value.value):
                yield value.lineno, value.value
        elif isinstance(value, ast.JoinedStr):
            parts = [part.value for part in value.values if isinstance(part, ast.Constant)]
            if _is_said(" ".join(map(str, parts))):
                yield value.lineno, ast.unparse(value)


def _target(node: ast.Assign | ast.AnnAssign) -> str:
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    return target.id if isinstance(target, ast.Name) else ""
