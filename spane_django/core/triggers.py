"""What starts a workflow by itself: events that have a name, and the ends of other workflows.

A definition lists them under ``triggers``, with other types that others know; in Python they are
:class:`OnEvent` and :class:`OnWorkflow`.

* An event's name is made of words with dots between: ``order.paid``.  A trigger names one event,
  or with a last word ``*`` all that begin like it: ``order.*``, or ``*`` for every one.
* ``when`` is an expression over the data: without one, or where it finds a true value, the
  trigger applies.
* ``map`` is an expression over the data, or an object of them, that gives the input; without one
  the data are the input.

The data are an event's payload, or an account of the execution that has ended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .expressions import check, evaluate, is_true
from .json import Json
from .schema import Fault, Schema, faults_in

EVENT = "event"
WORKFLOW = "workflow"
ANY = "*"
NAME_LENGTH = 100

_WORD = r"[A-Za-z0-9_][A-Za-z0-9_-]*"
EVENT_NAME = rf"^{_WORD}(\.{_WORD})*$"
EVENT_PATTERN = rf"^({_WORD}\.)*({_WORD}|\*)$"

Ending = Literal["completed", "failed", "cancelled"]
ENDINGS = ("completed", "failed", "cancelled")

Map = str | Mapping[str, str]
"""An expression, or expressions by the key of the input that they give."""

_EXPRESSION: Schema = {"type": "string", "minLength": 1, "maxLength": 2_000}
WHEN: Schema = {**_EXPRESSION, "description": "Over the data: whether it starts anything."}
MAP: Schema = {
    "description": "Over the data: the input, as a whole or by its keys.",
    "anyOf": [
        _EXPRESSION,
        {"type": "object", "additionalProperties": _EXPRESSION, "maxProperties": 200},
    ],
}
PATTERN: Schema = {
    "type": "string", "minLength": 1, "maxLength": NAME_LENGTH, "pattern": EVENT_PATTERN,
    "description": "The name of an event, or the beginning of many: order.paid, order.*, *",
}  # fmt: skip
_COMMON: dict[str, Schema] = {"when": WHEN, "map": MAP}
CONFIGS: dict[str, Schema] = {
    EVENT: {
        "type": "object",
        "properties": {"event": PATTERN, **_COMMON},
        "required": ["event"],
        "additionalProperties": False,
    },
    WORKFLOW: {
        "type": "object",
        "properties": {
            "workflowId": {"type": "string", "minLength": 1, "maxLength": NAME_LENGTH},
            "on": {"enum": list(ENDINGS), "description": "How it ends; else: completed."},
            **_COMMON,
        },
        "required": ["workflowId"],
        "additionalProperties": False,
    },
}


@dataclass(frozen=True, slots=True)
class OnEvent:
    """Starts the workflow when an event is emitted.

    Attributes:
        event: Its name, or a pattern: ``order.*``.
        when: An expression over the payload; None: every such event.
        map: The input, as expressions over the payload; None: the payload as it is.
    """

    event: str
    when: str | None = None
    map: Map | None = None

    def raw(self) -> dict[str, Json]:
        """Return it as a definition holds it."""
        return {"type": EVENT, "config": _given(event=self.event, when=self.when, map=self.map)}


@dataclass(frozen=True, slots=True)
class OnWorkflow:
    """Starts the workflow when an execution of another one ends.

    Attributes:
        workflow: The other one's id.
        on: How it ends.
        when: An expression over the account of the execution: ``executionId``, ``workflowId``,
            ``status``, ``reason``, ``input``, ``output``, and ``errors`` if it failed; None:
            every such end.
        map: The input, as expressions over the account; None: the account as it is.
    """

    workflow: str
    on: Ending = "completed"
    when: str | None = None
    map: Map | None = None

    def raw(self) -> dict[str, Json]:
        """Return it as a definition holds it."""
        config = _given(workflowId=self.workflow, on=self.on, when=self.when, map=self.map)
        return {"type": WORKFLOW, "config": config}


Declared = OnEvent | OnWorkflow


def config_faults(kind: str, config: Any, path: str = "") -> Iterator[Fault]:
    """Yield what is wrong with the config of a trigger: its shape, then its expressions."""
    yield from faults_in(CONFIGS[kind], config, path)
    if not isinstance(config, dict):
        return
    mapping, prefix = config.get("map"), f"{path}." if path else ""
    expressions = {f"{prefix}when": config.get("when")}
    if isinstance(mapping, dict):
        expressions |= {f"{prefix}map.{key}": value for key, value in mapping.items()}
    else:
        expressions[f"{prefix}map"] = mapping
    for where, expression in expressions.items():
        message = check(expression) if isinstance(expression, str) else None
        if message is not None:
            yield Fault(where, "invalid_expression", message)


def patterns_for(name: str) -> list[str]:
    """Return every pattern that an event of this name fits, its own name included."""
    words = name.split(".")
    starts = (".".join([*words[:count], ANY]) for count in range(len(words)))
    return [name, *starts]


def is_event_name(name: str) -> bool:
    """Say whether an event may have this name."""
    return len(name) <= NAME_LENGTH and re.fullmatch(EVENT_NAME, name) is not None


def applies(when: str | None, data: Json) -> bool:
    """Say whether a trigger applies to data.

    Raises:
        ExpressionError: it cannot be evaluated.
    """
    return not when or is_true(evaluate(when, data))


def mapped(mapping: Map | None, data: Json) -> Json:
    """Return the input that a trigger makes of data.

    Raises:
        ExpressionError: an expression cannot be evaluated.
    """
    if mapping is None:
        return data
    if isinstance(mapping, str):
        return evaluate(mapping, data)
    return {key: evaluate(expression, data) for key, expression in mapping.items()}


def raw_triggers(given: Sequence[Declared | Mapping[str, Any]]) -> list[Json]:
    """Return triggers as a definition holds them; what is JSON already stays as it is."""
    return [one.raw() if isinstance(one, Declared) else dict(one) for one in given]


def _given(**config: Json) -> dict[str, Json]:
    return {
        key: dict(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
        if value is not None
    }
