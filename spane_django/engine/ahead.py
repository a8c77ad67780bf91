"""Running ahead: pure successors run at once and are committed with their predecessor.

A pure node changes nothing but its answer, so that nobody can tell whether it ran before or after
the commit that releases it.  A chain of them costs one commit.  If the commit does not hold, or
the successor is not released to this worker, what ran ahead is dropped and forgotten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache
from inspect import iscoroutinefunction
from uuid import UUID

from ..core.json import encode
from ..core.outcome import Result
from ..nodes.base import registry
from .claim import Claim
from .finished import Finished
from .inputs import Received, parent_row
from .versions import prepared

# Longer chains go on after a commit, so that a crash costs little.
_MOST = 50
_NO_CLAIM = UUID(int=0)

Run = Callable[[Claim, Received], Finished]


def run_ahead(finished: Finished, run: Run) -> Iterator[Finished]:
    """Run the pure successors of a node that has completed, and theirs.

    Args:
        run: Runs a node that has been claimed only for show.
    """
    queue = deque([finished])
    count = 0
    while queue and count < _MOST:
        parent = queue.popleft()
        for node_id in _chosen(parent):
            child = run(_claim(parent.claim, node_id), _received(parent))
            count += 1
            yield child
            if isinstance(child.outcome, Result):
                queue.append(child)


@lru_cache(maxsize=8_192)
def pure_successors(version_id: int, node_id: str) -> tuple[str, ...]:
    """Return the children that wait for this node alone and may be run ahead of its commit."""
    version = prepared(version_id)
    if version.max_concurrency is not None:
        return ()
    queue = version.nodes[node_id].queue
    return tuple(
        child
        for child in version.graph.children[node_id]
        if version.graph.parents[child] == (node_id,)
        and child not in version.joins
        and version.nodes[child].queue == queue
        and _is_pure(version.nodes[child].type)
    )


def _is_pure(node_type: str) -> bool:
    """Say whether a type promises to have no effects, and runs on a plain thread."""
    if node_type not in registry:
        return False
    known = registry.get(node_type)
    is_plain = not (known.is_transactional or iscoroutinefunction(known.execute))
    return known.is_pure and is_plain


def _chosen(parent: Finished) -> Iterator[str]:
    outcome = parent.outcome
    if not isinstance(outcome, Result):
        return
    usual = prepared(parent.claim.version_id).nodes[parent.claim.node_id].policy.usual_nodes
    chosen = outcome.next_nodes if outcome.next_nodes is not None else usual
    for node_id in pure_successors(parent.claim.version_id, parent.claim.node_id):
        if chosen is None or node_id in chosen:
            yield node_id


def _claim(parent: Claim, node_id: str) -> Claim:
    return Claim(
        id=0,
        execution_id=parent.execution_id,
        version_id=parent.version_id,
        node_id=node_id,
        token=_NO_CLAIM,
        tenant=parent.tenant,
    )


def _received(parent: Finished) -> Received:
    outcome = parent.outcome
    chosen = outcome.next_nodes if isinstance(outcome, Result) else None
    text = None if chosen is None else encode(list(chosen))
    row = parent_row(parent.claim, parent.output, text)
    return Received(initial_data=None, parents={parent.claim.node_id: row})
