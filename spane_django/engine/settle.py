"""Settling: what finished attempts mean is decided and committed, and the worker goes on.

One transaction takes a *batch* of finished attempts, possibly of many executions:

1. lock the executions, in the order of their ids;
2. judge each outcome and record it where its claim still holds; a lost claim is dropped;
3. let `plan.advance` say what follows: released, skipped, blocked, ended;
4. write it with a few set-based statements;
5. claim on: successors that this worker will run itself are written as running at once, and
   room that is left is filled with other ready node runs.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from ..core.json import encode
from ..core.outcome import Result
from ..core.plan import Ended
from ..core.statuses import NodeEvent, NodeStatus, after_node
from ..core.verdict import Budget, Verdict, judge
from .claim import Claim, Want, take
from .db import in_transaction
from .finished import Finished
from .history import record_failures, record_lines
from .notify import notify_ended
from .progress import follow
from .rows import AmendedRow, CompletedRow, Proof
from .sql import statements
from .versions import prepared


@dataclass(slots=True, kw_only=True)
class Settlement:
    """What a settled batch led to.

    Attributes:
        claims: What the worker runs next.
        lost: Attempts that were refused because their claim no longer held.
        left: Queues with node runs that became ready and were not claimed here.
        filled: Node runs claimed beyond the successors of the batch.
    """

    claims: list[Claim] = field(default_factory=list)
    lost: list[Claim] = field(default_factory=list)
    left: set[str] = field(default_factory=set)
    filled: int = 0


@dataclass(slots=True)
class Judged:
    """A finished attempt with its verdict."""

    finished: Finished
    verdict: Verdict

    @property
    def claim(self) -> Claim:
        return self.finished.claim


def settle(finished: Sequence[Finished], *, now: datetime, want: Want | None = None) -> Settlement:
    """Commit what finished attempts mean, and claim on for the worker that asks.

    Args:
        want: What the caller would run next; None claims nothing.

    Locks:
        The executions of the batch by id, then their node runs.
    """
    return in_transaction(lambda: _settle(finished, now=now, want=want))


def _settle(finished: Sequence[Finished], *, now: datetime, want: Want | None) -> Settlement:
    settlement = Settlement()
    if finished:
        executions = statements().lock({item.claim.execution_id for item in finished})
        # Of two answers to one claim the first one counts.
        first: dict[Proof, Finished] = {}
        for item in finished:
            if first.setdefault(item.claim.proof, item) is not item:
                settlement.lost.append(item.claim)
        accepted = _record([_judge(item, now=now) for item in first.values()])
        taken = {item.claim.proof for item in accepted}
        settlement.lost += [item.claim for proof, item in first.items() if proof not in taken]
        steps = follow(executions, _ended(accepted), now=now, want=want)
        settlement.claims = steps.claims
        settlement.left = steps.left | _ready_again(accepted, now=now)
        notify_ended(steps.ended)
    room = want.room - len(settlement.claims) if want is not None and want.fill else 0
    if want is not None and room > 0:
        claimed = take(want, room, now=now)
        settlement.claims += claimed
        settlement.filled = len(claimed)
    return settlement


def _judge(finished: Finished, *, now: datetime) -> Judged:
    claim = finished.claim
    node = prepared(claim.version_id).nodes[claim.node_id]
    budget = Budget(failures=claim.failures, losses=claim.losses)
    chance = 0.0 if isinstance(finished.outcome, Result) else random.random()
    return Judged(finished, judge(finished.outcome, node.policy, budget, now=now, chance=chance))


def _record(judged: Sequence[Judged]) -> list[Judged]:
    """Write the outcomes; return those whose claim held."""
    completed = [item for item in judged if item.verdict.event is NodeEvent.COMPLETED]
    others = [item for item in judged if item.verdict.event is not NodeEvent.COMPLETED]
    taken: set[Proof] = set()
    if completed:
        taken |= statements().complete([_completed_row(item) for item in completed])
    if others:
        taken |= statements().amend([_amended_row(item) for item in others])
    accepted = [item for item in judged if item.claim.proof in taken]
    record_failures(
        [
            (item.claim, item.verdict, item.finished.started_at, item.finished.finished_at)
            for item in accepted
            if item.verdict.failure is not None
        ]
    )
    record_lines([line for item in accepted for line in item.finished.lines])
    return accepted


def _completed_row(item: Judged) -> CompletedRow:
    finished, verdict = item.finished, item.verdict
    chosen = verdict.next_nodes
    return CompletedRow(
        id=finished.claim.id,
        token=finished.claim.token,
        output=finished.output if verdict.failure is None else encode(verdict.data),
        next_nodes=None if chosen is None else encode(chosen),
        started_at=finished.started_at or finished.finished_at,
        finished_at=finished.finished_at,
    )


def _amended_row(item: Judged) -> AmendedRow:
    claim, verdict = item.claim, item.verdict
    status = after_node(NodeStatus.RUNNING, verdict.event)
    runs_again = verdict.event in (NodeEvent.RETRIED, NodeEvent.LOST)
    failure = verdict.failure
    return AmendedRow(
        id=claim.id,
        token=claim.token,
        status=status,
        attempt=claim.attempt + runs_again,
        failures=verdict.budget.failures,
        losses=verdict.budget.losses,
        available_at=verdict.available_at,
        started_at=item.finished.started_at,
        finished_at=item.finished.finished_at if status.is_final else None,
        checkpoint=_kept_checkpoint(item),
        error_type=failure.type if failure else "",
        error_message=failure.message if failure else "",
    )


def _kept_checkpoint(item: Judged) -> str | None:
    """Return what the next run of the node finds: a retry goes on where the last delay left."""
    verdict = item.verdict
    given = verdict.wait.checkpoint if verdict.wait is not None else item.claim.checkpoint
    return None if given is None else encode(given)


def _ended(accepted: Sequence[Judged]) -> dict[UUID, list[Ended]]:
    ended: dict[UUID, list[Ended]] = defaultdict(list)
    for item in accepted:
        nodes = ended[item.claim.execution_id]
        status = after_node(NodeStatus.RUNNING, item.verdict.event)
        if status.is_final:
            chosen = item.verdict.next_nodes
            children = None if chosen is None else frozenset(chosen)
            has_run_before = item.claim.attempt > 1
            nodes.append(Ended(item.claim.node_id, status, children, has_run_before))
    return ended


def _ready_again(accepted: Sequence[Judged], *, now: datetime) -> set[str]:
    return {
        prepared(item.claim.version_id).nodes[item.claim.node_id].queue
        for item in accepted
        if item.verdict.event in _RUNS_AGAIN and (item.verdict.available_at or now) <= now
    }


_RUNS_AGAIN = frozenset({NodeEvent.RETRIED, NodeEvent.LOST, NodeEvent.RETURNED, NodeEvent.DEFERRED})
