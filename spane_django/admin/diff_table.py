"""How two versions differ, as tables: settings, triggers, nodes and edges, each value by its place.

A row says in a word and a sign what has become of a value, where it stands, and what it was and
is.  Long values are cut off, and of very many rows the first are shown: what is left out is told.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from ..core.diff import Change, Diff, Kind
from ..core.json import Json
from .present import brief, chip, code

MOST_ROWS = 300
_VALUE_CHARACTERS = 800
_PLACE_CHARACTERS = 120
_LINE_CHARACTERS = 80
# In a JSON Pointer.
_TRIGGERS = "/triggers"


@dataclass(frozen=True, slots=True)
class Row:
    """A value that differs; None: there was, or is, nothing."""

    what: SafeString
    where: SafeString
    before: SafeString | None
    after: SafeString | None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one sort; ``hidden`` more are left out."""

    label: str | Promise
    rows: list[Row]
    hidden: int = 0


def tables_of(found: Diff, *, most: int = MOST_ROWS) -> list[Table]:
    """Return the tables that have rows; at most ``most`` rows in all."""
    triggers = [change for change in found.options if _is_of_triggers(change)]
    settings = [change for change in found.options if not _is_of_triggers(change)]
    sorts: tuple[tuple[Any, Iterable[Row], int], ...] = (
        (_("Settings"), map(_of_change, settings), len(settings)),
        (_("Triggers"), map(_of_change, triggers), len(triggers)),
        (_("Nodes"), _of_nodes(found), _count_nodes(found)),
        (_("Edges"), _of_edges(found), len(found.edges_added) + len(found.edges_removed)),
    )
    tables = []
    for label, rows, count in sorts:
        shown = list(islice(rows, most))
        most -= len(shown)
        if count:
            tables.append(Table(label, shown, count - len(shown)))
    return tables


def table_of(label: str | Promise, found: Iterable[Change], *, most: int = MOST_ROWS) -> Table:
    """Return a table of changes; the first ``most`` of them are shown."""
    rows = list(map(_of_change, found))
    return Table(label, rows[:most], max(len(rows) - most, 0))


def summary_of(found: Diff) -> list[SafeString]:
    """Return how much differs, as chips."""
    counted = (
        ("added", len(found.added), _NODES_ADDED),
        ("removed", len(found.removed), _NODES_REMOVED),
        ("changed", len(found.changed), _NODES_CHANGED),
        ("added", len(found.edges_added), _EDGES_ADDED),
        ("removed", len(found.edges_removed), _EDGES_REMOVED),
        ("changed", len(found.options), _SETTINGS),
    )
    return [chip(kind, words % {"count": count}) for kind, count, words in counted if count]


_NODES_ADDED: Any = ngettext_lazy("%(count)d node added", "%(count)d nodes added", "count")
_NODES_REMOVED: Any = ngettext_lazy("%(count)d node removed", "%(count)d nodes removed", "count")
_NODES_CHANGED: Any = ngettext_lazy("%(count)d node changed", "%(count)d nodes changed", "count")
_EDGES_ADDED: Any = ngettext_lazy("%(count)d edge added", "%(count)d edges added", "count")
_EDGES_REMOVED: Any = ngettext_lazy("%(count)d edge removed", "%(count)d edges removed", "count")
_SETTINGS: Any = ngettext_lazy("%(count)d setting differs", "%(count)d settings differ", "count")


def _is_of_triggers(change: Change) -> bool:
    return change.path == _TRIGGERS or change.path.startswith(f"{_TRIGGERS}/")


def _count_nodes(found: Diff) -> int:
    return len(found.added) + len(found.removed) + sum(map(len, found.changed.values()))


def _of_nodes(found: Diff) -> Iterator[Row]:
    for key, node in found.removed.items():
        yield Row(chip("removed"), code(_cut(key)), _value(_inner(node)), None)
    for key, node in found.added.items():
        yield Row(chip("added"), code(_cut(key)), None, _value(_inner(node)))
    for key, changes in found.changed.items():
        for change in changes:
            yield _of_change(change, key)


def _inner(node: Json) -> Json:
    """Return what of a node is not told beside it: its id, and its edges among the edges."""
    if not isinstance(node, dict):
        return node
    return {key: value for key, value in node.items() if key not in ("id", "inputs", "outputs")}


def _of_edges(found: Diff) -> Iterator[Row]:
    for kind, edges in (("removed", found.edges_removed), ("added", found.edges_added)):
        for one, other in edges:
            where = format_html("{} → {}", code(_cut(one)), code(_cut(other)))
            leads = format_html("{}", _("leads there"))
            sides = (leads, None) if kind == "removed" else (None, leads)
            yield Row(chip(kind), where, *sides)


def _of_change(change: Change, node: str = "") -> Row:
    place = code(_cut(change.path.removeprefix("/")) or "·")
    where = format_html("{} {}", code(_cut(node)), place) if node else place
    return Row(
        chip(change.kind.value),
        where,
        None if change.kind is Kind.ADDED else _value(change.before),
        None if change.kind is Kind.REMOVED else _value(change.after),
    )


def _value(value: Json) -> SafeString:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if not isinstance(value, str) and len(text) > _LINE_CHARACTERS:
        text = json.dumps(value, indent=2, ensure_ascii=False)
    shown = text if len(text) <= _VALUE_CHARACTERS else text[: _VALUE_CHARACTERS - 1] + "…"
    quoted = f'"{shown}"' if isinstance(value, str) else shown
    return format_html('<code class="spane-value" dir="ltr">{}</code>', quoted)


def _cut(text: str) -> str:
    return brief(text, _PLACE_CHARACTERS)
