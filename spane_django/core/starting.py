"""What a workflow says about its starts: how many run at once, whose they are, what is the same.

* ``maxExecutions``: so many run at once; what becomes of one too many is its *overflow*.
* ``key``, an expression over the input, says whose an execution is, such as a tenant.
* ``onDuplicate`` says what becomes of a start while one like it has not ended.  Like it is what
  has the same *duplicate key*: what an expression finds in the input or, without one, all of the
  input.  Where the expression finds nothing (null), there is nothing that it could be like.

Counting and comparing is the work of `engine.admission` and `engine.duplicates`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any

from .expressions import check, evaluate
from .json import Json, decode, encode
from .schema import Fault

# What the columns hold.
KEY_LENGTH = 200


class Overflow(StrEnum):
    """What becomes of one execution too many."""

    QUEUE = "queue"
    """It waits as ``pending``; higher priority goes first, then age."""
    REJECT = "reject"
    CANCEL_OLDEST = "cancelOldest"


class OnDuplicate(StrEnum):
    """What becomes of a start while one like it has not ended."""

    ALLOW = "allow"
    REJECT = "reject"
    RETURN = "return"
    """The one that has not ended is given back."""
    REPLACE = "replace"
    """The new one takes the place of those that are pending; one that runs is left alone."""
    DEBOUNCE = "debounce"
    """It starts when nothing like it has come for a while, with the input that came last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxExecutions:
    """How many executions of a workflow may run at once.

    Attributes:
        is_per_key: So many of each key, not in all.
    """

    most: int
    is_per_key: bool = False
    overflow: Overflow = Overflow.QUEUE


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateRule:
    """What is a duplicate, and what becomes of it.

    Attributes:
        key: An expression over the input; None: all of the input.
        wait: How long a debounced one waits for the next; None: each start has to say so.
    """

    action: OnDuplicate
    key: str | None = None
    wait: timedelta | None = None


def max_executions_from(given: float | Mapping[str, Any]) -> MaxExecutions:
    """Read the JSON of ``maxExecutions``, in which 5.0 is an integer, too."""
    if isinstance(given, int | float):
        return MaxExecutions(most=int(given))
    return MaxExecutions(
        most=int(given["max"]),
        is_per_key=given.get("perKey", False),
        overflow=Overflow(given.get("overflow", Overflow.QUEUE)),
    )


def duplicate_rule_from(given: Mapping[str, Any]) -> DuplicateRule:
    """Read the JSON of ``onDuplicate``."""
    wait = given.get("wait")
    return DuplicateRule(
        action=OnDuplicate(given["action"]),
        key=given.get("key"),
        wait=None if wait is None else timedelta(milliseconds=wait),
    )


def starting_faults(raw: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong with options of the right shape.

    Args:
        raw: The definition, its options each of the right shape or of any.
    """
    rule = raw.get("onDuplicate")
    rule = rule if isinstance(rule, dict) else {}
    for path, expression in (("key", raw.get("key")), ("onDuplicate.key", rule.get("key"))):
        message = check(expression) if isinstance(expression, str) else None
        if message is not None:
            yield Fault(path, "invalid_expression", message)
    if rule.get("action") == OnDuplicate.DEBOUNCE and "wait" not in rule:
        message = "say for how many milliseconds a start waits for the next one like it"
        yield Fault("onDuplicate.wait", "missing_wait", message)
    elif "wait" in rule and rule.get("action") != OnDuplicate.DEBOUNCE:
        message = "only 'debounce' waits: change the action or remove it"
        yield Fault("onDuplicate.wait", "no_debounce", message)


def key_of(expression: str, data: Json) -> str:
    """Return the key that an expression finds in an input; "" where it finds nothing.

    A text is a key as it is, anything else as JSON; of a long one there is a digest.

    Raises:
        ExpressionError: it cannot be evaluated.
    """
    found = evaluate(expression, decode(encode(data)))
    if found is None:
        return ""
    text = found if isinstance(found, str) else _canonical(found)
    return text if len(text) <= KEY_LENGTH else _digest(text)


def key_of_all(data: Json) -> str:
    """Return the key of all of an input: the order of an object's names does not count."""
    return _digest(_canonical(decode(encode(data))))


def _canonical(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
