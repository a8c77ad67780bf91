"""What runs here: the attempt of a node whose code is on this thread, or in this coroutine.

Whoever is called by a node may look, however deep: a log line says which node it belongs to, a
request carries its trace.  It is what the engine has at hand anyway, so that it costs nothing.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol
from uuid import UUID


class RunningClaim(Protocol):
    """Which attempt it is."""

    @property
    def execution_id(self) -> UUID: ...
    @property
    def node_id(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def tenant(self) -> str: ...


class RunningNode(Protocol):
    """Which node it is."""

    @property
    def type(self) -> str: ...


class Running(Protocol):
    """An attempt under way."""

    @property
    def claim(self) -> RunningClaim: ...
    @property
    def node(self) -> RunningNode: ...
    @property
    def workflow_id(self) -> str: ...
    @property
    def traceparent(self) -> str | None:
        """The attempt's own place in its trace (W3C); None where nothing is traced."""


RUNNING: ContextVar[Running | None] = ContextVar("spane_running", default=None)
"""The attempt; None outside of nodes."""
