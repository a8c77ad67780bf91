"""What a node receives: decided by its parents, never by the order in which they ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from .graph import Graph
from .json import Json
from .statuses import NodeStatus


class ParentRun(Protocol):
    """What is known of a parent that has ended."""

    status: NodeStatus
    next_nodes: list[str] | None
    error: str

    @property
    def data(self) -> Json: ...


def node_input(
    graph: Graph, node_id: str, initial_data: Json, runs: Mapping[str, ParentRun]
) -> Json:
    """Return the input of ``node_id``.

    A node without parents receives the execution's input; a node with one parent that
    parent's data as it is; a node with several an object keyed by parent id, without the
    parents that were skipped, cancelled, chose other branches or have not ended.

    Args:
        runs: The parents' runs by id; others are not looked at.
    """
    parents = graph.parents[node_id]
    if not parents:
        return initial_data
    if len(parents) == 1:
        run = runs.get(parents[0])
        return data_of(run) if run else None
    return {
        parent: data_of(run)
        for parent in parents
        if (run := runs.get(parent)) is not None and hands_on(run, node_id)
    }


def hands_on(run: ParentRun, child: str) -> bool:
    """Say whether a parent has something for ``child``: its data, or the error it ended with."""
    if run.status is NodeStatus.COMPLETED:
        return run.next_nodes is None or child in run.next_nodes
    return run.status is NodeStatus.FAILED


def data_of(run: ParentRun) -> Json:
    """Return what a parent hands on: its data, or ``{"error": …}`` if it failed."""
    return {"error": run.error} if run.status is NodeStatus.FAILED else run.data
