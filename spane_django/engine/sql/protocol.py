"""What a dialect must be able to do.  All of it runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from ...core.limits import GateRow
from ...core.plan import Arrivals
from ..rows import (
    AmendedRow,
    ClaimedRow,
    CompletedRow,
    ExecutionRow,
    HeirRow,
    Key,
    LaneRange,
    LaneRow,
    NewExecution,
    ParentRow,
    Proof,
    RunRow,
)


class Statements(Protocol):
    """The hot path.  Order of locks: executions by id, then node runs, then gates."""

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
        self, rows: Sequence[RunRow], *, worker_id: UUID | None, token: UUID | None, now: datetime
    ) -> dict[Key, tuple[int, int]]:
        """Insert node runs or decide pending ones.

        Returns:
            Of those put as running, the id and the number of the attempt.
        """

    def go_on(
        self,
        rows: Sequence[CompletedRow],
        heirs: Sequence[HeirRow],
        *,
        queue: str,
        worker_id: UUID,
        token: UUID,
        now: datetime,
    ) -> dict[Key, tuple[int, int]]:
        """Lock executions, complete node runs whose claim still holds, put the heir of each.

        It is one statement, outside of a transaction.  Of an execution that does not run, or in
        which something has failed, it writes nothing, nor where a statement costs no round trip.

        Args:
            heirs: What follows each of ``rows``; in the same lane and behind no gate.

        Returns:
            The ids of the heirs and the numbers of their attempts.
        """

    def update_executions(self, rows: Sequence[ExecutionRow]) -> None:
        """Write status, counts and end of locked executions."""

    def claim(
        self, *, queue: str, room: int, worker_id: UUID, token: UUID, now: datetime
    ) -> list[ClaimedRow] | None:
        """Claim up to ``room`` node runs of a queue by priority, then age.

        None: nodes wait in lanes there, so that the room must be shared.
        """

    def lanes(
        self,
        *,
        queue: str,
        ranges: Sequence[LaneRange],
        most: int,
        due_by: datetime,
        now: datetime,
    ) -> list[LaneRow]:
        """Return the lanes of a queue that have something due and no closed gate, in order.

        Args:
            ranges: What to look through.
            most: At most so many.
            due_by: What counts as due.
            now: For the gates.
        """

    def take(
        self,
        shares: Mapping[str, int],
        *,
        queue: str,
        priority: int,
        worker_id: UUID,
        token: UUID,
        now: datetime,
    ) -> list[ClaimedRow]:
        """Claim up to so many node runs of each lane of a priority by age."""

    def lock_gates(self, keys: Collection[str]) -> list[GateRow]:
        """Lock gates and return how they stand, without those that somebody else has locked."""

    def lock_breakers(self, keys: Collection[str], failed: Collection[str]) -> list[GateRow]:
        """Lock the gates that ends of attempts may change, in the order of their keys.

        Args:
            failed: Those at which one has failed; the others only if they are not at rest.
        """

    def running(self, gates: Collection[str]) -> dict[str, int]:
        """Count what runs at gates; those at which nothing runs may be left out."""

    def add_gates(self, rows: Sequence[GateRow], *, now: datetime) -> set[str]:
        """Insert gates; return the keys of those that were not there."""

    def change_gates(self, rows: Sequence[GateRow], *, now: datetime) -> None:
        """Write locked gates."""

    def current_version(self, workflow: str, tenant: str) -> tuple[int | None, bool] | None:
        """Return the current version of the workflow that an id means, and whether it starts."""

    def start(
        self, executions: Sequence[NewExecution], runs: Sequence[RunRow], *, now: datetime
    ) -> None:
        """Insert executions and runs of their nodes, all or none, in a transaction or without."""

    def parents(self, keys: Collection[Key]) -> list[ParentRow]:
        """Return what finished parents hand on."""

    def inputs(self, execution_ids: Collection[UUID]) -> dict[UUID, str]:
        """Return the inputs of executions as JSON text."""

    def heard(self, kind: str, names: Collection[str]) -> set[str]:
        """Return the names that some enabled trigger of a kind has."""
