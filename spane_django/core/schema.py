"""JSON Schema of configs and inputs: derived from dataclasses, checked with every fault listed."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from referencing.exceptions import Unresolvable

from .json import Json, encode
from .validation import (
    InvalidPattern,
    UnboundedWork,
    errors_of,
    meta_validator,
    unbounded_in,
    validator_of,
)

Schema = dict[str, Any]

_SCALARS = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a definition, a config or an input.

    Attributes:
        path: Where, as a JSON path from the outermost value, such as ``nodes[2].config.url``.
        code: A short, stable name of the kind of fault, for programs.
        message: What is wrong and what to do, for people.
    """

    path: str
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def schema_of(declared: type | Schema | None) -> Schema | None:
    """Return the JSON Schema of a config: a dict is one already, a dataclass is read.

    Fields without a default are required, other keys than the fields are refused.  A field's
    metadata is merged into its schema: ``field(metadata={"minimum": 1})``.
    """
    if declared is None or isinstance(declared, dict):
        return declared
    if not dataclasses.is_dataclass(declared):
        raise TypeError(f"a config is a dataclass or a JSON Schema, not {declared!r}")
    return _dataclass_schema(declared)


def faults_in(schema: Schema, value: Json, path: str) -> Iterator[Fault]:
    """Yield every fault of ``value``, each with its full path."""
    yield from _faults(validator_of(encode(schema)), value, path)


def schema_faults(schema: Json, path: str) -> Iterator[Fault]:
    """Yield every fault of a JSON Schema that somebody wrote.

    A reference that leads nowhere, or round in a circle, is found only where it is used:
    `faults_in` then says that the schema cannot be applied.
    """
    yield from _faults(_META, schema, path)
    yield from (Fault(where, "schema", why) for where, why in unbounded_in(schema, path))


def json_path(parts: typing.Iterable[str | int]) -> str:
    """Write ``["nodes", 2, "url"]`` as ``.nodes[2].url``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)


def _faults(validator: Any, value: Json, path: str) -> Iterator[Fault]:
    try:
        errors = errors_of(validator, value)
    except (RecursionError, Unresolvable, UnboundedWork, InvalidPattern) as error:
        why = "it refers to itself" if isinstance(error, RecursionError) else error
        yield Fault(path, "schema", f"the schema cannot be applied: {why}")
        return
    for found in sorted(errors, key=lambda found: [str(part) for part in found.absolute_path]):
        where = (path + json_path(found.absolute_path)).removeprefix(".")
        # The message repeats the value, which may be as large as an input may be, or a secret.
        message = found.message
        if isinstance(found.schema, Mapping) and found.schema.get("writeOnly"):
            message = f"it does not fit '{found.validator}': {found.validator_value}"
        short = message if len(message) <= 500 else f"{message[:300]} … {message[-150:]}"
        yield Fault(where, "schema", short)


_META = meta_validator()


def _dataclass_schema(declared: Any) -> Schema:
    hints = typing.get_type_hints(declared)
    fields = dataclasses.fields(declared)
    missing = dataclasses.MISSING
    required = [f.name for f in fields if f.default is missing and f.default_factory is missing]
    return {
        "type": "object",
        "properties": {f.name: _field_schema(hints[f.name], f.metadata) for f in fields},
        "required": required,
        "additionalProperties": False,
    }


def _field_schema(hint: Any, metadata: Mapping[str, Any]) -> Schema:
    return {**_hint_schema(hint), **metadata}


def _hint_schema(hint: Any) -> Schema:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_hint_schema(argument) for argument in arguments]}
    if origin in (list, tuple) or hint in (list, tuple):
        return {
            "type": "array",
            **({"items": _hint_schema(arguments[0])} if arguments else {}),
        }
    if origin is dict or hint is dict:
        values = {"additionalProperties": _hint_schema(arguments[1])} if arguments else {}
        return {"type": "object", **values}
    if dataclasses.is_dataclass(hint):
        return _dataclass_schema(hint)
    return {"type": _SCALARS[hint]} if hint in _SCALARS else {}
