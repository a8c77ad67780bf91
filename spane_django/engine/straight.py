"""Going straight on: nodes that completed and what follows each of them, by one statement.

Many a node is followed by one other that waits for nobody else.  Then the counts of the execution
stay what they are, and all that has to be known of it is that it runs and that nothing in it has
failed.  The statement sees to that itself, under the locks that every settlement takes, and is a
transaction of its own, so that a chain costs one round trip per node.  What the claim says of the
version still holds if the claim does: an execution of which a node runs is not moved to another.

What is not so plain goes the long way (`settle`), which would have written the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from uuid import uuid4

from ..core.outcome import Result
from ..core.plan import Ended, Progress, advance, touched
from ..core.statuses import NodeStatus
from ..models.payloads import MARK
from .claim import Claim, Want
from .finished import Finished
from .rows import CompletedRow, HeirRow
from .sql import statements
from .versions import prepared

# Each is looked for among all of them: of so few that costs nothing, and of more the round trips
# are a small part.
MOST = 16


def heirs_of(finished: Sequence[Finished], want: Want) -> list[HeirRow] | None:
    """Return what follows each attempt, in their order; None: they must go the long way.

    Args:
        want: What the worker would run next.
    """
    if want.fill or not 0 < len(finished) <= min(MOST, want.room):
        return None
    if len({item.claim.proof for item in finished}) < len(finished):
        return None
    heirs = []
    for item in finished:
        heir = _heir(item.claim.version_id, item.claim.node_id) if _is_plain(item) else None
        if heir is None:
            return None
        node = prepared(item.claim.version_id).nodes[heir]
        if node.queue != want.queue:
            return None
        heirs.append(HeirRow(item.claim.execution_id, heir, node.type, node.priority))
    return heirs


def go_on(
    finished: Sequence[Finished],
    rows: Sequence[CompletedRow],
    heirs: Sequence[HeirRow],
    *,
    want: Want,
    now: datetime,
) -> list[Claim | None]:
    """Record completions and claim what follows, as one statement.

    Args:
        rows: What is recorded of each of ``finished``.
        heirs: What follows each of them.

    Returns:
        The claim of each one's heir, None where its own claim no longer held.  If that is so of
        all of them, or an execution does not simply run, nothing has been written.

    Locks:
        The executions by id, then their node runs.
    """
    token = want.tokens[0] if want.tokens else uuid4()
    running = statements().go_on(
        rows, heirs, queue=want.queue, worker_id=want.worker_id, token=token, now=now
    )
    claims = list[Claim | None]()
    for item, heir in zip(finished, heirs, strict=True):
        run_id, attempt = running.get(heir.key, (None, 0))
        claims.append(
            None
            if run_id is None
            else item.claim._replace(
                id=run_id, node_id=heir.node_id, token=token, attempt=attempt, failures=0, losses=0
            )
        )
    return claims


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
def _heir(version_id: int, node_id: str) -> str | None:
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
    (heir,) = progress.released
    has_gate = node.rule is not None or version.nodes[heir].rule is not None
    return None if has_gate else heir
