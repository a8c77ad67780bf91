"""The files of a deployment: what they name exists, and Django finds nothing to say about them."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service.get("image") == "spane"]


def commands() -> Iterator[Any]:
    """Yield each command line of ours, with where it stands."""
    for name in OURS:
        line = SERVICES[name]["command"]
        parts = [line] if line[0] != "sh" else [shlex.split(one) for one in line[2].split("&&")]
        for number, words in enumerate(parts):
            yield pytest.param(words, id=f"compose-{name}-{number}")
    for unit in UNITS:
        yield pytest.param(shlex.split(read(unit)["Service"]["ExecStart"]), id=unit.name)
    (line,) = re.findall(r"^CMD (.+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    yield pytest.param(json.loads(line), id="Dockerfile")


def read(unit: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit.read_text())
    return parser


@pytest.mark.parametrize("words", list(commands()))
def test_a_command_line_names_what_there_is(words: list[str]) -> None:
    program, *rest = [Path(words[0]).name, *words[1:]]

    if program == "python":
        assert (ROOT / rest[0]).exists()
        assert rest[1] in get_commands()
    else:
        module, _, name = rest[0].partition(":")
        assert find_spec(program) is not None
        assert callable(getattr(import_module(module), name))
    for option, value in pairwise(rest):
        assert option != "--config" or (ROOT / value).exists()


def test_the_whole_installation_is_there() -> None:
    assert set(OURS) == {"migrate", "web", "events", "worker", "scheduler"}
    assert {"postgres", "redis", "nginx"} <= set(SERVICES)
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", {})) <= set(SERVICES), name
        for mount in service.get("volumes", []):
            source = mount.partition(":")[0]
            assert source in COMPOSE["volumes"] or (DEPLOY / source).exists(), mount


def test_workers_have_longer_to_stop_than_they_take() -> None:
    from spane_django.conf import Settings

    seconds = float(SERVICES["worker"]["stop_grace_period"].removesuffix("s"))
    unit = next(unit for unit in UNITS if "worker" in unit.name)

    assert seconds > Settings().SHUTDOWN_SECONDS
    assert float(read(unit)["Service"]["TimeoutStopSec"]) > Settings().SHUTDOWN_SECONDS
    assert read(unit)["Service"]["KillMode"] == "mixed"


def test_what_the_image_takes_along_exists() -> None:
    copied = re.findall(r"^COPY (.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)

    assert copied
    assert all((ROOT / path).exists() for line in copied for path in line.split())


def test_nginx_passes_streams_on_unbuffered_and_everything_else_to_the_web_server() -> None:
    text = (DEPLOY / "nginx.conf").read_text()
    upstreams = re.findall(r"^upstream (\w+)", text, re.MULTILINE)
    passed = re.findall(r"proxy_pass http://(\w+);", text)
    (pattern, block) = re.findall(r"location ~ (\S+) \{(.*?)\}", text, re.DOTALL)[0]

    assert sorted(passed) == sorted(upstreams) == ["events", "web"]
    assert {f"server {name}:8000;" for name in upstreams} <= set(map(str.strip, text.splitlines()))
    assert re.search(pattern, "/api/executions/0199c0de-0000-7000-8000-000000000000/events")
    assert "proxy_buffering off;" in block
    assert "proxy_pass http://events;" in block
    assert text.count("{") == text.count("}")


def test_the_units_of_the_target_exist() -> None:
    wants = re.findall(r"[\w@-]+\.service", (DEPLOY / "systemd" / "spane.target").read_text())

    names = {re.sub(r"@\d+", "@", name) for name in wants}
    assert names == {unit.name for unit in UNITS}


def test_django_has_nothing_to_say_about_the_settings(tmp_path: Path) -> None:
    keys = re.findall(r"^(\w+)=", (DEPLOY / "systemd" / "spane.env").read_text(), re.MULTILINE)
    given = {
        "DJANGO_SETTINGS_MODULE": "deploy.settings",
        "SECRET_KEY": "kR8" + "xW3vB9nQ5mT7yZ2c" * 4,
        "ALLOWED_HOSTS": "flows.example.com",
        "DATABASE_URL": "postgres://spane:secret@127.0.0.1:5432/spane",
        "REDIS_URL": "redis://127.0.0.1:6379/0",
        "DATA_DIR": str(tmp_path),
    }
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}

    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT, env={**kept, **given}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert set(keys) == set(given)
    assert done.returncode == 0, done.stderr
    assert "no issues (0 silenced)" in done.stdout
