"""The OpenAPI document of these routes, as JSON and YAML, and a page to browse and try them.

The document is made once per process, of the routes of `spane_django.urls` alone, with settings
of its own: a project's ``SPECTACULAR_SETTINGS`` and ``REST_FRAMEWORK`` change nothing.  The page
is Swagger UI from ``drf_spectacular_sidecar``; it holds no inline script or style, so a strict
Content-Security-Policy lets it work.
"""

from __future__ import annotations

from functools import lru_cache
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings as django_settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer2, OpenApiYamlRenderer2
from drf_spectacular.settings import SPECTACULAR_DEFAULTS, patched_settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import NotFound
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response

from .. import __version__
from ..core.errors import InvalidInput
from ..core.schema import Fault
from .base import EngineView
from .filters import require_known
from .openapi import extend_schema

_DESCRIPTION = """Durable workflows: register definitions, start executions, watch and operate them.

A program shows a token, `Authorization: Bearer spane_…`; a browser its session, with a CSRF token.
Instants are ISO 8601 in UTC. Errors have one shape and list every fault with its path."""

_SETTINGS = {
    **{
        name: value
        for name, value in SPECTACULAR_DEFAULTS.items()
        if not name.startswith("SERVE_") and name != "DEFAULT_GENERATOR_CLASS"
    },
    "TITLE": "Workflows",
    "DESCRIPTION": _DESCRIPTION,
    "VERSION": __version__,
    "OAS_VERSION": "3.1.0",
    "CAMELIZE_NAMES": True,
    "SCHEMA_PATH_PREFIX": "/api",
    "PATH_CONVERTER_OVERRIDES": {"spane_any": str},
    # Choices stand where they are used: no names to invent, none to collide.
    "POSTPROCESSING_HOOKS": [],
}
_ROUTES = "spane_django.urls"
_FORMATS = ("json", "yaml")
_FORMAT = OpenApiParameter(
    "format",
    {"type": "string", "enum": list(_FORMATS), "default": "json"},
    description="Instead of the header `Accept`.",
)
_lock = Lock()


def document(root: str = "/") -> dict[str, Any]:
    """Return the OpenAPI document.

    Args:
        root: The path at which the project includes the routes.
    """
    # The settings of drf-spectacular are one object of the process: one generation at a time.
    with _lock:
        return {**_generated(), "servers": [{"url": root}]}


@lru_cache(maxsize=1)
def _generated() -> dict[str, Any]:
    with patched_settings(_SETTINGS), GENERATOR_STATS.silence():
        generator = SchemaGenerator(urlconf=_ROUTES)
        made: dict[str, Any] = generator.get_schema(public=True)
    return _with_refusals_once(made)


def _with_refusals_once(made: dict[str, Any]) -> dict[str, Any]:
    """Say once how each status refuses: a hundred routes refuse in the same ways."""
    refusals: dict[str, Any] = made["components"].setdefault("responses", {})
    for operation in (found for methods in made["paths"].values() for found in methods.values()):
        for status, answer in operation["responses"].items():
            name = f"Refusal{status}"
            if status >= "400" and answer == refusals.setdefault(name, answer):
                operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}
    return made


class JsonOrYaml(DefaultContentNegotiation):
    """Answers in YAML to who asks for it, and in JSON to everybody else."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        wants_yaml = "yaml" in request.headers.get("Accept", "") + request.GET.get("format", "")
        renderer = renderers[1] if wants_yaml else renderers[0]
        return renderer, renderer.media_type


class SchemaView(EngineView):
    """The OpenAPI document of this API: JSON, or YAML with `Accept: application/yaml`."""

    permissions = {"GET": "spane_django.view_workflow"}
    renderer_classes = (OpenApiJsonRenderer2, OpenApiYamlRenderer2)
    content_negotiation_class = JsonOrYaml

    @extend_schema(
        summary="The OpenAPI document",
        parameters=[_FORMAT],
        responses={(200, "application/json", "application/yaml"): OpenApiTypes.OBJECT},
    )
    def get(self, request: Request) -> Response:
        require_known(request, ["format"])
        given = request.query_params.get("format", "json")
        if given not in _FORMATS:
            message = f"'{given[:50]}' is none of {', '.join(_FORMATS)}"
            raise InvalidInput([Fault("format", "schema", message)])
        schema_path = reverse("spane_django:schema")
        return Response(document(schema_path.removesuffix("api/schema")))


class DocsView(EngineView):
    """The page that shows the document and tries its routes."""

    permissions = {"GET": "spane_django.view_workflow"}

    @extend_schema(summary="The API as a page", responses={(200, "text/html"): OpenApiTypes.STR})
    def get(self, request: Request) -> HttpResponse:
        if not apps.is_installed("drf_spectacular_sidecar"):
            raise NotFound("the page needs 'drf_spectacular_sidecar' in INSTALLED_APPS")
        header = django_settings.CSRF_HEADER_NAME.removeprefix("HTTP_").replace("_", "-")
        plain: HttpRequest = request._request
        page = render(plain, "spane_django/docs.html", {"csrf_header": header})
        page.headers.setdefault("Content-Security-Policy", _policy())
        return page


def _policy() -> str:
    """Return what the page may load: shipped files, wherever static files are, and the API."""
    static = urlsplit(django_settings.STATIC_URL or "")
    files = f"{static.scheme or 'https'}://{static.netloc}" if static.netloc else "'self'"
    return (
        f"default-src 'none'; script-src {files}; style-src {files}; "
        f"img-src {files} data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
