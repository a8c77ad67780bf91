"""The guide to the API has a command for every route, and each of them does what it shows.

The commands are run as they stand, one after the other, against an API whose worker runs what is
ready after each.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import resolve
from pytest_django import Settings

from spane_django.api.document import document
from spane_django.engine.run import utc_now
from spane_django.engine.tokens import issue
from spane_django.models import Gate
from tests.api.conftest import work_off

GUIDE = Path(__file__).parents[2] / "docs" / "api.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ASSIGNED = re.compile(r"^(\w+)=\$\((.*?) \| jq -r (\S+)\)$", re.DOTALL)
FINE = {200, 201, 202, 204}
# Here are neither Redis nor workers.
UNWELL = {"curl -sS $URL/health": 503}


def commands() -> Iterator[str]:
    """Yield the commands of the guide but for those that set it up."""
    for block in BLOCK.findall(GUIDE.read_text())[1:]:
        gathered = ""
        for line in block.splitlines():
            gathered += f"{line}\n"
            if not line.endswith("\\") and gathered.count("'") % 2 == 0:
                yield gathered.replace("\\\n", " ").strip()
                gathered = ""


@dataclass
class Shell:
    """Understands as much of a shell and of curl as the guide needs."""

    token: str
    names: dict[str, str] = field(default_factory=lambda: {"URL": ""})
    asked: set[tuple[str, str]] = field(default_factory=set)

    def run(self, command: str) -> Any:
        """Run a command and return the answer."""
        if found := ASSIGNED.match(command):
            name, command, path = found.groups()
            answer = self.run(command)
            self.names[name] = str(pick(answer.json(), path))
            return answer
        return self._ask(shlex.split(self._expanded(command)))

    def _expanded(self, command: str) -> str:
        return re.sub(r"\$(\w+)", lambda found: self.names.get(found[1], found[0]), command)

    def _ask(self, words: list[str]) -> Any:
        program, *rest = words
        method, body, target, headers = "GET", None, "", {}
        while rest:
            match rest.pop(0):
                case "-X":
                    method = rest.pop(0)
                case "-d":
                    body, method = rest.pop(0), "POST" if method == "GET" else method
                case "-H":
                    name, _, value = rest.pop(0).partition(": ")
                    headers[name] = value
                case "-sS" | "-sSN":
                    pass
                case word:
                    target = word
        headers["Authorization"] = f"Bearer {self.token}"
        if program == "curl" and "Authorization" not in " ".join(words):
            del headers["Authorization"]
        self.asked.add((method, resolve(target.partition("?")[0]).route))
        return Client().generic(
            method, target, body or "", content_type="application/json", headers=headers
        )


def pick(value: Any, path: str) -> Any:
    """Return what ``jq -r path`` would print."""
    for key, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        value = value[key] if key else value[int(index)]
    return value


@pytest.fixture
def shell(db: None, wakes: list[str], settings: Settings) -> Shell:
    """A shell whose user may do everything."""
    settings.SPANE = {**settings.SPANE, "HTTP_ALLOWED_HOSTS": []}
    ada = User.objects.create_superuser("ada")
    Gate.objects.create(key="type:http")
    return Shell(issue(ada, "shell", now=utc_now())[0])


def test_the_guide_has_a_command_for_every_route_and_each_does_what_it_shows(
    shell: Shell,
) -> None:
    for command in commands():
        answer = shell.run(command)

        content = b"" if answer.streaming else answer.content[:500]
        fine = {UNWELL[command]} if command in UNWELL else FINE
        assert answer.status_code in fine, f"{command}\n{answer.status_code} {content!r}"
        work_off()

    told = {
        (method.upper(), re.sub(r"\{\w+\}", "*", path))
        for path, methods in document()["paths"].items()
        for method in methods
    }
    asked = {(method, "/" + re.sub(r"<[^>]+>", "*", route)) for method, route in shell.asked}
    assert told - asked == set()
    assert json.dumps(sorted(asked - told)) == "[]"
