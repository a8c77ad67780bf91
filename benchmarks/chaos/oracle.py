"""The oracle: what the rules demand of an execution that has ended, written from the documents.

Nothing of the engine is imported.  Each node is looked at by itself: given how its parents ended
and what they chose, the rule of its join says whether it had to run, to be skipped or to be
cancelled, and the graph has no cycle, so that where every node is right the whole execution is.
What cannot be known from the graph is said by the journal: that somebody wanted it cancelled, or
some node to run again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

RAN = frozenset({"completed", "failed"})
FINAL = RAN | {"skipped", "cancelled"}
_LOSER, _HALTED = "went on without it", "another node failed"


@dataclass(slots=True)
class Run:
    """A node run as the engine has recorded it."""

    id: int
    node_id: str
    type: str
    status: str
    reason: str = ""
    attempt: int = 1
    failures: int = 0
    losses: int = 0
    next_nodes: list[str] | None = None
    output: Any = None
    error_type: str = ""


@dataclass
class Ended:
    """An execution as the engine has recorded it, with what the journal says of it.

    Attributes:
        is_reopened: Whether somebody wanted some node to run again.
        may_be_cancelled: Whether there is a reason outside of the graph.
    """

    id: str
    status: str
    reason: str
    definition: Mapping[str, Any]
    runs: dict[str, Run] = field(default_factory=dict)
    active_nodes: int = 0
    failed_nodes: int = 0
    is_reopened: bool = False
    may_be_cancelled: bool = False

    @cached_property
    def nodes(self) -> dict[str, Mapping[str, Any]]:
        return {node["id"]: node for node in self.definition["nodes"]}

    def status_of(self, node_id: str) -> str:
        return self.runs[node_id].status if node_id in self.runs else "missing"


def faults(ended: Ended) -> Iterator[str]:
    """Yield what is wrong with an execution, in plain words; nothing if all is right."""
    if ended.status not in ("completed", "failed", "cancelled"):
        yield f"it is {ended.status} and has not ended"
        return
    yield from _of_counters(ended)
    yield from _of_end(ended)
    if ended.status == "cancelled":
        return
    for node_id in ended.nodes:
        yield from _of_node(ended, node_id)


def live_parents(ended: Ended, node_id: str) -> list[str]:
    """Return the parents whose data a node was given: those that led there."""
    parents = ended.nodes[node_id].get("inputs", ())
    return [parent for parent in parents if _edge(ended, parent, node_id) == "live"]


def _of_counters(ended: Ended) -> Iterator[str]:
    statuses = [run.status for run in ended.runs.values()]
    failed = statuses.count("failed")
    if ended.active_nodes:
        yield f"it has ended and counts {ended.active_nodes} active nodes"
    if ended.failed_nodes != failed and ended.status != "cancelled":
        yield f"it counts {ended.failed_nodes} failed nodes, there are {failed}"
    open_ones = [run.node_id for run in ended.runs.values() if run.status not in FINAL]
    if open_ones:
        yield f"it has ended, and {', '.join(open_ones)} have not"


def _of_end(ended: Ended) -> Iterator[str]:
    failed = [run.node_id for run in ended.runs.values() if run.status == "failed"]
    if ended.status == "completed" and failed:
        yield f"it completed although {', '.join(failed)} failed"
    if ended.status == "failed" and not failed:
        yield "it failed although no node did"
    if ended.status == "cancelled" and not ended.may_be_cancelled:
        yield f"it was cancelled and nobody wanted that: {ended.reason}"


def _of_node(ended: Ended, node_id: str) -> Iterator[str]:
    status = ended.status_of(node_id)
    if status == "missing" and ended.definition.get("failFast") and ended.status == "failed":
        # Nothing ever came near it: what leads there was halted.
        return
    if status not in FINAL:
        yield f"'{node_id}' is {status} in an execution that has ended"
        return
    wanted = _wanted(ended, node_id)
    reason = ended.runs[node_id].reason
    if wanted == "ran" and status not in RAN:
        if not _is_excused(ended, node_id, reason):
            yield f"'{node_id}' had to run and is {status} ({reason}): {_story(ended, node_id)}"
    elif wanted != "ran" and status in RAN:
        # What ran in an earlier life of the execution stays.
        if not ended.is_reopened:
            yield f"'{node_id}' ran and had to be {wanted}: {_story(ended, node_id)}"
    elif wanted not in ("ran", status) and not _is_excused(ended, node_id, reason):
        yield f"'{node_id}' is {status} and had to be {wanted}: {_story(ended, node_id)}"


def _wanted(ended: Ended, node_id: str) -> str:
    """Return what the join's rule demands: ``ran``, ``skipped`` or ``cancelled``."""
    node = ended.nodes[node_id]
    parents: Sequence[str] = node.get("inputs", ())
    if not parents:
        return "ran"
    edges = [_edge(ended, parent, node_id) for parent in parents]
    live, broken = edges.count("live"), edges.count("broken")
    rule, needed = _rule(node)
    runs = {
        "all": live > 0 and not broken,
        "any": live > 0,
        "n_of_m": live >= needed,
        "all_done": live + broken > 0,
        "none_failed": not broken,
    }[rule]
    if runs:
        return "ran"
    return "cancelled" if broken else "skipped"


def _rule(node: Mapping[str, Any]) -> tuple[str, int]:
    given = node.get("join", "all")
    if isinstance(given, str):
        return given, 1
    return given["rule"], given.get("n", 1)


def _edge(ended: Ended, parent: str, child: str) -> str:
    status = ended.status_of(parent)
    if status in ("failed", "cancelled"):
        return "broken"
    if status != "completed":
        return "dead"
    chosen = ended.runs[parent].next_nodes
    return "live" if chosen is None or child in chosen else "dead"


def _is_excused(ended: Ended, node_id: str, reason: str) -> bool:
    """Say whether a node that did not run lost a race, or was halted with the whole."""
    if ended.runs[node_id].status != "cancelled":
        return False
    if ended.definition.get("failFast") and ended.status == "failed":
        return True
    # Who runs again does not bring losers back, whatever they were cancelled for at first.
    if _LOSER in reason or ended.is_reopened:
        return any(_lost_to(ended, node_id, join) for join in ended.nodes)
    return False


def _lost_to(ended: Ended, node_id: str, join: str) -> bool:
    node = ended.nodes[join]
    ran = ended.status_of(join) in (*RAN, "cancelled")
    return (
        node.get("losers") == "cancel" and ran and node_id != join and _only(ended, node_id, join)
    )


def _only(ended: Ended, node_id: str, goal: str) -> bool:
    """Say whether every path from a node goes through another one."""
    outputs = ended.nodes[node_id].get("outputs", ())
    return node_id == goal or (bool(outputs) and all(_only(ended, one, goal) for one in outputs))


def _story(ended: Ended, node_id: str) -> str:
    node = ended.nodes[node_id]
    told = [
        f"{parent} {ended.status_of(parent)} ({_edge(ended, parent, node_id)})"
        for parent in node.get("inputs", ())
    ]
    return f"rule {node.get('join', 'all')}, parents {', '.join(told) or 'none'}"
