"""From the wire to dataclasses, by their annotations."""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from .errors import Unreadable

_SCALARS: dict[Any, tuple[type, ...]] = {
    str: (str,), bool: (bool,), int: (int,), float: (float, int),
}  # fmt: skip


def wire_name(name: str) -> str:
    """Return a name as the wire has it: ``created_at`` is ``createdAt``."""
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def read(kind: Any, value: Any) -> Any:
    """Return a JSON value as what it is.

    Raises:
        Unreadable: it is something else.
    """
    try:
        return _read(kind, value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unreadable(f"the answer is not as expected: {error!r}") from error


def _read(kind: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(kind):
        return _read_object(kind, value)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return None if value is None else _read(inner[0], value)
    if origin is list:
        return [_read(inner[0], item) for item in value]
    if origin is dict:
        return {key: _read(inner[1], item) for key, item in value.items()}
    if kind is datetime:
        return datetime.fromisoformat(value)
    if kind in _SCALARS and not isinstance(value, _SCALARS[kind]):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


def _read_object(kind: Any, value: Mapping[str, Any]) -> Any:
    found = {}
    for name, wire, hint in fields_of(kind):
        if wire in value:
            found[name] = _read(hint, value[wire])
    return kind(**found)


@cache
def fields_of(kind: Any) -> tuple[tuple[str, str, Any], ...]:
    """Return the fields of an answer: the name, the name on the wire, the annotation."""
    hints = get_type_hints(kind)
    return tuple(
        (each.name, each.metadata.get("wire") or wire_name(each.name), hints[each.name])
        for each in dataclasses.fields(kind)
    )
