"""``function``: call a Python function that the project registered by name.

A config names functions, never dotted paths: whoever may edit a workflow chooses among what the
project offers, and nothing else of Python.  Functions are registered where node types are, in
the ``nodes.py`` of an installed app::

    @register_function("price-of")
    def price_of(sku: str, quantity: int = 1) -> dict: ...

``arguments`` are passed by keyword; a parameter named ``ctx`` receives the node's context.  What
the function returns or raises counts as if a node type had done it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from ..core.expressions import has_templates
from ..core.json import Json
from ..core.outcome import Permanent
from .base import Context, Node

_Function = TypeVar("_Function", bound=Callable[..., Any])

_functions: dict[str, Callable[..., Any]] = {}


class DuplicateFunction(ValueError):
    """Two functions are registered under the same name."""


def register_function(name: str) -> Callable[[_Function], _Function]:
    """Offer a function to ``function`` nodes.

    Args:
        name: What configs call it by.

    Raises:
        DuplicateFunction: another function has this name.
        TypeError: the function is ``async``; make it a node type with ``@node`` instead.
    """

    def decorate(function: _Function) -> _Function:
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"'{name}' is async: make it a node type with @node")
        known = _functions.get(name)
        if known is not None and _identity(known) != _identity(function):
            raise DuplicateFunction(f"two functions are named '{name}': rename one of them")
        _functions[name] = function
        return function

    return decorate


class FunctionNode(Node):
    """Calls a registered Python function."""

    type = "function"
    description = "Calls a Python function that the project registered."
    config = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "As given to register_function."},
            "arguments": {"type": ["object", "string"], "default": {}},
        },
        "required": ["name"],
        "additionalProperties": False,
    }

    def check(self, config: Mapping[str, Any]) -> Iterator[str]:
        arguments = config.get("arguments", {})
        try:
            function = _function(config["name"])
            if isinstance(arguments, dict) or not has_templates(arguments):
                _bound(function, config["name"], arguments, None)
        except Permanent as fault:
            yield str(fault)

    def execute(self, ctx: Context) -> Json:
        function = _function(ctx.config["name"])
        arguments = ctx.config.get("arguments", {})
        call = _bound(function, ctx.config["name"], arguments, ctx)
        return function(*call.args, **call.kwargs)


def _function(name: Json) -> Callable[..., Any]:
    if isinstance(name, str) and name in _functions:
        return _functions[name]
    known = ", ".join(sorted(_functions)) or "none"
    raise Permanent(f"unknown function {name!r}; registered are: {known}")


def _bound(
    function: Callable[..., Any], name: str, arguments: Json, ctx: Context | None
) -> inspect.BoundArguments:
    if not isinstance(arguments, dict):
        raise Permanent("'arguments' must be an object")
    signature = inspect.signature(function)
    own = {"ctx": ctx} if "ctx" in signature.parameters else {}
    try:
        return signature.bind(**{**arguments, **own})
    except TypeError as error:
        raise Permanent(f"the arguments do not fit the function '{name}': {error}") from None


def _identity(function: Callable[..., Any]) -> tuple[str, str]:
    """Tell functions apart, but not a module from itself imported again."""
    return function.__module__, function.__qualname__
