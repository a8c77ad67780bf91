"""Pages of long lists, by cursor: ``{"results": [...], "next": url | null, "previous": ...}``.

A cursor names the row where a page ended, by the values that the list is ordered by: rows that
come or go meanwhile move nothing, nothing is skipped or told twice, and a page far down costs
what the first one does.  Nothing is ever counted.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.utils.timezone import is_naive
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from ..core.errors import InvalidInput
from ..core.schema import Fault

PAGE_SIZE = 50
MAX_PAGE_SIZE = 200
_LONGEST_CURSOR = 1_000

PAGE_PARAMETERS = [
    OpenApiParameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE},
        description="The most results of a page.",
    ),
    OpenApiParameter(
        "cursor",
        {"type": "string", "maxLength": _LONGEST_CURSOR},
        description="Where the page begins: taken from `next` or `previous` of another page.",
    ),
]
PAGE_NAMES = frozenset(parameter.name for parameter in PAGE_PARAMETERS)

Row = TypeVar("Row", bound=Model)


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
    size, cursor = _size(request), _cursor(request, queryset, ordering)
    is_backward = cursor is not None and cursor.is_backward
    found = list(_beside(queryset, ordering, cursor)[: size + 1])
    rows = found[:size][::-1] if is_backward else found[:size]
    has_more = len(found) > size
    has_next = bool(rows) and (is_backward or has_more)
    has_previous = bool(rows) and (has_more if is_backward else cursor is not None)
    return Response(
        {
            "results": [present(row) for row in rows],
            "next": _link(request, rows[-1], ordering) if has_next else None,
            "previous": _link(request, rows[0], ordering, back=True) if has_previous else None,
        }
    )


def _size(request: Request) -> int:
    given = request.query_params.get("limit", str(PAGE_SIZE))
    if given.isascii() and given.isdigit() and 1 <= int(given[:9]) <= MAX_PAGE_SIZE:
        return int(given[:9])
    message = f"'{given[:50]}' is not from 1 to {MAX_PAGE_SIZE}"
    raise InvalidInput([Fault("limit", "out_of_range", message)])


def _cursor(request: Request, queryset: QuerySet[Row], ordering: Sequence[str]) -> Cursor | None:
    given = request.query_params.get("cursor")
    if given is None:
        return None
    try:
        padded = given[:_LONGEST_CURSOR].encode() + b"=="
        is_backward, *texts = json.loads(base64.urlsafe_b64decode(padded))
        columns = [queryset.model._meta.get_field(name.lstrip("-")) for name in ordering]
        values = [_value(column, text) for column, text in zip(columns, texts, strict=True)]
    except (ValueError, TypeError, RecursionError, ValidationError):
        message = "take it from `next` or `previous` of another page of the same list"
        raise InvalidInput([Fault("cursor", "invalid_cursor", message)]) from None
    return Cursor(values, is_backward=is_backward is True)


def _value(column: Any, text: Any) -> Any:
    if not isinstance(text, str) or "\x00" in text:
        raise TypeError
    value = column.to_python(text)
    if isinstance(value, datetime) and is_naive(value):
        raise ValueError
    return value


def _beside(
    queryset: QuerySet[Row], ordering: Sequence[str], cursor: Cursor | None
) -> QuerySet[Row]:
    if cursor is None:
        return queryset.order_by(*ordering)
    names = [name.lstrip("-") for name in ordering]
    falls = [name.startswith("-") != cursor.is_backward for name in ordering]
    order = [f"-{name}" if fall else name for name, fall in zip(names, falls, strict=True)]
    first, *_ = zip(names, falls, cursor.values, strict=True)
    # What follows from the rest, said so that an index of the first column serves it.
    wanted = Q(**{f"{first[0]}__{'lte' if first[1] else 'gte'}": first[2]})
    return queryset.filter(wanted, _past(names, falls, cursor.values)).order_by(*order)


def _past(names: Sequence[str], falls: Sequence[bool], values: Sequence[Any]) -> Q:
    """Return that a row comes after one with these values."""
    condition = Q()
    for name, fall, value in reversed(list(zip(names, falls, values, strict=True))):
        further = Q(**{f"{name}__{'lt' if fall else 'gt'}": value})
        condition = further | (Q(**{name: value}) & condition) if condition else further
    return condition


def _link(request: Request, row: Model, ordering: Sequence[str], *, back: bool = False) -> str:
    values = [getattr(row, name.lstrip("-")) for name in ordering]
    query = request.query_params.copy()
    query["cursor"] = Cursor(values, is_backward=back).encoded()
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
