"""Settling: what finished attempts mean is decided and committed, and the worker goes on.

One transaction takes a *batch* of finished attempts, possibly of many executions:

1. lock the executions, in the order of their ids;
2. judge each outcome and record it where its claim still holds; a lost claim is dropped;
3. let `plan.advance` say what follows: released, skipped, blocked, ended;
4. write it with a few set-based statements;
5. claim on: successors that this worker will run itself are written as running at once, and
   room that is left is filled with other ready node runs.

What has completed and is plainly followed by one other node has been settled before, by one
statement that is a transaction of its own (`straight`): what fails afterwards leaves it standing.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from ..core.json import encode
from ..core.outcome import Result, StartChildren
from ..core.plan import Ended
from ..core.statuses import NodeEvent, NodeStatus, after_node
from ..core.verdict import Budget, Verdict, judge
from ..models.payloads import is_form
from . import tracing
from .children import planned
from .claim import Claim, Want, take
from .db import again_if_asked, in_transaction
from .ending import Todo, conclude
from .finished import Finished, completed_row
from .followup import follow_up_or_leave
from .handover import leave
from .history import record_failures, record_lines
from .inputs import parent_row
from .lanes import note_openings
from .notify import notify_attempts, tells_attempts
from .payloads import record
from .progress import follow
from .rows import AmendedRow, CompletedRow, ExecutionRow, Key, NewExecution, ParentRow, Proof
from .sql import statements
from .straight import go_on, part
from .versions import prepared
from .waits import Waiting, failures_tolerated, register, signal_of_wait


@dataclass(slots=True, kw_only=True)
class Settlement:
    """What a settled batch led to.

    Attributes:
        claims: What the worker runs next.
        lost: Attempts that were refused because their claim no longer held.
        left: Queues with node runs that became ready and were not claimed here.
        filled: Node runs claimed beyond the successors of the batch.
        todo: What the batch means for other executions; done when `settle` returns.
        known: What the completed nodes of the batch hand on, as it was recorded.
    """

    claims: list[Claim] = field(default_factory=list)
    lost: list[Claim] = field(default_factory=list)
    left: set[str] = field(default_factory=set)
    filled: int = 0
    todo: Todo = field(default_factory=Todo)
    known: dict[Key, ParentRow] = field(default_factory=dict)

    def copy(self) -> Settlement:
        """Return one that can be added to by a transaction that may have to be repeated."""
        return replace(self, claims=list(self.claims), known=dict(self.known))


@dataclass(slots=True)
class Judged:
    """A finished attempt with its verdict, its row if it completed, the children it starts."""

    finished: Finished
    verdict: Verdict
    status: NodeStatus
    row: CompletedRow | None = None
    children: list[NewExecution] = field(default_factory=list)

    @property
    def claim(self) -> Claim:
        return self.finished.claim


def settle(finished: Sequence[Finished], *, now: datetime, want: Want | None = None) -> Settlement:
    """Commit what finished attempts mean, and claim on for the worker that asks.

    Args:
        want: What the caller would run next; None claims nothing.

    Locks:
        The executions of the batch by id, then their node runs; of what goes straight on and of
        the rest in turn, never of both at once.
    """
    unsettled = [item for item in finished if item.settled is None]
    with tracing.settling(unsettled):
        settlement, rest = _straight_on(unsettled, now=now, want=want)
        if rest or (want is not None and want.fill):
            begun = settlement
            settlement = in_transaction(lambda: _settle(rest, begun.copy(), now=now, want=want))
    settlement.left |= follow_up_or_leave(settlement.todo, now=now)
    settlement.left.update(*(item.settled for item in finished if item.settled))
    return settlement


def apply(finished: Sequence[Finished], *, now: datetime) -> Settlement:
    """Settle inside the caller's transaction; what is to do after its commit is the caller's.

    Locks:
        As :func:`settle`.
    """
    return _settle(finished, Settlement(), now=now, want=None)


def _straight_on(
    finished: Sequence[Finished], *, now: datetime, want: Want | None
) -> tuple[Settlement, list[Finished]]:
    """Settle by one statement what nothing has to be read for; return what is left to settle."""
    settlement = Settlement()
    if want is None:
        return settlement, list(finished)
    plain, rest = part(finished, _for_heirs(want))
    if plain:
        claims = again_if_asked(lambda: go_on(plain, want, now=now))
        accepted = [item for (item, _), claim in zip(plain, claims, strict=True) if claim]
        settlement.claims = [claim for claim in claims if claim]
        settlement.known = {
            item.claim.key: parent_row(item.claim, item.output, None) for item in accepted
        }
        if len(accepted) < len(plain):
            # In their order: of two answers to one claim the first one counts.
            settled = set(map(id, accepted))
            rest = [item for item in finished if id(item) not in settled]
        if tells_attempts():
            notify_attempts([_judge(item, {}, now=now) for item in accepted], refused=0)
    return settlement, rest


def _for_heirs(want: Want) -> Want:
    """Return what a worker would run of the successors of what it settles."""
    return replace(want, room=want.room * 3 // 4) if want.yields else want


def _settle(
    finished: Sequence[Finished], settlement: Settlement, *, now: datetime, want: Want | None
) -> Settlement:
    batch, accepted = list(finished), list[Judged]()
    goes_on = None if want is None else _for_heirs(want)
    while batch:
        accepted += _settle_batch(batch, settlement, now=now, want=goes_on)
        batch = _released_ahead(batch, settlement)
    room = want.room - len(settlement.claims) if want is not None and want.fill else 0
    if want is not None and room > 0:
        claimed = take(want, room, now=now)
        settlement.claims += claimed
        settlement.filled = len(claimed)
        if settlement.filled < room:
            settlement.left.discard(want.queue)
    notify_attempts(accepted, refused=len(settlement.lost))
    return settlement


def _settle_batch(
    finished: Sequence[Finished], settlement: Settlement, *, now: datetime, want: Want | None
) -> list[Judged]:
    executions = statements().lock({item.claim.execution_id for item in finished})
    # Of two answers to one claim the first one counts.
    first: dict[Proof, Finished] = {}
    for item in finished:
        if first.setdefault(item.claim.proof, item) is not item:
            settlement.lost.append(item.claim)
    accepted = _record([_judge(item, executions, now=now) for item in first.values()])
    record(_written(accepted), now=now)
    if len(accepted) < len(first):
        taken = {item.claim.proof for item in accepted}
        settlement.lost += [item.claim for proof, item in first.items() if proof not in taken]
    ends = [(item.claim, item.verdict) for item in accepted]
    handover = leave(ends, executions, now=now)
    steps = follow(
        executions,
        _ended(accepted),
        now=now,
        want=_left(want, settlement),
        places=handover.places if handover else None,
    )
    settlement.claims += steps.claims
    settlement.known |= _known(accepted)
    settlement.left |= steps.left | _ready_again(accepted, now=now)
    if handover is not None:
        settlement.left |= handover.queues(steps.handed_over, now=now)
        if want is not None:
            note_openings(want.worker_id, handover.opens)
    todo = _todo(accepted, steps.ended, executions, now=now)
    settlement.todo.add(todo)
    settlement.left |= todo.queues
    return accepted


def _left(want: Want | None, settlement: Settlement) -> Want | None:
    """Return what a worker still has room for."""
    if want is None or not settlement.claims:
        return want
    return replace(want, room=max(0, want.room - len(settlement.claims)))


def _released_ahead(batch: Sequence[Finished], settlement: Settlement) -> list[Finished]:
    """Return what ran ahead and has now been released to this worker, under its claim."""
    ahead = {item.claim.key: item for parent in batch for item in parent.ahead}
    if not ahead:
        return []
    released = [(claim, ahead.pop(claim.key, None)) for claim in settlement.claims]
    settlement.claims = [claim for claim, item in released if item is None or claim.attempt > 1]
    following = []
    for claim, item in released:
        if item is not None and claim.attempt == 1:
            item.claim, item.ahead = claim, list(ahead.values())
            following.append(item)
    return following


def _todo(
    accepted: Sequence[Judged],
    ended: Sequence[ExecutionRow],
    executions: Mapping[UUID, ExecutionRow],
    *,
    now: datetime,
) -> Todo:
    """Write what waits and ends bring along; return what they mean for other executions."""
    todo = conclude(ended, now=now)
    waits = [
        Waiting(
            item.claim,
            item.verdict.wait,
            executions[item.claim.execution_id].tenant,
            item.children,
        )
        for item in accepted
        if item.verdict.wait is not None
    ]
    if waits:
        todo.add(register(waits, now=now))
    # Only a node that went on after a wait can leave something behind.
    resumed = (item for item in accepted if item.claim.checkpoint is not None)
    todo.runs |= {item.claim.id for item in resumed if item.status.is_final}
    return todo


def _judge(finished: Finished, executions: Mapping[UUID, ExecutionRow], *, now: datetime) -> Judged:
    claim = finished.claim
    node = prepared(claim.version_id).nodes[claim.node_id]
    budget = Budget(failures=claim.failures, losses=claim.losses)
    chance = 0.0 if isinstance(finished.outcome, Result) else random.random()
    outcome, children = finished.outcome, list[NewExecution]()
    if isinstance(outcome, StartChildren) and claim.execution_id in executions:
        outcome, children = planned(claim, outcome, executions[claim.execution_id], now=now)
        for child in children:
            child.traceparent = finished.traceparent
    verdict = judge(outcome, node.policy, budget, now=now, chance=chance)
    row = _completed_row(finished, verdict) if verdict.event is NodeEvent.COMPLETED else None
    return Judged(finished, verdict, after_node(NodeStatus.RUNNING, verdict.event), row, children)


def _record(judged: Sequence[Judged]) -> list[Judged]:
    """Write the outcomes; return those whose claim held."""
    completed = [item.row for item in judged if item.row is not None]
    others = [item for item in judged if item.verdict.event is not NodeEvent.COMPLETED]
    taken: set[Proof] = set()
    if completed:
        taken |= statements().complete(completed)
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


def _written(accepted: Iterable[Judged]) -> Iterator[tuple[UUID, str]]:
    """Yield the JSON text of columns that may refer to files, with the execution."""
    for item in accepted:
        if item.row is not None:
            yield item.claim.execution_id, item.row.output
        elif item.verdict.wait is not None and is_form(item.verdict.wait.checkpoint):
            yield item.claim.execution_id, encode(item.verdict.wait.checkpoint)


def _completed_row(finished: Finished, verdict: Verdict) -> CompletedRow:
    chosen = verdict.next_nodes
    return completed_row(
        finished,
        output=None if verdict.failure is None else encode(verdict.data),
        next_nodes=None if chosen is None else encode(chosen),
    )


def _amended_row(item: Judged) -> AmendedRow:
    claim, verdict, status = item.claim, item.verdict, item.status
    runs_again = verdict.event in (NodeEvent.RETRIED, NodeEvent.LOST)
    failure, signal = verdict.failure, signal_of_wait(claim, verdict.wait)
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
        signal_name=signal[0],
        signal_key=signal[1],
        failures_tolerated=failures_tolerated(verdict.wait),
    )


def _kept_checkpoint(item: Judged) -> str | None:
    """Return what the next run of the node finds: a retry goes on where the last delay left."""
    verdict = item.verdict
    given = verdict.wait.checkpoint if verdict.wait is not None else item.claim.checkpoint
    return None if given is None else encode(given)


def _known(accepted: Sequence[Judged]) -> dict[Key, ParentRow]:
    return {
        item.claim.key: parent_row(item.claim, item.row.output, item.row.next_nodes)
        for item in accepted
        if item.row is not None
    }


def _ended(accepted: Sequence[Judged]) -> dict[UUID, list[Ended]]:
    ended: dict[UUID, list[Ended]] = defaultdict(list)
    for item in accepted:
        nodes = ended[item.claim.execution_id]
        if item.status.is_final:
            chosen = item.verdict.next_nodes
            children = None if chosen is None else frozenset(chosen)
            has_run_before = item.claim.attempt > 1
            nodes.append(Ended(item.claim.node_id, item.status, children, has_run_before))
    return ended


def _ready_again(accepted: Sequence[Judged], *, now: datetime) -> set[str]:
    return {
        prepared(item.claim.version_id).nodes[item.claim.node_id].queue
        for item in accepted
        if item.verdict.event in _RUNS_AGAIN and (item.verdict.available_at or now) <= now
    }


_RUNS_AGAIN = frozenset({NodeEvent.RETRIED, NodeEvent.LOST, NodeEvent.RETURNED, NodeEvent.DEFERRED})
