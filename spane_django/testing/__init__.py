"""The testing kit: workflows run inline in a project's tests, by the engine itself.

`inline.InlineEngine` is a worker, a scheduler and a clock in one object.  It works when it is told
to, on the test's own thread and connection, so it sees what a rolled-back ``TestCase`` has
written; `cases` and `pytest_plugin` hand it to unittest and to pytest.

Nothing here replaces a part of the engine: nodes are claimed, run, settled and swept as in
production.  What a test changes is what lies outside: the code of nodes (`doubles`), the clock
(`travel`) and the network (`network`).  No other package imports this one, and it is imported
only when it is asked for, as pytest loads plugins before Django is ready.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cases import WorkflowTestCase, WorkflowTestMixin
    from .doubles import Call
    from .factories import make_workflow
    from .inline import InlineEngine
    from .network import NetworkBlocked
    from .worker import NeverQuiet

__all__ = [
    "Call",
    "InlineEngine",
    "NetworkBlocked",
    "NeverQuiet",
    "WorkflowTestCase",
    "WorkflowTestMixin",
    "make_workflow",
]

_MODULES = {
    "Call": "doubles",
    "InlineEngine": "inline",
    "NetworkBlocked": "network",
    "NeverQuiet": "worker",
    "WorkflowTestCase": "cases",
    "WorkflowTestMixin": "cases",
    "make_workflow": "factories",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
