"""Which cases need something that the engine does not have yet, judged by what they use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from spane_django.core.options import DEFINITION_SCHEMA
from spane_django.nodes.base import registry

Case = Mapping[str, Any]

_OF_SUB_WORKFLOWS = {"children", "child_runs", "node_depth"}


def definitions(case: Case) -> list[dict[str, Any]]:
    """Return the workflows that a case begins with, those that others refer to first."""
    given = case.get("workflow") or []
    return [*case.get("extra_workflows", []), *(given if isinstance(given, list) else [given])]


def missing(case: Case) -> str:
    """Say what a case needs that is not built yet; empty: nothing."""
    return ", ".join(dict.fromkeys(_missing(case)))


def _missing(case: Case) -> Iterator[str]:
    for raw in definitions(case):
        yield from _missing_to(raw)
    expected = set(case.get("expect", {}))
    if expected & _OF_SUB_WORKFLOWS and "sub-workflow" not in registry:
        yield "sub-workflows"


def _missing_to(raw: dict[str, Any]) -> Iterator[str]:
    known = DEFINITION_SCHEMA["properties"]
    types = {node.get("type") for node in raw.get("nodes", [])}
    if "sub-workflow" in types and "sub-workflow" not in registry:
        yield "sub-workflows"
    if "maxConcurrency" in raw and "maxConcurrency" not in known:
        yield "maxConcurrency"
