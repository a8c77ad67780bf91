"""How views describe themselves: `extend_schema` for ours, and what every operation says.

The bodies that are read and the bodies that are described are the same JSON Schemas.  Every
operation also tells its permission and how it refuses: in the one shape of errors.

A project's ``DEFAULT_SCHEMA_CLASS`` has no say, so views take `extend_schema` from here and not
from drf-spectacular, whose own builds on that setting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from django.views import View
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from drf_spectacular.utils import extend_schema as spectacular_extend_schema
from rest_framework import serializers

from ..core.schema import Schema, faults_in
from ..core.starting import KEY_LENGTH
from .examples import PROBLEM
from .filters import parameters_of
from .pages import PAGE_PARAMETERS

JSON = "application/json"
Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_REFUSALS = {
    "400": "What was sent is refused; every fault is listed with its path.",
    "401": "No token or session, or one that is not good.",
    "403": "The permission is missing.",
    "404": "There is no such thing.",
    "405": "The route does not know the method.",
    "409": "Not possible as things stand; the message says why.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "422": "The definition or the form is refused; every fault is listed with its path.",
    "429": "Too many requests; `Retry-After` says when to come again.",
    "503": "Something that the answer needs cannot be reached.",
}


class FaultShape(serializers.Serializer[Any]):
    """One thing that is wrong."""

    path = serializers.CharField(
        allow_blank=True, help_text="A JSON path into what was sent, or a header's name."
    )
    code = serializers.CharField(help_text="For programs.")
    message = serializers.CharField(help_text="For people: what is wrong and what to do.")


class ProblemShape(serializers.Serializer[Any]):
    """What went wrong."""

    code = serializers.CharField(help_text="For programs.")
    message = serializers.CharField(help_text="For people.")
    details = FaultShape(many=True)


class ErrorShape(serializers.Serializer[Any]):
    """The one shape of errors."""

    error = ProblemShape()


class EngineSchema(AutoSchema):
    """Describes an operation of an `EngineView`."""

    def get_operation_id(self) -> str:
        """Name an operation after its view: ``pause``, ``getWorkflow``."""
        name = type(self.view).__name__.removesuffix("View")
        if list(self.view.allowed_methods)[:-1] == ["POST"]:
            return name[0].lower() + name[1:]
        return f"{self.method.lower()}{name}"

    def get_description(self) -> str:  # type: ignore[override]
        permission = getattr(self.view, "permissions", {}).get(self.method)
        needed = f"\n\nTakes the permission `{permission}`." if permission else ""
        return f"{super().get_description()}{needed}"

    def get_override_parameters(self) -> list[Any]:
        """Add what the view's filters and pages take to what it says itself."""
        found = list(super().get_override_parameters())
        if self.method != "GET":
            return found
        if filters := getattr(self.view, "filterset_class", None):
            found += parameters_of(filters)
        return [*found, *PAGE_PARAMETERS] if getattr(self.view, "is_paged", False) else found

    def get_summary(self) -> str | None:
        """Say what the first sentence about the view says, unless it has a summary."""
        said: str | None = super().get_summary()
        first = (type(self.view).__doc__ or "").partition(".")[0].partition(":")[0]
        return said or first.replace("``", "").replace("\n    ", " ")

    def _get_request_body(self, direction: Any = "request") -> dict[str, Any] | None:
        """Say that a body must be sent where none, which is read as ``{}``, would be refused."""
        body: dict[str, Any] | None = super()._get_request_body(direction)
        if body:
            schemas = [content["schema"] for content in body["content"].values()]
            if any(_is_needed(schema) for schema in schemas):
                body["required"] = True
        return body

    def _map_serializer_field(
        self, field: Any, direction: Any, bypass_extensions: bool = False
    ) -> dict[str, Any]:
        """Say of a field that takes any JSON just that: null needs no saying."""
        found: dict[str, Any] = super()._map_serializer_field(field, direction, bypass_extensions)
        if isinstance(found, dict) and {} in found.get("oneOf", ()):
            del found["oneOf"]
        return found

    def _get_format_parameters(self) -> list[Any]:
        # Whatever the project calls it: a view that has formats says so itself.
        return []

    def get_serializer_name(self, serializer: Any, direction: Any) -> str:
        return type(serializer).__name__.removesuffix("Shape").removesuffix("Serializer")

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        found: dict[str, Any] = super()._get_response_bodies(direction)
        for code in self._refusals():
            if code not in found:
                shown = [example("A refusal", PROBLEM, on=400)] if code == "400" else []
                refusal = OpenApiResponse(ErrorShape, _REFUSALS[code], shown)
                found[code] = self._get_response_for_code(refusal, code, [JSON])
        return dict(sorted(found.items()))

    def _refusals(self) -> Sequence[str]:
        codes = ["400", "405"]
        if self.view.authentication_classes:
            codes += ["401", "403", "404", "429", "503"]
        if self.method in ("POST", "PUT", "PATCH"):
            codes += ["409", "413", "415", "422"]
        return codes if self.method != "DELETE" else [*codes, "409"]


def _is_needed(schema: Schema) -> bool:
    return "$ref" not in schema and any(faults_in(schema, {}, ""))


class TokenScheme(OpenApiAuthenticationExtension):
    """Describes the token of a program."""

    target_class = "spane_django.api.auth.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "An API token: `spane_…`."}


def extend_schema(
    *,
    request: Any = None,
    responses: Any = None,
    examples: Sequence[OpenApiExample] = (),
    parameters: Sequence[Any] = (),
    **more: Any,
) -> Callable[[Decorated], Decorated]:
    """Describe a view or one of its methods, as drf-spectacular's decorator does.

    Args:
        request: A JSON Schema, one for each media type, or a serializer; None: the operation
            takes no body.
        responses: By status; a serializer or a JSON Schema.
    """
    is_schema = isinstance(request, Mapping) and JSON not in request
    body = {JSON: dict(request)} if is_schema else request
    answers = responses if isinstance(responses, dict) else {200: responses}
    says = spectacular_extend_schema(
        request=body,
        responses=answers,
        examples=list(examples),
        parameters=list(parameters),
        **more,
    )

    def decorate(decorated: Decorated) -> Decorated:
        if not (isinstance(decorated, type) and issubclass(decorated, View)):
            vars(decorated).setdefault("kwargs", {"schema": EngineSchema})
        return says(decorated)

    return decorate


def header(name: str, description: str, *, on: Sequence[int] = (), type: Any = str) -> Any:
    """Describe a header: of the request, or of the answers with these statuses."""
    return OpenApiParameter(
        name, type, OpenApiParameter.HEADER, description=description, response=list(on) or False
    )


def sent(title: str, value: Any) -> OpenApiExample:
    """Return an example of a body that is sent."""
    return OpenApiExample(title, value=value, request_only=True)


def example(title: str, value: Any, *, on: int = 200) -> OpenApiExample:
    """Return an example of the answer with a status."""
    return OpenApiExample(title, value=value, response_only=True, status_codes=[str(on)])


def page_of(item: type[serializers.Serializer[Any]]) -> type[serializers.Serializer[Any]]:
    """Return the shape of a page of items."""
    name = item.__name__.removesuffix("Shape")
    link: dict[str, Any] = {"allow_null": True, "help_text": "Null: there is nothing there."}
    fields = {
        "__doc__": f"A page: {item.__doc__}",
        "results": item(many=True),
        "next": serializers.URLField(**link),
        "previous": serializers.URLField(**link),
    }
    return type(f"{name}PageShape", (serializers.Serializer,), fields)


def object_of(properties: Mapping[str, Schema], *required: str) -> Schema:
    """Return the JSON Schema of an object with these properties and no others."""
    schema: Schema = {
        "type": "object",
        "properties": dict(properties),
        "additionalProperties": False,
    }
    return {**schema, "required": list(required)} if required else schema


ACCEPTED = header("Location", "Where the execution is found.", on=[202])


def idempotency(*, longest: int = KEY_LENGTH) -> OpenApiParameter:
    """Describe the key of a start, of so many characters."""
    return OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "minLength": 1, "maxLength": longest, "pattern": "^[ -~]+$"},
        OpenApiParameter.HEADER,
        description="Used again with the same input, it gives what was started before.",
    )


IDEMPOTENCY = idempotency()
