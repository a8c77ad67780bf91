"""What people read and type: help that teaches, durations, times."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import get_commands, load_command_class

from spane_django.management.base import SpaneCommand
from spane_django.management.parsing import duration, instant
from spane_django.management.showing import ago, excerpt, lasting

COMMANDS = sorted(name for name, app in get_commands().items() if app == "spane_django")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches_by_examples_of_itself(name: str) -> None:
    command = load_command_class("spane_django", name)
    help_text = command.create_parser("manage.py", name).format_help()

    assert isinstance(command, SpaneCommand)
    lines = [line for line in command.examples.splitlines() if "manage.py" in line]
    assert len(lines) >= 2
    assert any(f"manage.py {name}" in line for line in lines)
    assert all(line in help_text for line in lines)
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help(name: str) -> None:
    parser = load_command_class("spane_django", name).create_parser("manage.py", name)

    silent = [action.dest for action in parser._actions if not action.help and not action.choices]

    assert silent == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("1.5h", 5_400), ("1h30m", 5_400), ("2W", 1_209_600)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "h", "5 years", "1h x", "-1h", "1h,2m"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="write 90s, 15m"):
        duration(text)


def test_times_are_utc_unless_they_name_a_zone_and_durations_lie_back() -> None:
    before = datetime.now(UTC) - timedelta(hours=2)

    assert instant("2025-01-31") == datetime(2025, 1, 31, tzinfo=UTC)
    assert instant("2025-01-31T12:00+02:00") == datetime(2025, 1, 31, 10, tzinfo=UTC)
    assert before <= instant("2h") <= datetime.now(UTC)
    with pytest.raises(argparse.ArgumentTypeError, match="is no time"):
        instant("yesterday")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0123, "12 ms"),
        (4.24, "4.2 s"),
        (125, "2 min 5 s"),
        (3 * 3_600 + 720, "3 h 12 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations_are_shown_with_the_units_that_matter(seconds: float, text: str) -> None:
    assert lasting(timedelta(seconds=seconds)) == text


def test_past_and_future_are_told_apart() -> None:
    now = datetime(2025, 1, 31, tzinfo=UTC)

    assert ago(now - timedelta(seconds=5), now=now) == "5.0 s ago"
    assert ago(now + timedelta(seconds=5), now=now) == "in 5.0 s"
    assert ago(None, now=now) == ""


def test_an_excerpt_is_one_line() -> None:
    assert excerpt("a\n  b") == "a b"
    assert len(excerpt("x" * 500)) == 100
