"""What becomes of an execution whose graph is another from now on.

What has begun stays what it is: nodes that have ended with a result, and those that are under
way.  The fate of every other node is decided afresh in the new graph, as if all that has ended
had ended just now.  So a node that was added behind a finished one is released, a branch that
was skipped is skipped again unless an edge has changed, and of the same graph nothing changes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .graph import Graph
from .plan import Ended, Join, Progress, advance, losers
from .statuses import NodeStatus


def replan(
    graph: Graph,
    ended: Mapping[str, Ended],
    active: Collection[str],
    joins: Mapping[str, Join],
    *,
    is_halted: bool = False,
) -> Progress:
    """Return the fate of every node that has not begun; those that nothing leads to yet have none.

    Args:
        ended: The nodes that have completed or failed, by id, and those that are skipped for good.
        active: The nodes that have begun and not ended.
        joins: The rules, as `plan.rules` gives them.
        is_halted: Block instead of release: the execution has failed and stays so.
    """
    runs = [node for node, end in ended.items() if end.status is not NodeStatus.SKIPPED]
    late = losers(graph, joins, (*runs, *active))
    begun = {*ended, *active}
    roots = [root for root in graph.roots if root not in begun and root not in late]
    ends = list(ended.values())
    if is_halted:
        ends += [Ended(root, NodeStatus.CANCELLED) for root in roots]
    progress = advance(
        graph, ends, joins, dict.fromkeys((*begun, *late, *roots)), is_halted=is_halted
    )
    lost = {**late, **progress.lost}
    (progress.blocked if is_halted else progress.released).extend(
        root for root in roots if root not in lost
    )
    progress.lost = {node: join for node, join in lost.items() if node not in ended}
    return progress


def passed_over(graph: Graph, known: Collection[str], begun: Collection[str]) -> list[str]:
    """Return the new nodes that an execution has left behind: they lead only to what has begun.

    Args:
        known: The nodes that the old graph had, too: those run whatever they lead to.
    """
    passed: set[str] = set()
    for node in reversed(graph.order()):
        children = graph.children[node]
        if (
            node not in known
            and children
            and all(child in begun or child in passed for child in children)
        ):
            passed.add(node)
    return sorted(passed)
