"""Who may ask for what: closed by default, opened by one permission each."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from spane_django.api.base import EngineView
from spane_django.engine.run import utc_now
from spane_django.engine.tokens import issue, revoke
from spane_django.models import ApiToken
from spane_django.urls import urlpatterns

from .conftest import EVERYTHING, Api, MakeApi, MakeUser, definition, run_flow

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
OPEN = {"health", "inbound", "live", "ready"}
IDS = {
    "workflow_id": "flow", "execution_id": str(uuid4()), "letter_id": "1", "number": "1",
    "approval_id": "1", "signal_name": "paid", "node_id": "a", "operation_id": str(uuid4()),
    "name": "stripe",
}  # fmt: skip

ROUTES = [pattern for pattern in urlpatterns if pattern.name not in OPEN]
CALLS = [
    pytest.param(pattern, method, id=f"{method} {pattern.name}")
    for pattern in ROUTES
    for method in METHODS
]
PERMITTED = [
    pytest.param(pattern, method, permission, id=f"{method} {pattern.name}")
    for pattern in ROUTES
    for method, permission in pattern.callback.view_class.permissions.items()
]


def path_of(pattern: Any) -> str:
    route: str = pattern.pattern._route
    for name, value in IDS.items():
        route = route.replace(f"<str:{name}>", value)
    return f"/{route}"


def view_of(pattern: Any) -> type[EngineView]:
    found: type[EngineView] = pattern.callback.view_class
    return found


def call(api: Api, method: str, path: str) -> Any:
    headers = {"Authorization": f"Bearer {api.token}"} if api.token else {}
    return api.client.generic(method, path, b"{}", "application/json", headers=headers)


def test_every_route_is_a_view_that_brings_its_own_policies() -> None:
    views = [view_of(pattern) for pattern in urlpatterns]

    assert all(issubclass(view, EngineView) for view in views)
    assert {pattern.name for pattern in urlpatterns if not view_of(pattern).permissions} == OPEN


@pytest.mark.parametrize(("pattern", "method"), CALLS)
def test_without_a_user_nothing_is_answered(db: None, pattern: Any, method: str) -> None:
    answer = call(Api(), method, path_of(pattern))

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="spane"'


@pytest.mark.parametrize(("pattern", "method"), CALLS)
def test_a_user_without_permissions_gets_nothing(
    api_of: MakeApi, pattern: Any, method: str
) -> None:
    known = {*view_of(pattern).permissions, "HEAD" if "GET" in view_of(pattern).permissions else ""}

    answer = call(api_of(), method, path_of(pattern))

    assert answer.status_code == (403 if method in known else 405)


@pytest.mark.parametrize(("pattern", "method", "permission"), PERMITTED)
def test_all_permissions_but_the_one_are_not_enough_and_the_one_is(
    api_of: MakeApi, wakes: list[str], pattern: Any, method: str, permission: str
) -> None:
    codename = permission.removeprefix("spane_django.")
    others = set(EVERYTHING) - {codename}

    refused = call(api_of(*others), method, path_of(pattern))
    let_in = call(api_of(codename), method, path_of(pattern))

    assert refused.status_code == 403
    assert permission in refused.json()["error"]["message"]
    assert let_in.status_code in (200, 400, 404, 422)


def test_health_is_for_everybody_and_only_to_be_read(db: None) -> None:
    client = Client()

    assert client.get("/health/live").json() == {"status": "alive"}
    assert client.get("/health/ready").status_code == 200
    assert client.post("/health/live").status_code == 405


def test_payloads_are_hidden_from_those_who_may_only_see_executions(
    api: Api, api_of: MakeApi
) -> None:
    secret = "4111 1111 1111 1111"
    paid = definition("a", "b", key="paid", a={"log": "paying"}, b={"return": secret})
    declined = definition("a", key="declined", a={"fail": "declined", "retries": 0})
    ids = [run_flow(api, raw, {"card": secret}) for raw in (paid, declined)]
    paths = [f"/api/executions/{one}{part}" for one in ids for part in ("", "/logs", "/trace")]
    viewer = api_of("view_execution", "view_deadletter")

    seen = [viewer.get(path).json() for path in [*paths, "/api/dlq"]]
    seen_by_all = [api.get(path).json() for path in [*paths, "/api/dlq"]]

    assert secret not in str(seen)
    assert all(secret in str(seen_by_all[place]) for place in (0, 1, 3, 6))
    assert seen[0]["payloadsHidden"]
    assert {line["data"] for line in seen[1]["results"]} == {None}
    assert (seen[0]["input"], seen[0]["output"]) == (None, None)
    assert seen[6]["results"][0]["error"] == "declined"


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Bearer x", "Bearer a b", "Bearer é", "bearer spane_", "Bear x"]
)
def test_a_token_that_is_none_is_refused(db: None, header: str) -> None:
    answer = Client().get("/api/stats", headers={"Authorization": header})

    assert (answer.status_code, answer.json()["error"]["details"]) == (401, [])


def test_a_token_is_kept_as_a_hash_and_shown_once(make_user: MakeUser) -> None:
    token, record = issue(make_user(), "reports", now=utc_now())
    other, _ = issue(make_user(), "reports", now=utc_now())

    kept = ApiToken.objects.values().get(pk=record.pk)
    assert token.startswith("spane_")
    assert token != other
    assert token.startswith(kept["prefix"])
    assert all(token not in str(value) for value in kept.values())


@pytest.mark.parametrize("end", ["expired", "revoked", "disabled"])
def test_a_token_that_is_no_longer_good_is_refused(make_user: MakeUser, end: str) -> None:
    user, now = make_user("view_execution"), utc_now()
    token, record = issue(user, "reports", now=now, expires_in=timedelta(hours=1))
    before = Api(token).get("/api/stats").status_code

    if end == "expired":
        ApiToken.objects.update(expires_at=now)
    elif end == "revoked":
        assert revoke(record.pk, now=now)
        assert not revoke(record.pk, now=now)
    else:
        User.objects.update(is_active=False)

    assert (before, Api(token).get("/api/stats").status_code) == (200, 401)


def test_a_session_reads_freely_and_writes_only_with_its_csrf_token(make_user: MakeUser) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user("view_execution", "publish_workflow"))
    client.cookies["csrftoken"] = "a" * 32

    read = client.get("/api/stats")
    forged = client.post("/api/workflows", definition("a"), "application/json")
    meant = client.post(
        "/api/workflows", definition("a"), "application/json", headers={"X-CSRFToken": "a" * 32}
    )

    assert (read.status_code, forged.status_code, meant.status_code) == (200, 403, 201)
    assert forged.json()["error"]["code"] == "permission_denied"


def test_the_settings_of_the_project_for_rest_framework_change_nothing(
    api: Api, settings: Settings
) -> None:
    settings.REST_FRAMEWORK = {
        "EXCEPTION_HANDLER": "nowhere.to_be_found",
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.BrowsableAPIRenderer"],
        "DEFAULT_PARSER_CLASSES": [],
    }

    assert api.get("/api/workflows/nobody").json()["error"]["code"] == "unknown_workflow"
    assert api.post("/api/workflows", definition("a")).status_code == 201
    assert Client().get("/api/stats").status_code == 401
