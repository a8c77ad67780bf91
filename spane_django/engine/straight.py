"""Going straight on: nodes that completed and what follows each of them, by one statement.

Many a node is followed by one other that waits for nobody else.  Then the counts of the execution
stay what they are, and all that has to be known of it is that it runs and that nothing in it has
failed.  The statement sees to that itself, under the locks that every settlement takes, and is a
transaction of its own, so that a lone chain costs one round trip per node, and many chains at once
a quarter less of a worker's own time.  What the claim says of the version still holds if the claim
does: an execution of which a node runs is not moved to another.

What is not so plain goes the long way (`settle`), which would have written the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID, uuid4

from ..core.outcome import Result
from ..core.plan import Ended, Progress, advance, touched
from ..core.statuses import NodeStatus
from ..models.payloads import MARK
from .claim import Claim, Want
from .finished import Finished, completed_row
from .rows import HeirRow
from .sql import statements
from .versions import prepared

# So few are not worth a statement of their own where others go the long way anyhow.
FEW = 16

Plain = tuple[Finished, HeirRow]
"""An attempt that may go straight on, with what follows it."""


class Heir(NamedTuple):
    """The node that alone follows another one, as its definition wants it."""

    node_id: str
    node_type: str
    queue: str
    priority: int | None


def part(finished: Sequence[Finished], want: Want) -> tuple[list[Plain], list[Finished]]:
    """Return what may go straight on, and what must go the long way.

    Args:
        want: What the worker would run next; as much as it has room for goes straight on.
    """
    plain, others, seen = list[Plain](), list[Finished](), set[int]()
    for item in finished:
        claim = item.claim
        heir = _heir(claim.version_id, claim.node_id) if _is_plain(item) else None
        # Of two answers to one claim the first one counts.
        is_new = claim.id not in seen
        seen.add(claim.id)
        if heir is not None and heir.queue == want.queue and is_new and len(plain) < want.room:
            row = HeirRow(claim.execution_id, heir.node_id, heir.node_type, heir.priority)
            plain.append((item, row))
        else:
            others.append(item)
    return ([], list(finished)) if others and len(plain) < FEW else (plain, others)


def go_on(plain: Sequence[Plain], want: Want, *, now: datetime) -> list[Claim | None]:
    """Record completions and claim what follows, as one statement.

    Returns:
        The claim of each one's heir; None where its own claim no longer held, or its execution
        does not simply run: of that one nothing has been written.

    Locks:
        The executions by id, then their node runs.
    """
    token = want.tokens[0] if want.tokens else uuid4()
    running = statements().go_on(
        [completed_row(item) for item, _ in plain],
        [heir for _, heir in plain],
        queue=want.queue,
        worker_id=want.worker_id,
        token=token,
        now=now,
    )
    return [_claim(item.claim, heir, token, running.get(heir.key)) for item, heir in plain]


def _claim(
    parent: Claim, heir: HeirRow, token: UUID, running: tuple[int, int] | None
) -> Claim | None:
    if running is None:
        return None
    run_id, attempt = running
    return Claim(
        id=run_id,
        execution_id=parent.execution_id,
        version_id=parent.version_id,
        node_id=heir.node_id,
        token=token,
        attempt=attempt,
        tenant=parent.tenant,
    )


def _is_plain(item: Finished) -> bool:
    """Say whether an attempt has completed a node for the first time, and left nothing else."""
    claim, outcome = item.claim, item.outcome
    return (
        isinstance(outcome, Result)
        and outcome.next_nodes is None
        and claim.attempt == 1
        and claim.checkpoint is None
        and not item.lines
        and not item.ahead
        and not item.output.startswith(MARK)
    )


@lru_cache(maxsize=4_096)
def _heir(version_id: int, node_id: str) -> Heir | None:
    """Return the one node that a node's completion leads to, whatever else has happened."""
    version = prepared(version_id)
    node, ends = version.nodes[node_id], [Ended(node_id, NodeStatus.COMPLETED)]
    if version.max_concurrency is not None or node.policy.usual_nodes is not None:
        return None
    if touched(version.graph, ends, version.joins):
        return None
    progress = advance(version.graph, ends, version.joins, {})
    if len(progress.released) != 1 or progress != Progress(released=progress.released):
        return None
    (heir_id,) = progress.released
    heir = version.nodes[heir_id]
    if node.rule is not None or heir.rule is not None:
        return None
    return Heir(heir_id, heir.type, heir.queue, heir.priority)
