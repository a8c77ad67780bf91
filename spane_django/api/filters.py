"""What lists can be narrowed by: FilterSets of django-filter whose values are JSON Schemas.

Each filter is read, checked and described by its schema.  A parameter that a list does not know
is refused: a misspelt filter must not give everything.  The names are those of a bulk operation's
selection, where both have them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import django_filters
from django import forms
from django.db.models import Model, QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from ..core.errors import InvalidInput
from ..core.instants import instant_from
from ..core.schema import Fault, Schema, faults_in
from ..models import Workflow
from .pages import PAGE_NAMES

Row = TypeVar("Row", bound=Model)

INSTANT: Schema = {"type": "string", "format": "date-time"}
IDENTIFIER: Schema = {"type": "string", "format": "uuid"}
NUMBER: Schema = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}


class WireField(forms.Field):
    """Reads a parameter by a JSON Schema: a string, a number, a boolean or a list of strings."""

    def __init__(self, *, schema: Schema, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.schema = schema

    def clean(self, value: Any) -> Any:
        if value is None:
            return None
        if "\x00" in value:
            raise forms.ValidationError("NUL characters are refused", code="unstorable")
        try:
            read = _read(self.schema, value)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None
        plain = value if isinstance(read, datetime | UUID) else read
        if faults := list(faults_in(self.schema, plain, "")):
            raise forms.ValidationError([str(fault) for fault in faults])
        return read


class WireFilter(django_filters.Filter):
    """A filter in the words of the wire.

    Args:
        column: What is compared.
        schema: What the parameter takes.
        description: What it chooses, for people.
    """

    field_class = WireField

    def __init__(
        self, column: str, schema: Schema, description: str, *, lookup: str = "exact", **more: Any
    ) -> None:
        super().__init__(column, lookup, schema=schema, **more)
        self.schema, self.description = schema, description

    def filter(self, qs: QuerySet[Row], value: Any) -> QuerySet[Row]:
        if value is None:
            return qs
        return qs.filter(**{f"{self.field_name}__{self.lookup_expr}": value})


def text(column: str, description: str, *, longest: int = 200, **more: Any) -> WireFilter:
    """Return a filter by a text."""
    schema = {"type": "string", "minLength": 1, "maxLength": longest}
    return WireFilter(column, schema, description, **more)


def instant(column: str, description: str, *, lookup: str) -> WireFilter:
    """Return a filter by a time with a zone."""
    return WireFilter(column, INSTANT, description, lookup=lookup)


def choices(column: str, values: Collection[str], description: str) -> WireFilter:
    """Return a filter by one or more of some values, with commas between them."""
    item = {"type": "string", "enum": list(values)}
    schema = {"type": "array", "items": item, "minItems": 1}
    return WireFilter(column, schema, description, lookup="in")


def filtered(
    request: Request, filters: type[django_filters.FilterSet], queryset: QuerySet[Row]
) -> QuerySet[Row]:
    """Narrow a list by the parameters of a request.

    Raises:
        InvalidInput: one is unknown or refused; every fault is listed.
    """
    narrowed: QuerySet[Row] = _read_all(request, filters, queryset).qs
    return narrowed


def values_of(request: Request, filters: type[django_filters.FilterSet]) -> dict[str, Any]:
    """Return the filters that a request names, for a list that lies in no table.

    Raises:
        InvalidInput: as `filtered`.
    """
    chosen = _read_all(request, filters, Workflow.objects.none())
    return {name: value for name, value in chosen.form.cleaned_data.items() if value is not None}


def parameters_of(filters: type[django_filters.FilterSet]) -> list[OpenApiParameter]:
    """Return the filters of a list as the document has them."""
    return [
        OpenApiParameter(
            name,
            found.schema,
            description=found.description,
            explode=False if found.schema["type"] == "array" else None,
            style="form" if found.schema["type"] == "array" else None,
        )
        for name, found in filters.base_filters.items()
    ]


def require_known(request: Request, known: Collection[str]) -> None:
    """Refuse parameters that a route does not know.

    Raises:
        InvalidInput: every one of them is listed.
    """
    if faults := list(_unknown(request, known)):
        raise InvalidInput(faults)


def _read_all(
    request: Request, filters: type[django_filters.FilterSet], queryset: QuerySet[Row]
) -> django_filters.FilterSet:
    chosen = filters(request.query_params, queryset, request=request)
    faults = [*_unknown(request, {*chosen.filters, *PAGE_NAMES}), *_refused(chosen)]
    if faults:
        raise InvalidInput(faults)
    return chosen


def _unknown(request: Request, known: Collection[str]) -> Iterator[Fault]:
    for name in request.query_params:
        if name not in known:
            message = f"there is no such parameter: use {', '.join(sorted(known))}"
            yield Fault(name, "unknown_parameter", message)


def _refused(chosen: django_filters.FilterSet) -> Iterator[Fault]:
    for name, errors in chosen.errors.as_data().items():
        for error in errors:
            yield from (Fault(name, error.code or "schema", message) for message in error.messages)


def _read(schema: Schema, given: str) -> Any:
    match schema.get("type"), schema.get("format"):
        case "integer", _:
            return _number(given)
        case "boolean", _:
            return {"true": True, "false": False}.get(given, given)
        case "array", _:
            return given.split(",")
        case _, "date-time":
            return _instant(given)
        case _, "uuid":
            return UUID(given)
    return given


def _number(given: str) -> int | str:
    is_number = given.isascii() and given.removeprefix("-").isdigit() and len(given) <= 20
    return int(given) if is_number else given


def _instant(given: str) -> datetime:
    if (found := instant_from(given)) is None:
        raise ValueError(f"'{given[:50]}' is no time with a zone: write 2025-01-31T12:00:00Z")
    return found
