"""What would happen if an execution ran again: which nodes run, which keep what they came to.

It is found by what carries a rerun out (`reopen.going_back` in the execution itself,
`takeover.taken_over` in a new one), from rows that are read without a lock.  So it holds for the
moment; whoever acts on it compares what was shown with what it is by then (`Preview.mark`).

A replay takes nothing over: all of its nodes run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from ..core.json import encode
from ..core.statuses import NodeStatus
from ..models import Execution
from .clear import require_data
from .control import UnknownExecution
from .reopen import as_it_stands, going_back
from .rerun import In, Rerun, barred_in, checked, nodes_of, version_in
from .takeover import taken_over
from .versions import PreparedVersion


class Fate(StrEnum):
    """What becomes of a node."""

    AGAIN = "again"
    """It has run, or is about it, and runs again."""
    AHEAD = "ahead"
    """It has not run; what runs before it decides whether it does."""
    KEPT = "kept"
    """It has completed, and what lies behind it goes on with that."""
    GOES_ON = "goes_on"
    """It is under way and goes on."""
    STAYS = "stays"
    """It failed, was skipped or cancelled, and does not run."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What would happen.

    Attributes:
        is_new: In a new execution; else in this one.
        version_id, number: The version that it runs.
        fates: What becomes of each node of that version, in the order in which they run.
    """

    is_new: bool
    version_id: int
    number: int
    fates: Mapping[str, Fate]

    def nodes(self, fate: Fate) -> list[str]:
        """Return the nodes of which this becomes."""
        return [node for node, of_node in self.fates.items() if of_node is fate]

    @property
    def mark(self) -> str:
        """A text that is another one if anything else would happen."""
        told = [self.is_new, self.version_id, list(self.fates.items())]
        return hashlib.sha256(encode(told).encode()).hexdigest()


def preview_replay(execution_id: UUID, version: In = In.SAME) -> Preview:
    """Return what a replay runs: everything.

    Raises:
        UnknownExecution, InvalidInput, ClearedData: it would be refused.
    """
    execution = _read(execution_id)
    require_data(execution)
    wanted = version_in(version, execution.version_id)
    return _told(wanted, _statuses(execution), is_new=True)


def preview_rerun(execution_id: UUID, rerun: Rerun, *, now: datetime) -> Preview:
    """Return what `rerun.rerun_from` would do; change nothing.

    Raises:
        As `rerun.rerun_from`.
    """
    execution = _read(execution_id)
    version = version_in(rerun.version, execution.version_id)
    checked(rerun, version, now=now)
    if rerun.version is In.LATEST:
        kept, progress = taken_over(execution, version, barred_in(version, execution, rerun))
        left = {*kept, *progress.skipped, *progress.lost}
        return _told(version, _statuses(execution), is_new=True, left=left)
    found = as_it_stands(execution, execution.node_runs.all())
    statuses = {key: run.status for key, run in found.runs.items()}
    failed = [key for key, status in statuses.items() if status == NodeStatus.FAILED]
    back = going_back(found, nodes_of(execution_id, rerun, failed, version))
    blocked = back.undone.intersection(back.progress.blocked)
    opened = {*back.first, *back.undone, *back.progress.waiting, *back.progress.released} - blocked
    statuses |= dict.fromkeys(blocked, NodeStatus.CANCELLED.value)
    return _told(version, statuses, is_new=False, left=version.nodes.keys() - opened)


def _told(
    version: PreparedVersion,
    statuses: Mapping[str, str],
    *,
    is_new: bool,
    left: Collection[str] = (),
) -> Preview:
    fates = {}
    for node in version.graph.order():
        status = statuses.get(node, "")
        if node not in left:
            fates[node] = Fate.AGAIN if status in _HAS_RUN else Fate.AHEAD
        elif status == NodeStatus.COMPLETED:
            fates[node] = Fate.KEPT
        else:
            fates[node] = Fate.GOES_ON if status in _UNDER_WAY else Fate.STAYS
    return Preview(is_new, version.id, version.number, fates)


def _read(execution_id: UUID) -> Execution:
    found = Execution.objects.filter(pk=execution_id).first()
    if found is None:
        raise UnknownExecution(f"there is no execution {execution_id}")
    return found


def _statuses(execution: Execution) -> dict[str, str]:
    return dict(execution.node_runs.values_list("node_id", "status"))


_UNDER_WAY = frozenset({NodeStatus.READY, NodeStatus.RUNNING, NodeStatus.WAITING})
_HAS_RUN = frozenset({NodeStatus.COMPLETED, NodeStatus.FAILED, *_UNDER_WAY})
