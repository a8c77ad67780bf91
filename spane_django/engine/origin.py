"""Origins: in which execution code runs, so that what it sets off knows where it comes from.

While a node's code runs, `RUNNING` names its attempt, on its thread or in its task on the event
loop.  An event that it emits and a model that it saves start executions whose parent
is that execution, one level deeper.  Chains end at ``MAX_DEPTH`` levels, as nested executions do:
a workflow that saves the model that starts it comes to an end, and the log says why.

A thread that a node starts by itself does not know of it, unless it copies the context.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ..conf import settings
from ..core.errors import SpaneError
from ..core.running import RUNNING
from ..models import Execution, LogLine
from .db import alias

logger = logging.getLogger("spane_django.engine")


class ChainTooLong(SpaneError):
    """Executions start each other without an end."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The execution whose node's code set something off.

    Attributes:
        depth: How many levels lie above it.
    """

    execution_id: UUID
    depth: int
    tenant: str


def origin() -> Origin | None:
    """Return the execution whose node's code is running; None: no node's is, or it is gone."""
    running = RUNNING.get()
    if running is None:
        return None
    execution_id = running.claim.execution_id
    found = Execution.objects.using(alias()).filter(pk=execution_id)
    row = found.values_list("depth", "tenant").first()
    return None if row is None else Origin(execution_id, *row)


def require_room(depth: int) -> None:
    """Refuse to go on with a chain that is as long as nested executions may be.

    Args:
        depth: Of the execution that would start another one.

    Raises:
        ChainTooLong: it is.
    """
    if depth >= settings.MAX_DEPTH:
        raise ChainTooLong(
            f"triggers have started {depth} executions in a row, one by the other, and the chain "
            f"ends here (the setting MAX_DEPTH): is there a workflow that sets itself off?"
        )


def tell(execution_id: UUID, message: str, *, now: datetime) -> None:
    """Write what became of a trigger to the log of the execution that set it off."""
    logger.error("execution %s: %s", execution_id, message)
    LogLine.objects.using(alias()).create(
        execution_id=execution_id, level=LogLine.Level.ERROR, message=message, created_at=now
    )
