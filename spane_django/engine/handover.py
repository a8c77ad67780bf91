"""What the ends of attempts mean at gates: places become free, breakers open and close.

A node that ends gives its place to a successor behind the same gate, unasked, in the transaction
that records its end: how many run there does not grow.  Where starts are counted in time, or a
breaker is not closed, the successor stays ready and is claimed like any other.

Whoever frees a place at a gate that was full says so, as others may wait for it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from ..core.limits import BreakerStatus, GateRow, ended
from ..core.statuses import NodeEvent
from ..core.verdict import Verdict
from .claim import Claim
from .passing import closed, roomy
from .rows import ExecutionRow
from .rules import queues_of, rule_of
from .sql import statements
from .versions import prepared

# Ends that say nothing about whether the node works.
_SILENT = frozenset({NodeEvent.DEFERRED, NodeEvent.RETURNED, NodeEvent.LOST})


@dataclass(slots=True)
class Handover:
    """The gates that the nodes of a batch have left.

    Attributes:
        left: How many have left each.
        places: How many successors may take a place unasked; counted down as they do.
        trying: Gates whose breaker lets one through after another, or all of them again.
        opens: When the breakers that have opened will let the first one try.
    """

    left: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)
    trying: set[str] = field(default_factory=set)
    opens: dict[str, datetime] = field(default_factory=dict)

    def queues(self, given: Counter[str], *, now: datetime) -> set[str]:
        """Return the queues in which nodes may have waited for what is free now.

        Args:
            given: How many places have been handed over.
        """
        freed = self.left - given
        bounds = {gate: most for gate in freed if (most := _most(gate)) is not None}
        counted = [gate for gate in bounds if not roomy.hold(gate, now)]
        running = statements().running(counted) if counted else {}
        full = set()
        for gate in counted:
            before = running.get(gate, 0) + freed[gate]
            roomy.note(gate, 2 * before <= bounds[gate], now)
            full |= {gate} if before >= bounds[gate] else set()
        return set().union(*(queues_of(gate) for gate in full | self.trying))


def leave(
    ends: Iterable[tuple[Claim, Verdict]],
    executions: Mapping[UUID, ExecutionRow],
    *,
    now: datetime,
) -> Handover | None:
    """Take note of attempts that have ended, oldest first; None: none was limited.

    Locks:
        The gates at which something changes, in the order of their keys.
    """
    handover = Handover()
    outcomes: dict[str, list[bool]] = defaultdict(list)
    for claim, verdict in ends:
        rule = prepared(claim.version_id).nodes[claim.node_id].rule
        if rule is None:
            continue
        gate = rule.gate(executions[claim.execution_id].lane_key)
        handover.left[gate] += 1
        handover.places[gate] += rule.hands_over
        if verdict.event not in _SILENT and not verdict.is_lost:
            outcomes[gate].append(verdict.failure is None)
    if not handover.left:
        return None
    _change_breakers(handover, outcomes, now=now)
    return handover


def _change_breakers(
    handover: Handover, outcomes: Mapping[str, list[bool]], *, now: datetime
) -> None:
    met = [gate for gate in handover.left if _has_breaker(gate) or not closed.hold(gate, now)]
    if not met:
        return
    failed = [gate for gate in met if not all(outcomes.get(gate, ()))]
    gates = statements().lock_breakers(met, failed)
    for key in met:
        closed.note(key, True, now)
    changed = []
    for gate in gates:
        before = gate.breaker
        changed += [gate] if ended(gate, outcomes.get(gate.key, ()), now) else []
        _note(handover, gate, before, now=now)
    if changed:
        statements().change_gates(changed, now=now)


def _note(handover: Handover, gate: GateRow, before: BreakerStatus, *, now: datetime) -> None:
    closed.note(gate.key, gate.breaker is BreakerStatus.CLOSED, now)
    if gate.breaker is not BreakerStatus.CLOSED:
        del handover.places[gate.key]
    if gate.breaker is BreakerStatus.HALF_OPEN or gate.breaker is not before:
        handover.trying.add(gate.key)
    if gate.breaker is BreakerStatus.OPEN and gate.blocked_until is not None:
        handover.trying.discard(gate.key)
        handover.opens[gate.key] = gate.blocked_until


def _has_breaker(gate: str) -> bool:
    rule = rule_of(gate)
    return rule is None or rule.breaker is not None


def _most(gate: str) -> int | None:
    rule = rule_of(gate)
    return rule.limit.max if rule else None
