"""Definitions as YAML: what JSON can say, in a form that people like to read and to compare.

Only that much is read: maps with keys of text, lists, and the scalars of YAML 1.2's core schema
(so that ``no`` is a word and ``2025-01-31`` is one, too).  Anchors and aliases are refused, with
which a small text would become an enormous value; so are tags, keys that stand twice, and
nesting without end.  The text is taken event by event and nothing is ever called by its name.

What is written is read back as the same value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from ..core.json import Json

# As deep as a body of the API may be.
MAX_DEPTH = 100

# The parser in C, where PyYAML has it: twenty times as fast.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INTEGER = re.compile(r"[-+]?[0-9]+")
_RADIX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LONGEST_NUMBER = 400
_WORDS: dict[str, Json] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class Unreadable(ValueError):
    """The text is no YAML, or more than is read here."""


def read_all(text: str) -> list[Json]:
    """Return the values of the documents of a text.

    Raises:
        Unreadable: with the line and what to do.
    """
    try:
        return list(_documents(yaml.parse(text, Loader=_Loader)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" ({_place(mark)})" if mark else ""
        raise Unreadable(f"not YAML: {error.problem}{where}") from None
    except yaml.YAMLError as error:
        raise Unreadable(f"not YAML: {error}") from None


def write(value: Json) -> str:
    """Return a JSON value as a document."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, indent=2
    )
    return text


class _Open:
    """A map or a list that is being read."""

    def __init__(self, value: dict[str, Json] | list[Json]) -> None:
        self.value = value
        self.key: str | None = None

    def put(self, value: Json, event: Any) -> None:
        if isinstance(self.value, list):
            self.value.append(value)
        elif self.key is not None:
            self.value[self.key] = value
            self.key = None
        elif not isinstance(value, str):
            raise Unreadable(f"a key must be a text ({_place(event.start_mark)}): quote it")
        elif value in self.value:
            raise Unreadable(f"the key '{value[:50]}' stands twice ({_place(event.start_mark)})")
        else:
            self.key = value


def _documents(events: Iterator[Any]) -> Iterator[Json]:
    opened: list[_Open] = []
    root = _Open([])
    for event in events:
        _refuse(event, len(opened))
        if isinstance(event, yaml.DocumentStartEvent):
            root = _Open([])
        elif isinstance(event, yaml.DocumentEndEvent):
            yield from root.value
        elif isinstance(event, yaml.ScalarEvent):
            (opened[-1] if opened else root).put(_scalar(event), event)
        elif isinstance(event, yaml.CollectionStartEvent):
            is_map = isinstance(event, yaml.MappingStartEvent)
            made = _Open({} if is_map else [])
            (opened[-1] if opened else root).put(made.value, event)
            opened.append(made)
        elif isinstance(event, yaml.CollectionEndEvent):
            opened.pop()


def _refuse(event: Any, depth: int) -> None:
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        raise Unreadable(f"anchors and aliases are refused ({_place(event.start_mark)})")
    if getattr(event, "tag", None) not in (None, "!"):
        raise Unreadable(f"tags are refused ({_place(event.start_mark)})")
    if depth > MAX_DEPTH:
        raise Unreadable(f"it nests deeper than {MAX_DEPTH} levels ({_place(event.start_mark)})")


def _scalar(event: Any) -> Json:
    try:
        return _resolved(event.value) if event.implicit[0] else event.value
    except ValueError as error:
        raise Unreadable(f"{error} ({_place(event.start_mark)})") from None


def _resolved(text: str) -> Json:
    """Return what a plain scalar stands for."""
    if text in _WORDS:
        return _WORDS[text]
    if _NO_NUMBER.fullmatch(text):
        raise ValueError("JSON has no infinite numbers and no NaN: quote it")
    if len(text) > _LONGEST_NUMBER:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _RADIX.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise ValueError("the number is too large: quote it")
        return number
    return text


def _is_ambiguous(text: str) -> bool:
    try:
        return not isinstance(_resolved(text), str)
    except ValueError:
        return True


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


def _represent_text(dumper: _Dumper, text: str) -> Any:
    style = None
    if not text.replace("\n", "").isprintable():
        style = '"'  # what cannot be seen is escaped, or it would be taken for a line break
    elif _is_ambiguous(text):
        style = "'"
    elif "\n" in text:
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"
