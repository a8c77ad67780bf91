"""A law about a whole run: every line of the tables of statuses has happened in it.

Each process of the run (one, or those of ``pytest -n``) knows which changes of status it saw;
the one that the user started gathers them and fails a run of all of the engine's tests in which
some line never happened.  A run of some tests cannot tell, so it is not asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

ENGINE = Path(__file__).parent / "engine"

_all_ran: list[bool] = []
_seen: set[tuple[str, str, str]] = set()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        _remember(**_of(session))
        if _missing():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
    else:
        session.config.workeroutput["whole_run"] = _of(session)  # type: ignore[attr-defined]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _remember(**getattr(node, "workeroutput", {}).get("whole_run", {"ran": False, "seen": []}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if missing := _missing():
        terminalreporter.section("changes of status that no test led to", red=True)
        terminalreporter.write_line("\n".join(missing))


def _of(session: pytest.Session) -> dict[str, Any]:
    from tests.engine import transitions

    items = {item.path for item in getattr(session, "items", [])}
    chosen = session.config.option.keyword or session.config.option.markexpr
    return {
        "ran": not chosen and items.issuperset(ENGINE.glob("test_*.py")),
        "seen": [list(change) for change in transitions.seen],
    }


def _remember(*, ran: bool, seen: list[list[str]]) -> None:
    _all_ran.append(ran)
    _seen.update((table, was, became) for table, was, became in seen)


def _missing() -> list[str]:
    from tests.engine import transitions

    if not any(_all_ran):
        return []
    return transitions.drawn(transitions.LINES - _seen)
