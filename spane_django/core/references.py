"""Secrets in definitions: which are named where, and what looks like one that is written out.

A template counts wherever the engine fills it in: in the configs of nodes, of what they repeat,
of what undoes them and of what runs finally.  A definition holds names of secrets and never
their values, so it may be shown, exported and compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .expressions import has_templates, referenced_secrets
from .json import Json
from .schema import Fault

Raw = Mapping[str, Any]

# How the names of keys end whose values are secrets.
_CONFIDENTIAL = re.compile(
    r"(?:password|passwd|passphrase|secret|token|(?:api|private|access)[_-]?key"
    r"|credentials?|authorization)$",
    re.IGNORECASE,
)
_SHORTEST_VALUE = 4


def secrets_named(raw: Raw) -> dict[str, list[str]]:
    """Return the secrets that a definition names, each with the paths of the configs that do."""
    found: dict[str, list[str]] = {}
    for path, config in _configs(raw):
        for name in referenced_secrets(config):
            found.setdefault(name, []).append(path)
    return dict(sorted(found.items()))


def written_out(raw: Raw) -> Iterator[Fault]:
    """Yield what looks like a secret in clear: a text under a key such as ``password``."""
    for path, config in _configs(raw):
        for where, text in _confidential(config, path):
            message = (
                "this looks like a secret in clear, which everybody sees who sees the "
                "definition: store it as a secret and write {{ secrets.name }}"
            )
            if len(text) >= _SHORTEST_VALUE and not has_templates(text):
                yield Fault(where, "secret_in_clear", message)


def _configs(raw: Raw) -> Iterator[tuple[str, Json]]:
    for index, node in enumerate(raw.get("nodes", ())):
        yield f"nodes[{index}].config", node.get("config")
        if "undo" in node:
            yield f"nodes[{index}].undo.config", node["undo"].get("config")
    if "finally" in raw:
        yield "finally.config", raw["finally"].get("config")


def _confidential(config: Json, path: str) -> Iterator[tuple[str, str]]:
    """Yield path and text of every value whose key says that it is not for everybody."""
    stack = [(path, "", config)]
    while stack:
        where, name, value = stack.pop()
        if isinstance(value, str) and _CONFIDENTIAL.search(name):
            yield where, value
        elif isinstance(value, Mapping):
            stack.extend((f"{where}.{key}", key, item) for key, item in value.items())
        elif isinstance(value, list):
            stack.extend((f"{where}[{i}]", name, item) for i, item in enumerate(value))
