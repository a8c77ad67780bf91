"""Running a part of an execution anew: some nodes, and all that lies behind them.

`plan.reopen` runs one node again and leaves what has run as it is.  Here what has run behind the
chosen nodes is undone as well, so that the execution ends where a fresh run would end.  What has
ended elsewhere stays, but for what was cancelled: an execution that runs again goes on everywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from .graph import Graph
from .plan import ALL, Arrivals, Decision, Ended, Join, Progress, decide
from .replan import replan
from .statuses import NodeStatus


@dataclass(frozen=True, slots=True)
class Rewound:
    """What becomes of an execution that runs from some of its nodes again.

    Attributes:
        first: The chosen nodes that lie behind no other chosen one: they run at once.
        undone: Nodes behind them that have ended or are under way, and are neither any more.
        progress: The fate of every node that is open again.
    """

    first: list[str]
    undone: set[str]
    progress: Progress


def rewind(
    graph: Graph,
    ended: Mapping[str, Ended],
    active: Collection[str],
    joins: Mapping[str, Join],
    node_ids: Collection[str],
) -> Rewound:
    """Return what follows if ``node_ids`` and all that lies behind them run again.

    Args:
        ended: Every node that has ended, by id.
        active: The nodes that are ready, running or waiting.
        joins: The rules, as `plan.rules` gives them.
    """
    behind = set().union(*(graph.descendants(node) for node in node_ids))
    first = [node for node in node_ids if node not in behind]
    kept = {
        key: end
        for key, end in ended.items()
        if end.status is not NodeStatus.CANCELLED and key not in behind and key not in first
    }
    going = [key for key in active if key not in behind]
    progress = replan(graph, kept, [*going, *first], joins)
    told = {*progress.released, *progress.skipped, *progress.blocked}
    told |= {*progress.waiting, *progress.lost, *kept, *going, *first}
    for key in graph.children.keys() - told:
        progress.waiting[key] = Arrivals(open=len(graph.parents[key]))
    undone = (ended.keys() | set(active)) & behind
    return Rewound(first, undone, progress)


def carried(
    graph: Graph,
    finished: Mapping[str, Ended],
    joins: Mapping[str, Join],
    barred: Collection[str],
) -> dict[str, Ended]:
    """Return what another graph takes over of nodes that have completed in an older one.

    A node is taken over if everything that leads to it is settled, taken over or skipped, and
    would release it in the new graph, too; so nothing runs before what is not taken over.

    Args:
        finished: The nodes that completed and that the new graph knows as the same.
        barred: Nodes that are to run again; what lies behind them follows from that.
    """
    settled: dict[str, Ended] = {}
    for node in graph.order():
        parents = graph.parents[node]
        if node in barred or any(parent not in settled for parent in parents):
            continue
        decision = _decision(joins.get(node, ALL), [settled[parent] for parent in parents], node)
        if decision is Decision.SKIP:
            settled[node] = Ended(node, NodeStatus.SKIPPED)
        elif decision is Decision.RELEASE and node in finished:
            settled[node] = finished[node]
    return {node: end for node, end in settled.items() if end.status is NodeStatus.COMPLETED}


def _decision(join: Join, parents: list[Ended], node: str) -> Decision:
    if not parents:
        return Decision.RELEASE
    live = sum(
        end.status is NodeStatus.COMPLETED and (end.chosen is None or node in end.chosen)
        for end in parents
    )
    return decide(join, Arrivals(open=0, live=live))
