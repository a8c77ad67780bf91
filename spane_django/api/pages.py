"""Pages of long lists, by cursor: ``{"results": [...], "next": url | null, "previous": ...}``.

A cursor names the row where a page ended, by the values that the list is ordered by: rows that
come or go meanwhile move nothing, nothing is skipped or told twice, and a page far down costs
what the first one does.  Nothing is ever counted.
"""

from __future__ import annotations

import base64
import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import DateTimeField, Model, Q, QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from ..core.errors import InvalidInput
from ..core.instants import instant_from
from ..core.schema import Fault

PAGE_SIZE = 50
MAX_PAGE_SIZE = 200
_LONGEST_CURSOR = 500

PAGE_PARAMETERS = [
    OpenApiParameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE},
        description="The most results of a page.",
    ),
    OpenApiParameter(
        "cursor",
        {"type": "string", "maxLength": _LONGEST_CURSOR, "pattern": "^[A-Za-z0-9_-]*$"},
        description="Where the page begins: taken from `next` or `previous` of another page.",
    ),
]
PAGE_NAMES = frozenset(parameter.name for parameter in PAGE_PARAMETERS)

Row = TypeVar("Row", bound=Model)
Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The row beside which a page lies.

    Attributes:
        values: What the row has in the columns of the order.
        is_backward: The page ends before the row; otherwise it begins after it.
    """

    values: Sequence[Any]
    is_backward: bool = False

    def encoded(self) -> str:
        """Return the cursor as it stands in a URL."""
        text = json.dumps([self.is_backward, *(_text(value) for value in self.values)])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def page(
    request: Request,
    queryset: QuerySet[Row],
    present: Callable[[Row], Any],
    ordering: Sequence[str] = ("-created_at", "-id"),
) -> Response:
    """Answer with the page of a list that the request asks for: one query.

    Args:
        ordering: Columns of the model itself without nulls, such as ``-created_at``; together
            they must be unique, and an index should have them.

    Raises:
        InvalidInput: ``limit`` or ``cursor`` is refused.
    """
    names = [name.lstrip("-") for name in ordering]
    columns = [queryset.model._meta.get_field(name) for name in names]
    size, cursor = _size(request), _cursor(request, [partial(_value, column) for column in columns])
    is_backward = cursor is not None and cursor.is_backward
    found = list(_beside(queryset, ordering, cursor)[: size + 1])
    rows = found[:size][::-1] if is_backward else found[:size]
    keys = [tuple(getattr(row, name) for name in names) for row in rows]
    has_more = len(found) > size
    return _answer(
        request,
        [present(row) for row in rows],
        after=keys[-1] if rows and (is_backward or has_more) else None,
        before=keys[0] if rows and (has_more if is_backward else cursor is not None) else None,
    )


def page_of_entries(
    request: Request,
    entries: Sequence[Entry],
    present: Callable[[Entry], Any],
    at: Callable[[Entry], datetime],
) -> Response:
    """Answer with the page of a list in memory, which is in the order of time.

    Args:
        at: Returns the time of an entry.

    Raises:
        InvalidInput: ``limit`` or ``cursor`` is refused.
    """
    size, cursor = _size(request), _cursor(request, [_instant, int])
    keys = _numbered(map(at, entries))
    if cursor is None:
        first = 0
    elif cursor.is_backward:
        first = max(bisect_left(keys, tuple(cursor.values)) - size, 0)
    else:
        first = bisect_right(keys, tuple(cursor.values))
    last = min(first + size, len(keys))
    if cursor is not None and cursor.is_backward:
        last = bisect_left(keys, tuple(cursor.values))
    return _answer(
        request,
        [present(entry) for entry in entries[first:last]],
        after=keys[last - 1] if first < last < len(keys) else None,
        before=keys[first] if 0 < first < last else None,
    )


def _size(request: Request) -> int:
    given = request.query_params.get("limit", str(PAGE_SIZE))
    if given.isascii() and given.isdigit() and 1 <= int(given[:9]) <= MAX_PAGE_SIZE:
        return int(given[:9])
    message = f"'{given[:50]}' is not from 1 to {MAX_PAGE_SIZE}"
    raise InvalidInput([Fault("limit", "out_of_range", message)])


def _cursor(request: Request, readers: Sequence[Callable[[str], Any]]) -> Cursor | None:
    given = request.query_params.get("cursor")
    if given is None:
        return None
    try:
        padded = given[:_LONGEST_CURSOR].encode() + b"=="
        is_backward, *texts = json.loads(base64.urlsafe_b64decode(padded))
        values = [read(_checked(text)) for read, text in zip(readers, texts, strict=True)]
    except (ValueError, TypeError, RecursionError, ValidationError):
        message = "take it from `next` or `previous` of another page of the same list"
        raise InvalidInput([Fault("cursor", "invalid_cursor", message)]) from None
    return Cursor(values, is_backward=is_backward is True)


def _checked(text: Any) -> str:
    if not isinstance(text, str) or "\x00" in text:
        raise TypeError
    return text


def _value(column: Any, text: str) -> Any:
    return _instant(text) if isinstance(column, DateTimeField) else column.to_python(text)


def _instant(text: str) -> datetime:
    if (instant := instant_from(text)) is None:
        raise ValueError
    return instant


def _beside(
    queryset: QuerySet[Row], ordering: Sequence[str], cursor: Cursor | None
) -> QuerySet[Row]:
    if cursor is None:
        return queryset.order_by(*ordering)
    names = [name.lstrip("-") for name in ordering]
    falls = [name.startswith("-") != cursor.is_backward for name in ordering]
    order = [f"-{name}" if fall else name for name, fall in zip(names, falls, strict=True)]
    # What follows from the rest, said so that an index of the first column serves it.
    wanted = Q(**{f"{names[0]}__{'lte' if falls[0] else 'gte'}": cursor.values[0]})
    return queryset.filter(wanted, _past(names, falls, cursor.values)).order_by(*order)


def _past(names: Sequence[str], falls: Sequence[bool], values: Sequence[Any]) -> Q:
    """Return that a row comes after one with these values."""
    condition = Q()
    for name, fall, value in reversed(list(zip(names, falls, values, strict=True))):
        further = Q(**{f"{name}__{'lt' if fall else 'gt'}": value})
        condition = further | (Q(**{name: value}) & condition) if condition else further
    return condition


def _numbered(instants: Iterable[datetime]) -> list[tuple[datetime, int]]:
    """Tell entries of one instant apart by their place among them."""
    keys: list[tuple[datetime, int]] = []
    for instant in instants:
        place = keys[-1][1] + 1 if keys and keys[-1][0] == instant else 0
        keys.append((instant, place))
    return keys


def _answer(
    request: Request,
    results: list[Any],
    *,
    after: Sequence[Any] | None,
    before: Sequence[Any] | None,
) -> Response:
    """Answer with a page.

    Args:
        after: What the next page lies behind; None: there is none.
        before: What the page before this one lies before; None: there is none.
    """
    return Response(
        {
            "results": results,
            "next": after and _link(request, Cursor(after)),
            "previous": before and _link(request, Cursor(before, is_backward=True)),
        }
    )


def _link(request: Request, cursor: Cursor) -> str:
    query = request.query_params.copy()
    query["cursor"] = cursor.encoded()
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
