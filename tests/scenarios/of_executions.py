"""What a case expects of one execution and of its nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any
from uuid import UUID

from tests.scenarios.behaviours import Record
from tests.scenarios.compare import Differences, brief, contains, same, unless
from tests.scenarios.snapshot import NOT_RUN, NodeView, Snapshot

Expect = Mapping[str, Any]


def of_execution(seen: Snapshot, wanted: Expect, known: Mapping[str, UUID]) -> Differences:
    """Yield what is not as expected.

    Args:
        known: The executions that the case has names for.
    """
    for key, value in wanted.items():
        if key == "nodes":
            for node, expected in value.items():
                yield from _node_named(node, expected, seen)
        elif key == "metadata_replayed_from":
            yield from unless(seen.row.replay_of_id == known[value], "replay_of", value)
        elif key in _OF_EXECUTIONS:
            yield from _OF_EXECUTIONS[key](value, seen)
        else:
            yield f"unknown expectation '{key}'"


def _node_named(node: str, wanted: Expect, seen: Snapshot) -> Differences:
    if node not in seen.nodes:
        yield f"there is no node '{node}'"
        return
    view = seen.nodes[node]
    for key, value in wanted.items():
        if key not in _OF_NODES:
            yield f"{node}: unknown expectation '{key}'"
        elif not _OF_NODES[key][0](view, value):
            yield f"{node}: {key} is {brief(_OF_NODES[key][1](view))}, not {brief(value)}"


Look = Callable[[NodeView], Any]
_OF_NODES: dict[str, tuple[Callable[[NodeView, Any], bool], Look]] = {
    "status": (lambda node, wanted: _has_status(node.status, wanted), lambda node: node.status),
    "runs": (lambda node, wanted: node.runs == wanted, lambda node: node.runs),
    "input": (lambda node, wanted: same(node.input, wanted), lambda node: node.input),
    "input_has": (lambda node, wanted: contains(node.input, wanted), lambda node: node.input),
    "input_has_keys": (
        lambda node, wanted: isinstance(node.input, dict) and set(wanted) <= set(node.input),
        lambda node: node.input,
    ),
    "input_any_of": (
        lambda node, wanted: any(same(node.input, one) for one in wanted),
        lambda node: node.input,
    ),
    "output": (lambda node, wanted: same(node.output, wanted), lambda node: node.output),
    "error_contains": (lambda node, wanted: wanted in node.error, lambda node: node.error),
    "attempt_gaps_ms": (lambda node, wanted: _fits(_gaps(node), wanted), lambda node: _gaps(node)),
    "previous_results": (
        lambda node, wanted: _parents_seen(node) == sorted(wanted),
        lambda node: _parents_seen(node),
    ),
    "sees_results": (
        lambda node, wanted: bool(node.records) and _sees(node.records[-1], wanted),
        lambda node: node.records and node.records[-1].results,
    ),
}


def _has_status(status: str, wanted: str) -> bool:
    return status in ("not_run", *NOT_RUN) if wanted == "not_run" else status == wanted


def _gaps(node: NodeView) -> list[float]:
    """Return the milliseconds between the end of each run and the beginning of the next."""
    return [
        (after.began - (before.ended or before.began)) * 1_000
        for before, after in pairwise(node.records)
    ]


def _fits(values: Sequence[float], ranges: Sequence[tuple[float, float]]) -> bool:
    return len(values) == len(ranges) and all(
        least <= value <= most for value, (least, most) in zip(values, ranges, strict=True)
    )


def _parents_seen(node: NodeView) -> list[str]:
    if not node.records:
        return []
    return sorted(parent for parent in node.parents if parent in node.records[-1].results)


def _sees(record: Record, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return contains(record.results, wanted)
    return set(wanted) <= set(record.results)


def _duration(wanted: Sequence[float], seen: Snapshot) -> Differences:
    row = seen.row
    if row.finished_at is None:
        yield "it has not ended, so it took no time"
        return
    milliseconds = (row.finished_at - row.created_at).total_seconds() * 1_000
    yield from unless(wanted[0] <= milliseconds <= wanted[1], "duration_ms", milliseconds, wanted)


def _max_parallel(wanted: int, seen: Snapshot) -> Differences:
    moments = [(record.began, 1) for record in seen.records()]
    moments += [(record.ended, -1) for record in seen.records() if record.ended is not None]
    running = most = 0
    for _, change in sorted(moments):
        running += change
        most = max(most, running)
    yield from unless(most <= wanted, "max_parallel", most, wanted)


def _order(wanted: Sequence[tuple[str, str]], seen: Snapshot) -> Differences:
    for first, then in wanted:
        before, after = seen.nodes[first].run, seen.nodes[then].run
        ended = before.finished_at if before else None
        began = after.started_at if after else None
        yield from unless(
            ended is not None and began is not None and ended <= began,
            f"{first} before {then}",
            began,
        )


_OF_EXECUTIONS: dict[str, Callable[[Any, Snapshot], Differences]] = {
    "status": lambda wanted, seen: unless(
        seen.row.status == wanted, "status", seen.row.status, wanted
    ),
    "duration_ms": _duration,
    "max_parallel": _max_parallel,
    "order": _order,
}
