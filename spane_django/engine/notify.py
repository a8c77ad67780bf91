"""Telling the rest of the process what was committed: signals, sent after the commit."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from .. import signals
from .db import on_commit
from .rows import ExecutionRow


def notify_ended(rows: Sequence[ExecutionRow]) -> None:
    """Send `execution_finished` for each execution once the transaction has committed."""
    if rows and signals.execution_finished.has_listeners():
        ended = [(row.id, row.status.value) for row in rows]
        on_commit(lambda: _send(ended))


def _send(ended: list[tuple[UUID, str]]) -> None:
    for execution_id, status in ended:
        signals.execution_finished.send_robust(
            sender=None, execution_id=execution_id, status=status
        )
