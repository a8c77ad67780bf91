"""The expression language: JMESPath, made safe to accept from whoever may write a workflow.

JMESPath (https://jmespath.org) has no loops, no assignment and no access to the host language.
The library behind it leaves four doors open, which are shut here:

* it calls ``.get`` and ``.values`` on any object: only mappings are looked into;
* ``[@, @] | [@, @] | …`` doubles its input at every step: how much an expression may multiply
  its input is worked out and limited when it is parsed, and what it builds is measured;
* deep nesting ends in a RecursionError that depends on the caller's stack: depth is limited;
* unknown functions and ``&`` in odd places are found only when they run: they are found at once.

One thing is added: names may contain dashes (``send-mail.status``), since node ids often do.
JMESPath has no subtraction, so no valid expression changes its meaning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

from jmespath.exceptions import (
    IncompleteExpressionError,
    JMESPathError,
    JMESPathTypeError,
    LexerError,
    ParseError,
)
from jmespath.functions import Functions, signature
from jmespath.lexer import Lexer
from jmespath.parser import Parser
from jmespath.visitor import TreeInterpreter

from .json import Json, encode

Tree = dict[str, Any]
"""A parsed expression: ``{"type", "children", "value"}``, as the library builds it."""

MAX_LENGTH = 2_000  # characters
MAX_DEPTH = 50  # five stack frames each at worst, of the 1,000 that Python allows
MAX_GROWTH = 128  # at worst 100,000 numbers take 0.25 GB and 5 s
MAX_RESULT = 16_000_000  # characters and values; twice the largest payload by default

_OPENING = {"lparen", "lbrace", "lbracket", "filter"}
_CLOSING = {"rparen", "rbrace", "rbracket"}
_STEPS = {"subexpression", "pipe", "index_expression", "projection", "value_projection"}


class InvalidExpression(ValueError):
    """The text is no expression; the message says where and why."""


class OversizedResult(ValueError):
    """The expression built more than can be stored."""

    def __init__(self) -> None:
        super().__init__(f"the result is larger than {MAX_RESULT:,} characters and values")


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression.

    Attributes:
        growth: How many times larger than its input anything that it builds can be.
    """

    tree: Tree
    growth: int


@lru_cache(maxsize=2_048)
def parse(text: str) -> Expression:
    """Return the expression that ``text`` is, if it keeps to the limits.

    Raises:
        InvalidExpression: it does not parse, or is longer, deeper or more prolific than allowed.
    """
    if not text.strip():
        raise InvalidExpression("the expression is empty")
    if len(text) > MAX_LENGTH:
        raise InvalidExpression(f"the expression is longer than {MAX_LENGTH:,} characters")
    try:
        tree = _Parser().parse_once(text)
        _check({"type": "root", "children": [tree]}, MAX_DEPTH)
    except ParseError as error:
        raise InvalidExpression(_where(error, text)) from None
    except RecursionError:
        raise InvalidExpression(_too_deep()) from None
    if (growth := _growth(tree)) > MAX_GROWTH:
        raise InvalidExpression(
            f"the expression may multiply what it reads more than {MAX_GROWTH} times; "
            "split it over several keys or nodes"
        )
    return Expression(tree, growth)


def search(expression: Expression, data: Json) -> Json:
    """Evaluate a parsed expression against JSON, or a mapping that reads its values lazily.

    Raises:
        FAILURES: a function was given what it cannot work on, or the result is too large.
    """
    result = _INTERPRETER.visit(expression.tree, data)
    if expression.growth == 1 and isinstance(result, dict | list):
        return result  # nothing was built: it is a part of the data
    return _measured(result)


def children(tree: Tree) -> list[Tree]:
    """Return the parts of ``tree`` that are trees themselves."""
    return [] if tree["type"] == "slice" else tree["children"]  # a slice holds its three bounds


def explain(error: BaseException) -> str:
    """Say what went wrong, one of :data:`FAILURES`, without a word of the data."""
    match error:
        case JMESPathTypeError():
            wanted = " or ".join(error.expected_types)
            return f"{error.function_name}() takes {wanted}, not {error.actual_type}"
        case RecursionError():
            return "the data nest too deeply"
        case _:
            return str(error)


class _Lexer(Lexer):
    """Names may contain dashes; a literal between backquotes must be JSON."""

    VALID_IDENTIFIER = Lexer.VALID_IDENTIFIER | {"-"}

    def _consume_literal(self) -> dict[str, Any]:
        start = self._position
        lexeme = self._consume_until("`").replace("\\`", "`")
        try:
            value = json.loads(lexeme)
        except ValueError:
            message = "a literal between backquotes must be JSON"
            raise LexerError(start, self._expression[start:], message) from None
        return {"type": "literal", "value": value, "start": start, "end": self._position}


class _Parser(Parser):
    """Parses with our lexer, past the library's cache, which its other users share."""

    def parse_once(self, text: str) -> Tree:
        self._tokens = list(_Lexer().tokenize(text))
        self._index = 0
        _check_brackets(self._tokens)
        tree: Tree = self._expression(binding_power=0)
        if self._current_token() != "eof":
            token = self._lookahead_token(0)
            raise ParseError(token["start"], token["value"], token["type"])
        return tree


class _Functions(Functions):
    """The built-in functions, two of them with a bound on what they build."""

    @signature({"types": ["string"]}, {"types": ["array-string"]})  # type: ignore[untyped-decorator]
    def _func_join(self, separator: str, array: list[str]) -> str:
        # The one function whose result grows with the product of its arguments.
        if len(separator) * len(array) + sum(map(len, array)) > MAX_RESULT:
            raise OversizedResult
        return separator.join(array)

    @signature({"types": []})  # type: ignore[untyped-decorator]
    def _func_to_string(self, value: Json) -> str:
        return value if isinstance(value, str) else encode(_measured(value))


class _Interpreter(TreeInterpreter):
    """Evaluates; it keeps nothing between evaluations, so all threads share one."""

    def __init__(self) -> None:
        super().__init__()
        self._functions = _Functions()

    def visit_field(self, node: Tree, value: Json) -> Json:
        return value.get(node["value"]) if isinstance(value, Mapping) else None

    def visit_literal(self, node: Tree, value: Json) -> Json:
        return deepcopy(node["value"])  # the tree is cached, and who gets a list may change it

    def visit_value_projection(self, node: Tree, value: Json) -> Json:
        left, right = node["children"]
        base = self.visit(left, value)
        if not isinstance(base, dict):
            return None
        values = (self.visit(right, element) for element in base.values())
        return [value for value in values if value is not None]


_INTERPRETER = _Interpreter()

FAILURES = (JMESPathError, ArithmeticError, RecursionError, TypeError, ValueError)
"""What :func:`parse` and :func:`search` may raise."""


def _check_brackets(tokens: list[dict[str, Any]]) -> None:
    depth = 0
    for token in tokens:
        depth += (token["type"] in _OPENING) - (token["type"] in _CLOSING)
        if depth > MAX_DEPTH:
            raise InvalidExpression(_too_deep())


def _check(tree: Tree, depth: int) -> None:
    """Refuse what nests too deeply and what would fail in every evaluation."""
    if depth < 0:
        raise InvalidExpression(_too_deep())
    wants = _argument_types(tree) if tree["type"] == "function_expression" else []
    for position, child in enumerate(children(tree)):
        is_wanted = ["expref"] in wants[position : position + 1]
        if is_wanted and child["type"] != "expref":
            raise InvalidExpression(
                f"{tree['value']}() takes an expression such as &name as argument {position + 1}"
            )
        if child["type"] == "expref" and not is_wanted:
            raise InvalidExpression("'&' stands only before arguments of map() and ..._by()")
        _check(child, depth - 1)


def _argument_types(tree: Tree) -> list[list[str]]:
    """Return the types that the function takes, argument by argument, once it fits the call."""
    name, given = tree["value"], len(tree["children"])
    known = _Functions.FUNCTION_TABLE
    if name not in known:
        raise InvalidExpression(f"unknown function {name}(); known are {', '.join(sorted(known))}")
    wanted = known[name]["signature"]
    is_variadic = bool(wanted) and wanted[-1].get("variadic", False)
    if given < len(wanted) or (given > len(wanted) and not is_variadic):
        least = "at least " if is_variadic else ""
        raise InvalidExpression(f"{name}() takes {least}{len(wanted)} arguments, not {given}")
    return [argument["types"] for argument in wanted]


def _growth(tree: Tree) -> int:
    """Return how many times larger than its input anything that ``tree`` builds can be.

    An upper bound: what is done side by side (entries of a multi-select, arguments) adds up,
    what is done step by step multiplies.  A constant counts one for every 16 characters, as it
    may be repeated for every element of a list.
    """
    kind, value = tree["type"], tree.get("value")
    each = [_growth(child) for child in children(tree)]
    match kind:
        case "literal":
            return 1 + len(str(value)) // 16
        case "key_val_pair":
            return each[0] + len(str(value)) // 16
        case "filter_projection":
            return each[0] * (each[1] + each[2])
        case "function_expression" if value == "to_string":
            return 6 * each[0]  # a control character becomes \u0001
        case "function_expression" if any(c["type"] == "expref" for c in tree["children"]):
            return 1 + prod(each)
        case "function_expression" | "multi_select_list" | "multi_select_dict":
            return 1 + sum(each)
        case _:
            return prod(each) if kind in _STEPS else max(1, sum(each))


def _where(error: ParseError, text: str) -> str:
    if isinstance(error, IncompleteExpressionError) or error.token_type == "EOF":  # noqa: S105
        return f"the expression ends too early, at character {len(text)}"
    place = f"at character {error.lex_position + 1}"
    if isinstance(error, LexerError):
        return f"{error.message[0].lower()}{error.message[1:]} {place}"
    return f"unexpected '{error.token_value}' {place}"


def _too_deep() -> str:
    return f"the expression nests more than {MAX_DEPTH} levels deep"


def _measured(result: Json) -> Json:
    """Return ``result`` if it is JSON of a bearable size; shared parts count as often as used."""
    size, stack = 0, [result]
    while stack:
        value = stack.pop()
        size += 1
        if isinstance(value, str):
            size += len(value)
        elif isinstance(value, dict):
            size += sum(map(len, value))
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
        elif not isinstance(value, int | float | None):
            raise TypeError(f"the result holds a {type(value).__name__}, which is not JSON")
        if size > MAX_RESULT:
            raise OversizedResult
    return result
