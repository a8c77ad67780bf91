"""The OpenAPI document tells of every route, and its page fetches nothing from elsewhere."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from django.contrib.staticfiles import finders
from django.test import Client, override_settings
from django.urls import URLPattern, include, path
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.validation import validate_schema

from spane_django import urls
from spane_django.api.document import document

from .conftest import Api, MakeApi, MakeUser

pytestmark = pytest.mark.django_db

urlpatterns = [path("engine/", include("spane_django.urls"))]


def route(pattern: URLPattern) -> str:
    """Return a route as the document writes it: ``/api/executions/{executionId}``."""

    def name(match: re.Match[str]) -> str:
        first, *rest = match[1].split("_")
        return "{" + first + "".join(part.title() for part in rest) + "}"

    return "/" + re.sub(r"<\w+:(\w+)>", name, str(pattern.pattern))


def operations() -> list[dict[str, Any]]:
    return [operation for methods in document()["paths"].values() for operation in methods.values()]


def test_every_route_is_in_the_document_and_nothing_else() -> None:
    routes = {route(pattern) for pattern in urls.urlpatterns}

    assert set(document()["paths"]) == routes
    assert {"/health", "/api/schema", "/api/executions/{executionId}"} <= routes


def test_the_document_is_made_without_a_warning_and_is_one_of_openapi() -> None:
    from spane_django.api import document as module

    module._generated.cache_clear()
    GENERATOR_STATS.reset()
    made = module.document()

    assert [*GENERATOR_STATS._warn_cache, *GENERATOR_STATS._error_cache] == []
    validate_schema(made)


def test_every_answer_and_every_body_has_a_shape() -> None:
    for operation in operations():
        fine = {code: answer for code, answer in operation["responses"].items() if code < "300"}
        bare = [code for code, answer in fine.items() if code != "204" and "content" not in answer]

        assert fine, operation["operationId"]
        assert not bare, operation["operationId"]
        assert operation["summary"], operation["operationId"]


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for operation in operations()]

    assert len(set(names)) == len(names)


def test_health_is_open_and_everything_else_takes_a_token_or_a_session() -> None:
    schemes = document()["components"]["securitySchemes"]
    by_path = document()["paths"]

    assert (schemes["token"]["scheme"], schemes["cookieAuth"]["in"]) == ("bearer", "cookie")
    assert by_path["/api/workflows"]["post"]["security"] == [{"token": []}, {"cookieAuth": []}]
    assert by_path["/health"]["get"]["security"] == [{}]


def test_the_document_comes_as_json_and_as_yaml(api_of: MakeApi) -> None:
    api = api_of("view_workflow")

    as_json = api.get("/api/schema")
    by_header = api.get("/api/schema", Accept="application/yaml")
    by_query = api.get("/api/schema?format=yaml")

    assert as_json["Content-Type"].startswith("application/json")
    assert by_header["Content-Type"].startswith("application/yaml")
    assert as_json.json()["openapi"].startswith("3.")
    assert yaml.safe_load(by_header.content) == yaml.safe_load(by_query.content) == as_json.json()


@override_settings(ROOT_URLCONF=__name__)
def test_the_document_knows_where_the_project_put_the_routes(api_of: MakeApi) -> None:
    found = api_of("view_workflow").get("/engine/api/schema").json()

    assert found["servers"] == [{"url": "/engine/"}]
    assert "/api/workflows" in found["paths"]


@override_settings(
    SPECTACULAR_SETTINGS={"TITLE": "Shop", "COMPONENT_SPLIT_REQUEST": True},
    REST_FRAMEWORK={"DEFAULT_SCHEMA_CLASS": "rest_framework.schemas.coreapi.AutoSchema"},
)
def test_what_a_project_says_of_its_own_document_changes_nothing() -> None:
    assert document()["info"]["title"] == "Workflows"


def test_nobody_reads_the_document_without_signing_in(client: Client) -> None:
    assert [client.get(f"/api/{name}").status_code for name in ("schema", "docs")] == [401, 401]


def test_the_page_holds_nothing_inline_and_fetches_shipped_files_only(
    client: Client, make_user: MakeUser
) -> None:
    client.force_login(make_user("view_workflow"))

    page = client.get("/api/docs").content.decode()
    linked = re.findall(r'(?:src|href)="([^"]+)"', page)

    assert re.findall(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", page) == []
    assert len(linked) == 5
    assert all(link.startswith("/static/") for link in linked)
    assert all(finders.find(link.removeprefix("/static/")) for link in linked)


@pytest.mark.parametrize(
    ("static_url", "files"),
    [("/static/", "'self'"), ("https://cdn.example/s/", "https://cdn.example")],
)
def test_the_page_may_load_static_files_and_ask_the_api_and_nothing_else(
    client: Client, make_user: MakeUser, settings: Any, static_url: str, files: str
) -> None:
    settings.STATIC_URL = static_url
    client.force_login(make_user("view_workflow"))

    policy = client.get("/api/docs")["Content-Security-Policy"].split("; ")

    assert {"default-src 'none'", f"script-src {files}", f"style-src {files}"} <= set(policy)
    assert "connect-src 'self'" in policy


def test_the_page_says_what_is_missing(api: Api) -> None:
    with override_settings(
        INSTALLED_APPS=[app for app in _installed() if app != "drf_spectacular_sidecar"]
    ):
        answer = api.get("/api/docs")

    assert answer.status_code == 404
    assert "drf_spectacular_sidecar" in json.loads(answer.content)["error"]["message"]


def _installed() -> list[str]:
    from django.conf import settings

    return list(settings.INSTALLED_APPS)
