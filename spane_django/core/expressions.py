"""Expressions and templates: how the configs of nodes refer to data.

An *expression* is JMESPath (see :mod:`.language` for its limits), evaluated against a node's
input by the node types that take one.

A *template* is an expression between ``{{`` and ``}}`` in any string of a config.  The engine
fills it in before the node runs.  It reads from five roots:

* ``input``: what the node receives;
* ``results``: the data of finished nodes by id, always with the id: ``results.send-mail.status``
  (an id that does not look like a name is quoted: ``results."1st".status``);
* ``initial``: the execution's input;
* ``execution``: ``id``, ``workflowId`` and ``attempt``;
* ``secrets``: a secret by its name and nothing done to it (``secrets.name``), so that the engine
  knows what to hide: the template is just that, though other text may stand around it.

A string that is one template and nothing else becomes the value, with its type.  Around other
text, strings are put in as they are, null as nothing, everything else as JSON.  ``{{{{`` stands
for ``{{`` itself.  Keys are not templates, and what was filled in is never looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from . import language
from .json import Json, UnstorableValue, encode
from .outcome import Permanent
from .schema import Fault

ROOTS = ("input", "results", "initial", "execution", "secrets")

_LONGEST_KEPT = 10_000  # characters
_SHOWN = 200  # characters of an expression in an error message
_NO_END = (
    "the template that starts at character {} has no end: close it with '}}}}', "
    "or write '{{{{{{{{' for the braces themselves"
)
_EDGE = re.compile(r"\{\{\{\{|\{\{")
_INSIDE = re.compile(r"""}}|[{}]|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`""", re.S)


class ExpressionError(Permanent):
    """An expression or template cannot be evaluated; another attempt would not help."""


def check(expression: str) -> str | None:
    """Return what is wrong with an expression as a sentence, or None."""
    try:
        language.parse(expression)
    except language.InvalidExpression as error:
        return str(error)
    return None


def evaluate(expression: str, data: Json) -> Json:
    """Return what ``expression`` finds in ``data``; null where it finds nothing.

    Raises:
        ExpressionError: with the expression, and never with the data, in its message.
    """
    try:
        return language.search(language.parse(expression), data)
    except language.FAILURES as error:
        why = language.explain(error)
        raise ExpressionError(f"expression '{_short(expression)}': {why}") from None


def is_true(value: Json) -> bool:
    """Say whether JMESPath takes ``value`` for true: all but null, false, "", [] and {}."""
    return not (value is None or value is False or value in ("", [], {}))


def has_templates(config: Json) -> bool:
    """Say whether :func:`render` would change anything."""
    return any(True for _ in _strings(config, ""))


def render(config: Json, scope: Mapping[str, Json]) -> Json:
    """Return ``config`` with its templates filled in from ``scope``; ``config`` stays as it is.

    Args:
        scope: The roots.  It and ``results`` may be mappings that read when asked.

    Raises:
        ExpressionError: a template is faulty or cannot be evaluated.
    """
    try:
        return _rendered(config, scope)
    except RecursionError:
        raise ExpressionError("the config nests too deeply") from None


def template_faults(config: Json, path: str) -> Iterator[Fault]:
    """Yield a fault for every template that cannot be parsed or reads from elsewhere."""
    for where, text in _strings(config, path):
        for part in _parts(text):
            if isinstance(part, _Hole) and part.fault:
                yield Fault(where, "template", part.fault)


def referenced_results(config: Json) -> set[str]:
    """Return the ids of the nodes whose results the templates of ``config`` read."""
    parts = (part for _, text in _strings(config, "") for part in _parts(text))
    return {node_id for part in parts if isinstance(part, _Hole) for node_id in part.reads}


def referenced_secrets(config: Json) -> set[str]:
    """Return the names of the secrets that the templates of ``config`` put in."""
    parts = (part for _, text in _strings(config, "") for part in _parts(text))
    return {part.secret for part in parts if isinstance(part, _Hole) and part.secret}


@dataclass(frozen=True, slots=True)
class _Hole:
    """The place of a template in a string.

    Attributes:
        reads: The nodes whose results it reads.
        secret: The secret that it is; empty if it is none.
        fault: What is wrong with it; empty if nothing is.
    """

    source: str
    reads: frozenset[str] = frozenset()
    secret: str = ""
    fault: str = ""


class _Place(Enum):
    """What the value of an expression is, as far as parsing can tell."""

    SCOPE = "the roots"
    RESULTS = "the results of all nodes"
    DATA = "data"


def _short(expression: str) -> str:
    return expression if len(expression) <= _SHOWN else expression[:_SHOWN] + "…"


def _strings(config: Json, path: str) -> Iterator[tuple[str, str]]:
    """Yield path and text of every string that holds templates or escaped braces."""
    stack = [(path, config)]
    while stack:
        where, value = stack.pop()
        if isinstance(value, str) and "{{" in value:
            yield where, value
        elif isinstance(value, dict):
            inner = [(f"{where}.{key}" if where else key, item) for key, item in value.items()]
            stack.extend(reversed(inner))
        elif isinstance(value, list):
            stack.extend((f"{where}[{i}]", value[i]) for i in reversed(range(len(value))))


def _rendered(config: Json, scope: Mapping[str, Json]) -> Json:
    if isinstance(config, str):
        return _filled(config, scope) if "{{" in config else config
    if isinstance(config, dict):
        return {key: _rendered(value, scope) for key, value in config.items()}
    if isinstance(config, list):
        return [_rendered(value, scope) for value in config]
    return config


def _filled(text: str, scope: Mapping[str, Json]) -> Json:
    parts = _parts(text)
    faults = [part.fault for part in parts if isinstance(part, _Hole) and part.fault]
    if faults:
        raise ExpressionError("; ".join(faults))
    if len(parts) == 1 and isinstance(parts[0], _Hole):
        return evaluate(parts[0].source, scope)
    return "".join(
        part if isinstance(part, str) else _text(part, evaluate(part.source, scope))
        for part in parts
    )


def _text(hole: _Hole, value: Json) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return encode(value)
    except UnstorableValue as error:
        raise ExpressionError(f"expression '{_short(hole.source)}': {error}") from None


def _parts(text: str) -> tuple[str | _Hole, ...]:
    """Split a string into literal text and holes."""
    # A cache of texts as large as definitions may be would fill the memory.
    return _kept_parts(text) if len(text) <= _LONGEST_KEPT else tuple(_split(text))


@lru_cache(maxsize=2_048)
def _kept_parts(text: str) -> tuple[str | _Hole, ...]:
    return tuple(_split(text))


def _split(text: str) -> list[str | _Hole]:
    parts: list[str | _Hole] = []
    at = 0
    while edge := _EDGE.search(text, at):
        parts.append(text[at : edge.start()])
        at = edge.end()
        if edge[0] == "{{{{":
            parts.append("{{")
        elif (end := _end_of_hole(text, at)) is None:
            parts.append(_Hole(text[at:], fault=_NO_END.format(edge.start() + 1)))
            at = len(text)
        else:
            parts.append(_hole(text[at:end].strip()))
            at = end + 2
    return [part for part in [*parts, text[at:]] if part]


def _end_of_hole(text: str, start: int) -> int | None:
    """Return where the ``}}`` of a template stands; braces and quotes inside it are skipped."""
    # No expression is longer, and a quote that nothing closes is looked for to the end each time.
    depth, at, end = 0, start, start + 2 * language.MAX_LENGTH
    while token := _INSIDE.search(text, at, end):
        at = token.end()
        if depth == 0 and token[0] == "}}":
            return token.start()
        if token[0] in ("}}", "}"):
            depth, at = depth - 1, token.start() + 1
        depth += token[0] == "{"
    return None


def _hole(source: str) -> _Hole:
    reads: set[str] = set()
    try:
        tree = language.parse(source).tree
        if secret := _secret(tree):
            return _Hole(source, secret=secret)
        if _walk(tree, _Place.SCOPE, reads) is not _Place.DATA:
            raise _names_too_much()
    except language.InvalidExpression as error:
        return _Hole(source, fault=f"template '{_short(source)}': {error}")
    return _Hole(source, frozenset(reads))


def _secret(tree: language.Tree) -> str:
    """Return the name in ``secrets.name``; "" if the expression is anything else."""
    steps = language.children(tree) if tree["type"] == "subexpression" else []
    names = [step["value"] for step in steps if step["type"] == "field"]
    is_secret = len(steps) == len(names) == 2 and names[0] == "secrets"
    return str(names[1]) if is_secret else ""


def _walk(tree: language.Tree, place: _Place, found: set[str]) -> _Place:
    """Follow the parts of an expression from ``place``; return what its value is.

    Raises:
        InvalidExpression: it uses the roots or the results as a whole, so that nobody can tell
            what it reads, or an unknown root.
    """
    kind, children = tree["type"], language.children(tree)
    if kind in ("current", "identity"):
        return place
    if kind == "field":
        return _step(tree["value"], place, found)
    if kind in ("subexpression", "pipe", "index_expression"):
        for child in children:
            place = _walk(child, place, found)
        return place
    is_projection = kind in ("projection", "value_projection", "filter_projection")
    for position, child in enumerate(children):
        # The elements of a projection, and what '&' is applied to, are data.
        is_data = (is_projection and position > 0) or kind == "expref"
        inner = _walk(child, _Place.DATA if is_data else place, found)
        if inner is not _Place.DATA:
            raise _names_too_much()
    return _Place.DATA


def _step(name: str, place: _Place, found: set[str]) -> _Place:
    if place is _Place.RESULTS:
        found.add(name)
    if place is not _Place.SCOPE:
        return _Place.DATA
    if name not in ROOTS:
        raise language.InvalidExpression(f"unknown name '{name}'; start with {', '.join(ROOTS)}")
    if name == "secrets":
        raise language.InvalidExpression(
            "a secret is put in as it is: write {{ secrets.name }}, and nothing else inside"
        )
    return _Place.RESULTS if name == "results" else _Place.DATA


def _names_too_much() -> language.InvalidExpression:
    return language.InvalidExpression(
        "a template names what it reads: a root, and a node id after 'results'"
    )
