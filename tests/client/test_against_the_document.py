"""The client and the OpenAPI document say the same."""

from __future__ import annotations

import dataclasses
import inspect
import types
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from spane_django.api.document import document
from spane_django.client.exchange import Call
from spane_django.client.methods import Listing, Method, Methods
from spane_django.client.reading import fields_of

WITHOUT_A_METHOD = {
    ("get", "/api/docs"): "a page for people",
    ("get", "/api/schema"): "the document itself",
    ("get", "/health/live"): "for whatever keeps processes alive",
    ("get", "/health/ready"): "for load balancers",
    ("get", "/metrics"): "for Prometheus",
}
FOR_OTHERS = "/api/webhooks/"
"""Where other people's services call, each in its own way."""

METHODS = {name: each for name, each in vars(Methods).items() if isinstance(each, Method | Listing)}
SAMPLES: dict[Any, Any] = {
    str: "x", int: 1, float: 1.5, bool: True, datetime: datetime(2025, 1, 1, tzinfo=UTC),
    timedelta: timedelta(seconds=1), list: ["x"], dict: {},
}  # fmt: skip


def sample(hint: Any) -> Any:
    """Return something that fits an annotation."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return sample(get_args(hint)[0])
    if origin is not None and issubclass(origin, dict):
        return {}
    if origin is not None:
        return {} if issubclass(types.MappingProxyType, origin) else ["x"]
    return SAMPLES.get(hint, 1)


@cache
def call_of(name: str) -> Call[Any]:
    """Return the call that a method makes when everything is given."""
    function = METHODS[name].function
    hints = get_type_hints(function)
    given = {each: sample(hints[each]) for each in inspect.signature(function).parameters}
    call: Call[Any] = function(**given)
    return call


@cache
def operations() -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): operation
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    }


def operation_of(name: str) -> dict[str, Any]:
    call = call_of(name)
    return operations()[call.method.lower(), call.path]


def component(reference: str) -> dict[str, Any]:
    found: dict[str, Any] = document()["components"]["schemas"][reference.rpartition("/")[2]]
    return found


def shape(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without the reference that leads to it."""
    return component(schema["$ref"]) if "$ref" in schema else schema


def test_every_operation_has_a_method_or_a_reason_for_none() -> None:
    wanted = {key for key in operations() if not key[1].startswith(FOR_OTHERS)}
    made = {(call_of(name).method.lower(), call_of(name).path) for name in METHODS}

    assert wanted - made == set(WITHOUT_A_METHOD)
    assert made - wanted == set()


@pytest.mark.parametrize("name", METHODS)
def test_what_a_method_sends_stands_in_the_document(name: str) -> None:
    call, operation = call_of(name), operation_of(name)
    known: dict[str, set[str]] = {"path": set(), "query": set(), "header": set()}
    for parameter in operation.get("parameters", []):
        known[parameter["in"]].add(parameter["name"])

    assert set(call.ids) == known["path"]
    assert set(call.query) <= known["query"]
    assert set(call.headers) <= known["header"]
    assert (call.body is None) >= ("requestBody" not in operation)


@pytest.mark.parametrize("name", [name for name in METHODS if call_of(name).body])
def test_the_fields_of_a_body_stand_in_the_document(name: str) -> None:
    call = call_of(name)
    schema = operation_of(name)["requestBody"]["content"]["application/json"]["schema"]
    properties = shape(schema).get("properties")

    if properties is not None and isinstance(call.body, dict):
        assert set(call.body) <= set(properties)
        assert set(shape(schema).get("required", [])) <= set(call.body)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_returns_what_the_document_says(name: str) -> None:
    call = call_of(name)
    answers = operation_of(name)["responses"]
    fine = [answers[code] for code in sorted(answers) if code < "300"]
    contents = [answer.get("content", {}).get("application/json", {}) for answer in fine]
    schemas = [content["schema"] for content in contents if "schema" in content]

    if dataclasses.is_dataclass(call.answer):
        # Where the answer depends on what was asked, it is one of several.
        known = [option for schema in schemas for option in options_of(schema)]
        if len(known) > 1:
            known = [one for one in known if one["title"] == call.answer.__name__] or known
        assert known
        for found in known:
            if isinstance(METHODS[name], Listing):
                found = shape(found["properties"]["results"]["items"])
            assert_reads(call.answer, found, where=name)
    elif call.answer is type(None):
        assert schemas == []


@pytest.mark.parametrize("name", METHODS)
def test_lists_are_read_page_by_page(name: str) -> None:
    names = {parameter["name"] for parameter in operation_of(name).get("parameters", [])}

    assert isinstance(METHODS[name], Listing) == ("cursor" in names)


def options_of(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the objects that something may be, with their names."""
    if "oneOf" in shape(schema):
        return [one for option in shape(schema)["oneOf"] for one in options_of(option)]
    if "properties" not in shape(schema):
        return []
    return [{"title": schema.get("$ref", "").rpartition("/")[2], **shape(schema)}]


def assert_reads(kind: Any, schema: dict[str, Any], *, where: str) -> None:
    """Assert that a dataclass can be read from what has a schema, and those inside it from theirs.

    A field stands in the schema, or may be missing; one that may be missing or null there may be
    so here.
    """
    optional = {each.name for each in dataclasses.fields(kind) if has_default(each)}
    for name, wire, hint in fields_of(kind):
        place = f"{where}.{name}"
        if wire not in schema["properties"]:
            assert name in optional, place
            continue
        found = schema["properties"][wire]
        assert name in optional or wire in schema.get("required", []), place
        if hint is not Any and "Any" not in str(hint):
            is_null = "null" in found.get("type", ()) or "oneOf" in found
            assert type(None) in get_args(hint) or not is_null, f"{place} may be null"
        inner = inner_dataclass(hint)
        if inner is not None:
            assert_reads(inner, shape(inner_schema(found)), where=place)


def has_default(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def inner_dataclass(hint: Any) -> Any:
    """Return the dataclass inside an annotation; None: there is none."""
    if dataclasses.is_dataclass(hint):
        return hint
    return next(filter(None, map(inner_dataclass, get_args(hint))), None)


def inner_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the items, of the values, or of what is not null."""
    if "items" in schema:
        return inner_schema(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        return inner_schema(schema["additionalProperties"])
    for option in schema.get("oneOf", []):
        if "$ref" in option:
            return option  # type: ignore[no-any-return]
    return schema
