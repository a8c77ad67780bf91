"""Connections that a fault can strike; at the end of a run, at how many points each verb was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.doubles import bodies
from tests.faults.injector import wired


@pytest.fixture(autouse=True)
def _wired(db: None, wakes: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("spane_django.dispatch.commit._PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("spane_django.engine.db.PAUSE_SECONDS", 0.0)
    # Batches are small here, and part of them shall go straight on.
    monkeypatch.setattr("spane_django.engine.straight.FEW", 1)
    with wired():
        yield
    bodies.clear()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table.  The counts come with the reports, also from other processes."""
    struck: Counter[str] = Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            if report.when == "call" and "tests/faults/" in report.nodeid:
                struck.update(dict(report.user_properties))
    if struck:
        database = terminalreporter.config.getoption("database")
        terminalreporter.section(f"faults injected on {database}")
        for verb, count in sorted(struck.items()):
            terminalreporter.write_line(f"{verb:<24}{count:>6,}")
        terminalreporter.write_line(f"{'in all':<24}{struck.total():>6,}")
