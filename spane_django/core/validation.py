"""JSON Schema as `jsonschema` applies it, within bounds: schemas and values come from strangers.

* Patterns are matched by RE2, whose time grows with the text and not with its power (there are
  no look-arounds and back-references, and at most 1,000 repetitions: a pattern with more is a
  fault of the schema).  ``$`` is the end of the text, as JSON Schema means it.
* Work is counted: references that double at every step (``allOf: [a, a]``) would go on for
  years.  A value of n parts is given up after `FIRST_STEPS` + `STEPS_EACH` · n keywords.
* ``uniqueItems`` compares by hash, not each with each; ``unevaluated…`` is not taken.
* References reach no further than the schema itself: nothing is fetched.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.validators import extend
from referencing import Registry

from .json import Json, decode

FIRST_STEPS = 50_000
STEPS_EACH = 100
_LONGEST_KEPT = 100_000  # characters

# The library follows references and matches patterns for them on its own, beside all bounds.
UNBOUNDED = ("unevaluatedItems", "unevaluatedProperties")
_NOT_TAKEN = "unevaluatedItems and unevaluatedProperties are not taken: use additionalProperties"

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


class UnboundedWork(ValueError):
    """The schema takes more steps than a value of this size may cost."""


class InvalidPattern(ValueError):
    """A pattern is none that RE2 takes; see https://github.com/google/re2/wiki/Syntax."""


def errors_of(validator: Any, value: Json) -> list[ValidationError]:
    """Return everything in which ``value`` does not fit.

    Raises:
        UnboundedWork, InvalidPattern, RecursionError, Unresolvable: the schema cannot be applied.
    """
    token = _steps_left.set([FIRST_STEPS + STEPS_EACH * _parts_of(value)])
    try:
        return list(validator.iter_errors(value))
    finally:
        _steps_left.reset(token)


def validator_of(schema: str) -> Any:
    """Return what applies a schema, given as JSON text."""
    # A cache of schemas as large as definitions may be would fill the memory.
    return _kept(schema) if len(schema) <= _LONGEST_KEPT else _made(schema)


@lru_cache(maxsize=512)
def _kept(schema: str) -> Any:
    return _made(schema)


def _made(schema: str) -> Any:
    return _Bounded(decode(schema), registry=Registry())


def meta_validator() -> Any:
    """Return what applies the schema of schemas; it knows which patterns RE2 takes."""
    formats = FormatChecker()
    formats.checkers = {
        **Draft202012Validator.FORMAT_CHECKER.checkers,
        "regex": (_is_pattern, ()),
    }
    return _Bounded(Draft202012Validator.META_SCHEMA, format_checker=formats)


def unbounded_in(schema: Json, path: str) -> Iterator[tuple[str, str]]:
    """Yield path and reason of each keyword that is not taken."""
    stack = [(path, schema)]
    while stack:
        where, part = stack.pop()
        if isinstance(part, dict):
            yield from ((f"{where}.{key}", _NOT_TAKEN) for key in UNBOUNDED if key in part)
            stack.extend((f"{where}.{key}", item) for key, item in part.items())
        elif isinstance(part, list):
            stack.extend((f"{where}[{index}]", item) for index, item in enumerate(part))


_steps_left: ContextVar[list[int]] = ContextVar("spane_steps_left")


def _parts_of(value: Json) -> int:
    count, stack = 0, [value]
    while stack:
        part = stack.pop()
        count += 1
        if isinstance(part, dict):
            stack.extend(part.values())
        elif isinstance(part, list | tuple):
            stack.extend(part)
    return count


def _counted(keyword: Keyword) -> Keyword:
    def apply(validator: Any, given: Any, instance: Any, schema: Any) -> Any:
        left = _steps_left.get()
        left[0] -= 1
        if left[0] < 0:
            raise UnboundedWork(str(UnboundedWork.__doc__))
        return keyword(validator, given, instance, schema)

    return apply


@lru_cache(maxsize=1_024)
def _compiled(pattern: str) -> Any:
    # Not before: RE2 holds 2 MB, and most schemas have no pattern.
    import re2  # noqa: PLC0415

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError):
        raise InvalidPattern(f"the pattern '{pattern[:200]}' is none that RE2 takes") from None


def _is_pattern(pattern: object) -> bool:
    try:
        _compiled(pattern) if isinstance(pattern, str) else None
    except InvalidPattern:
        return False
    return True


def _matches(pattern: str, text: str) -> bool:
    try:
        return _compiled(pattern).search(text) is not None
    except UnicodeEncodeError:  # half of a surrogate pair is no text
        return False


def _pattern(validator: Any, given: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _matches(given, instance):
        yield ValidationError(f"{instance!r} does not match {given!r}")


def _pattern_properties(
    validator: Any, given: Mapping[str, Any], instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, inner in given.items():
        for name, value in instance.items():
            if _matches(pattern, name):
                yield from validator.descend(value, inner, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, given: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    patterns = schema.get("patternProperties", {})
    if not patterns or not isinstance(instance, dict):
        yield from _ADDITIONAL(validator, given, instance, schema) or ()
        return
    known = schema.get("properties", {})
    extra = {
        name: value
        for name, value in instance.items()
        if name not in known and not any(_matches(pattern, name) for pattern in patterns)
    }
    without = {key: item for key, item in schema.items() if key != "patternProperties"}
    yield from _ADDITIONAL(validator, given, extra, {**without, "properties": {}}) or ()


def _unique_items(
    validator: Any, given: Any, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if given and isinstance(instance, list):
        texts = [json.dumps(_canonical(item), sort_keys=True) for item in instance]
        if len(set(texts)) < len(texts):
            yield ValidationError(f"{instance!r} has non-unique elements")


def _canonical(value: Json) -> Json:
    """Return the same for what JSON Schema calls equal: ``1`` and ``1.0``, but not ``true``."""
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _refused(validator: Any, given: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    raise InvalidPattern(_NOT_TAKEN)


_ADDITIONAL: Keyword = Draft202012Validator.VALIDATORS["additionalProperties"]

_Bounded: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        name: _counted(keyword)
        for name, keyword in {
            **Draft202012Validator.VALIDATORS,
            "pattern": _pattern,
            "patternProperties": _pattern_properties,
            "additionalProperties": _additional_properties,
            "uniqueItems": _unique_items,
            **dict.fromkeys(UNBOUNDED, _refused),
        }.items()
    },
)
