"""What a dialect must be able to do.  All of it runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from ...core.plan import Arrivals
from ..rows import (
    AmendedRow,
    ClaimedRow,
    CompletedRow,
    ExecutionRow,
    Key,
    NewExecution,
    ParentRow,
    Proof,
    RunRow,
)


class Statements(Protocol):
    """The hot path.  Order of locks: executions by id, then node runs."""

    def __init__(self, connection: Any) -> None: ...

    def lock(self, execution_ids: Collection[UUID]) -> dict[UUID, ExecutionRow]:
        """Lock executions and return how they stand."""

    def complete(self, rows: Sequence[CompletedRow]) -> set[Proof]:
        """Record completions whose claim still holds; return the claims that did."""

    def amend(self, rows: Sequence[AmendedRow]) -> set[Proof]:
        """Record the other ends of attempts whose claim still holds; return the claims that did."""

    def arrivals(self, keys: Collection[Key]) -> dict[Key, Arrivals | None]:
        """Return what nodes have seen so far, None for those that are decided."""

    def put(
        self, rows: Sequence[RunRow], *, worker_id: UUID | None, token: UUID, now: datetime
    ) -> dict[Key, tuple[int, int]]:
        """Insert node runs or decide pending ones.

        Returns:
            Of those put as running, the id and the number of the attempt.
        """

    def update_executions(self, rows: Sequence[ExecutionRow]) -> None:
        """Write status, counts and end of locked executions."""

    def claim(
        self, *, queue: str, room: int, worker_id: UUID, token: UUID, now: datetime
    ) -> list[ClaimedRow]:
        """Claim up to ``room`` node runs of a queue by priority, then age."""

    def insert_executions(self, rows: Sequence[NewExecution]) -> None:
        """Insert executions."""

    def parents(self, keys: Collection[Key]) -> list[ParentRow]:
        """Return what finished parents hand on."""

    def inputs(self, execution_ids: Collection[UUID]) -> dict[UUID, str]:
        """Return the inputs of executions as JSON text."""
