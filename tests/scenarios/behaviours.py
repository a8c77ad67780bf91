"""The test node types ``task`` and ``limited-task``, and what a case makes them do.

A behaviour is a dict; its keys are applied in the order of `_DEEDS`.  Every run of a body leaves
a `Record`, which is what the expectations look at: the rows tell what the engine thinks, the
records what the node lived through.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from uuid import UUID

from spane_django.core.json import Json
from spane_django.core.outcome import Result
from spane_django.nodes.base import Context, Node, registry

Behaviour = Mapping[str, Any]


class Thrown(Exception):
    """What a body raises when its behaviour says so."""


@dataclass(kw_only=True)
class Record:
    """One run of a body.  Times are of the monotonic clock, in seconds."""

    execution_id: UUID
    node_id: str
    input: Json
    results: dict[str, Json]
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None


class Stage:
    """What the nodes of a case do, and what they did."""

    def __init__(self) -> None:
        self.behaviours: Mapping[str, Behaviour] = {}
        self.records: list[Record] = []
        self._lock = Lock()

    def clear(self) -> None:
        self.behaviours, self.records = {}, []

    def play(self, ctx: Context) -> Any:
        """Run the body of a node."""
        record = Record(
            execution_id=ctx.execution_id,
            node_id=ctx.node_id,
            input=ctx.input,
            results=dict(ctx.previous_results),
        )
        with self._lock:
            self.records.append(record)
            runs = len(self.runs_of(ctx.node_id, ctx.execution_id))
        try:
            return _act(self.behaviours.get(ctx.node_id, {}), ctx, runs)
        finally:
            record.ended = time.monotonic()

    def runs_of(self, node_id: str, execution_id: UUID | None = None) -> list[Record]:
        """Return the runs of a node, of one execution or of all, in the order they began."""
        return [
            record
            for record in self.records
            if record.node_id == node_id and execution_id in (None, record.execution_id)
        ]


stage = Stage()


class TaskNode(Node):
    """Does what the case says."""

    type = "task"

    def execute(self, ctx: Context) -> Any:
        return stage.play(ctx)


class LimitedTaskNode(TaskNode):
    """The same, as a type of its own that a case may limit."""

    type = "limited-task"


def register() -> None:
    """Make the two types known."""
    for node_class in (TaskNode, LimitedTaskNode):
        registry.register(node_class)


def _act(behaviour: Behaviour, ctx: Context, runs: int) -> Any:
    time.sleep(behaviour.get("sleep_ms", 0) / 1_000)
    is_first = runs <= behaviour.get("times", runs)
    if "throw" in behaviour and is_first:
        raise Thrown(behaviour["throw"])
    if "fail" in behaviour and is_first:
        return Result.failure(behaviour["fail"])
    data = _data(behaviour, ctx)
    return Result(data, next_nodes=behaviour.get("select"))


def _data(behaviour: Behaviour, ctx: Context) -> Json:
    data: Json = {"from": ctx.node_id}
    for deed, do in _DEEDS.items():
        if deed in behaviour:
            goes_on = deed == "add" and "multiply" in behaviour
            data = do(behaviour[deed], data if goes_on else ctx.input)
    return data


def _multiply(how: Behaviour, given: Json) -> Json:
    return {**given, how["field"]: given[how["field"]] * how["by"]}


def _add(how: Behaviour, given: Json) -> Json:
    return {**given, how["field"]: given[how["field"]] + how["n"]}


def _sum_inputs(how: Behaviour, given: Json) -> Json:
    """Add a field up over the parents; a single parent's data arrive without its id."""
    field_, parents = how["field"], given if isinstance(given, dict) else {}
    if field_ in parents and not isinstance(parents[field_], dict):
        return {how["as"]: parents[field_]}
    values = [
        data[field_] for data in parents.values() if isinstance(data, dict) and field_ in data
    ]
    return {how["as"]: sum(values)}


_DEEDS: dict[str, Callable[[Any, Json], Json]] = {
    "return": lambda value, given: value,
    "return_string_kb": lambda size, given: "x" * size * 1_024,
    "measure": lambda yes, given: {"length": len(given)},
    "multiply": _multiply,
    "add": _add,
    "sum_inputs": _sum_inputs,
}
