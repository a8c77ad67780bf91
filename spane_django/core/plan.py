"""What happens next: the one place that knows the rules of progress.

Given the graph and what is known of the joins, :func:`advance` takes the nodes that have ended
and says which nodes are now released, skipped or blocked, and what every other join has seen
so far.  It costs time in the edges of what ended, never in the size of the graph.

The rules, in full:

* An edge is *live* if its source completed and chose it (a source that chose nothing at all
  chose every edge), *dead* if its source was skipped or chose others, *broken* if its source
  failed or was cancelled, and *open* while its source has not ended.
* A node's join rule turns the counts of its edges into a decision (:func:`decide`):
  ``all`` runs once no edge is open and one is live; ``any`` runs at the first live edge, once;
  ``n_of_m`` at the n-th; ``all_done`` runs once no edge is open and one is live or broken;
  ``none_failed`` is ``all`` that also runs if every parent was skipped.
* A node whose rule can no longer be met is blocked if a broken edge is to blame, else skipped.
* What is skipped or blocked has ended too, and its edges follow in the same call.
* A halted execution (``failFast`` after a failure) releases nothing: every decision blocks, and
  what would wait is blocked as well, for what it waits for may have been cancelled with the rest.
* A join that cancels its losers ends, when it is released, whatever leads to it and nowhere else
  and has not ended yet.  Their children are among them, so nothing else follows from that.

Who tells the truth about a node's counts is not decided here: the caller hands in, under the
execution's lock, the joins that :func:`touched` names and stores what comes back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from .graph import Graph
from .statuses import NodeStatus


class JoinRule(StrEnum):
    """When a node with several parents runs."""

    ALL = "all"
    ANY = "any"
    N_OF_M = "n_of_m"
    ALL_DONE = "all_done"
    NONE_FAILED = "none_failed"


class Decision(StrEnum):
    """What the counts of a node's edges mean for it."""

    WAIT = "wait"
    RELEASE = "release"
    SKIP = "skip"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Join:
    """The rule of one node.

    Attributes:
        needed: The n of ``n_of_m``.
        cancels_losers: Whether what comes too late for ``any`` and ``n_of_m`` is cancelled.
    """

    rule: JoinRule = JoinRule.ALL
    needed: int = 1
    cancels_losers: bool = False


ALL = Join()


@dataclass(slots=True)
class Arrivals:
    """What a node that has not been decided yet has seen of its incoming edges."""

    open: int
    live: int = 0
    broken: int = 0


class Ended(NamedTuple):
    """A node that has ended, and the children it chose (None: all of them).

    Attributes:
        has_run_before: Whether this is not its first end, so that even a child without other
            parents may be decided already.
    """

    node_id: str
    status: NodeStatus
    chosen: frozenset[str] | None = None
    has_run_before: bool = False


@dataclass(slots=True)
class Progress:
    """What follows from the nodes that ended.

    Attributes:
        released: Nodes that may run now, in the order of release.
        skipped: Nodes that no taken branch leads to.
        blocked: Nodes that can never run because something upstream failed.
        waiting: The new counts of nodes that are still undecided.
        lost: Nodes that a released join goes on without, with that join: to be cancelled unless
            they have ended.
    """

    released: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)
    waiting: dict[str, Arrivals] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)


def decide(join: Join, arrivals: Arrivals) -> Decision:
    """Return what ``arrivals`` mean under the rule of ``join``."""
    if join.rule is JoinRule.ANY:
        return _decide_early(arrivals, 1)
    if join.rule is JoinRule.N_OF_M:
        return _decide_early(arrivals, join.needed)
    if join.rule is not JoinRule.ALL_DONE and arrivals.broken:
        return Decision.BLOCK
    if arrivals.open:
        return Decision.WAIT
    done = arrivals.live + arrivals.broken
    return Decision.RELEASE if done or join.rule is JoinRule.NONE_FAILED else Decision.SKIP


def advance(
    graph: Graph,
    ended: Iterable[Ended],
    joins: Mapping[str, Join],
    seen: Mapping[str, Arrivals | None],
    *,
    is_halted: bool = False,
) -> Progress:
    """Return everything that follows from ``ended``.

    Args:
        joins: The rules, as :func:`rules` gives them.
        seen: For the nodes of :func:`touched`: the arrivals stored so far, or None for a node
            that is decided already.  A node that is absent has seen nothing yet.
        is_halted: Block instead of release or wait.
    """
    progress = Progress()
    arrived: dict[str, Arrivals | None] = {}
    queue = deque(ended)
    while queue:
        end = queue.popleft()
        for child in graph.children[end.node_id]:
            arrivals = _arrivals(graph, child, seen, arrived)
            if arrivals is None:
                continue
            _arrive(arrivals, end, child)
            decision = decide(joins.get(child, ALL), arrivals)
            if decision is Decision.WAIT and not is_halted:
                continue
            arrived[child] = None
            queue.extend(_decided(progress, child, decision, is_halted))
    progress.waiting = {node: counts for node, counts in arrived.items() if counts is not None}
    _lose(graph, joins, progress)
    return progress


def rules(graph: Graph, joins: Mapping[str, Join]) -> dict[str, Join]:
    """Return the joins together with every node that one of them may end before its time.

    Such a node is among the rules even where its own is ``all``, because it may be decided
    before any parent of its own has ended.
    """
    known = dict(joins)
    for node, join in joins.items():
        if join.cancels_losers:
            for loser in graph.exclusive_ancestors(node):
                known.setdefault(loser, ALL)
    return known


def touched(
    graph: Graph,
    ended: Iterable[Ended],
    joins: Mapping[str, Join],
    *,
    is_halted: bool = False,
) -> set[str]:
    """Return every node whose stored arrivals ``advance`` may need, called with the same.

    These are the children of what ended and, where a child may be skipped or blocked, all that
    lies behind it: an operator may have run that before its turn came.  A child that has one
    parent and is not among the ``joins`` has nothing stored: it is undecided until its parent
    ends, unless that has run before.
    """
    nodes: set[str] = set()
    known: set[str] = set()
    for end in ended:
        for child in graph.children[end.node_id]:
            (known if end.has_run_before else nodes).add(child)
            is_live = end.status is NodeStatus.COMPLETED and _chose(end, child)
            # The last live edge may leave an n_of_m short of its n.
            is_counted = joins.get(child, ALL).rule is JoinRule.N_OF_M
            if is_halted or is_counted or not is_live:
                known |= graph.descendants(child)
    return known | {node for node in nodes if len(graph.parents[node]) > 1 or node in joins}


def reopen(
    graph: Graph,
    ended: Mapping[str, Ended],
    active: Iterable[str],
    joins: Mapping[str, Join],
    node_id: str,
) -> Progress:
    """Return what becomes of all whose fate is open again once ``node_id`` is to run anew.

    Open again are its skipped descendants and whatever was cancelled anywhere: an execution that
    runs again goes on everywhere, but for what a join has gone on without.  All of them are
    decided afresh from what stays ended, so that what is still behind a broken or a dead edge
    comes back as blocked or skipped.  What has seen nothing yet is waiting, too, whether or not
    it ever did.

    Args:
        ended: Every node that has ended, by id.
        active: The nodes that are ready, running or waiting.
    """
    behind = graph.descendants(node_id)
    runs = [key for key, end in ended.items() if end.status in _HAS_RUN]
    late = losers(graph, joins, (*runs, *active, node_id))
    undone = {
        key
        for key, end in ended.items()
        if end.status is NodeStatus.CANCELLED
        or (end.status is NodeStatus.SKIPPED and key in behind)
    } - {node_id, *late}
    kept = {key: end for key, end in ended.items() if key not in undone and key != node_id}
    decided: dict[str, Arrivals | None] = dict.fromkeys((*kept, *late, *active, node_id))
    progress = advance(graph, kept.values(), joins, decided)
    lost = {**progress.lost, **losers(graph, joins, [node_id])}
    progress.released += [root for root in graph.roots if root in undone and root not in lost]
    told = {*progress.released, *progress.skipped, *progress.blocked, *progress.waiting, *lost}
    for key in graph.children.keys() - decided.keys() - told:
        progress.waiting[key] = Arrivals(open=len(graph.parents[key]))
    progress.lost = {key: lost[key] for key in lost if key not in ended and key != node_id}
    return progress


def losers(graph: Graph, joins: Mapping[str, Join], released: Iterable[str]) -> dict[str, str]:
    """Return what the joins among ``released`` go on without, each with its join."""
    return {
        loser: node
        for node in released
        if joins.get(node, ALL).cancels_losers
        for loser in graph.exclusive_ancestors(node)
    }


def _lose(graph: Graph, joins: Mapping[str, Join], progress: Progress) -> None:
    """Take what comes too late for a released join out of what may go on."""
    lost = losers(graph, joins, progress.released)
    if lost:
        ended = {*progress.skipped, *progress.blocked}
        progress.lost = {node: join for node, join in lost.items() if node not in ended}
        progress.released = [node for node in progress.released if node not in lost]
        progress.waiting = {
            node: counts for node, counts in progress.waiting.items() if node not in lost
        }


_HAS_RUN = frozenset({NodeStatus.COMPLETED, NodeStatus.FAILED})


def _decide_early(arrivals: Arrivals, needed: int) -> Decision:
    if arrivals.live >= needed:
        return Decision.RELEASE
    if arrivals.live + arrivals.open >= needed:
        return Decision.WAIT
    if arrivals.broken:
        return Decision.BLOCK
    # A parent that is still open may yet break, and the order of ends must decide nothing.
    return Decision.WAIT if arrivals.open else Decision.SKIP


def _arrivals(
    graph: Graph,
    node: str,
    seen: Mapping[str, Arrivals | None],
    arrived: dict[str, Arrivals | None],
) -> Arrivals | None:
    if node not in arrived:
        stored = seen.get(node, Arrivals(open=len(graph.parents[node])))
        arrived[node] = stored and Arrivals(stored.open, stored.live, stored.broken)
    return arrived[node]


def _arrive(arrivals: Arrivals, end: Ended, child: str) -> None:
    arrivals.open -= 1
    if end.status is NodeStatus.COMPLETED:
        arrivals.live += _chose(end, child)
    elif end.status is not NodeStatus.SKIPPED:
        arrivals.broken += 1


def _chose(end: Ended, child: str) -> bool:
    return end.chosen is None or child in end.chosen


def _decided(progress: Progress, node: str, decision: Decision, is_halted: bool) -> Iterator[Ended]:
    if decision is Decision.RELEASE and not is_halted:
        progress.released.append(node)
    elif decision is Decision.SKIP:
        progress.skipped.append(node)
        yield Ended(node, NodeStatus.SKIPPED)
    else:
        progress.blocked.append(node)
        yield Ended(node, NodeStatus.CANCELLED)
