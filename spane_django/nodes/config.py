"""What several node types ask of their configs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..core.expressions import check, has_templates
from ..core.json import Json
from ..core.options import BODY
from ..core.schema import Schema

ANY_OBJECT: Schema = {"type": "object"}
WORKFLOW_ID: Schema = {"type": "string", "minLength": 1, "maxLength": 100}
BODY_OR_WORKFLOW: dict[str, Schema] = {
    "node": {**BODY, "description": "The node to run, without edges."},
    "workflowId": {**WORKFLOW_ID, "description": "Or the workflow to run."},
}
NODE_IDS: Schema = {"type": ["string", "array"], "items": {"type": "string"}}


def node_ids(value: str | list[str] | None) -> list[str]:
    """Read the branches of a config: one id or a list of them; absent means none."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else value


def body_of(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the node that a config holds as its body; None: there is none."""
    body = config.get("node")
    return body if isinstance(body, Mapping) else None


def expression_faults(expression: Json, key: str) -> Iterator[str]:
    """Yield what is wrong with an expression that the node evaluates itself.

    Templates are refused: what they put in would be read as a part of the expression.
    """
    if not isinstance(expression, str):
        yield f"'{key}' must be an expression (a text)"
    elif has_templates(expression):
        yield f"'{key}' is an expression already and takes no {{{{ templates }}}}"
    elif fault := check(expression):
        yield f"'{key}': {fault}"


def one_of(config: Mapping[str, Any], *keys: str) -> Iterator[str]:
    """Yield a fault unless exactly one of ``keys`` is given."""
    if sum(key in config for key in keys) != 1:
        yield f"give one of {' and '.join(repr(key) for key in keys)}"
