"""Another site's page in the browser of somebody who is logged in: it changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from spane_django.engine.run import utc_now
from spane_django.engine.secrets import create_secret
from spane_django.models import Secret, Workflow
from spane_django.urls import urlpatterns
from tests.admin.stage import EVIL, ended, published

from .conftest import MakeMember
from .test_other_tenants import rows

pytestmark = pytest.mark.django_db

UNSAFE = [
    pytest.param(pattern, method, id=f"{method} {pattern.name}")
    for pattern in urlpatterns
    if pattern.name != "inbound"
    for method in pattern.callback.view_class.permissions
    if method != "GET"
]
OURS = [model for model in admin.site._registry if model._meta.app_label == "spane_django"]


def admin_views() -> Iterator[Any]:
    """Yield every address of our pages in the admin, with a key of a row that may be there."""
    for model in OURS:
        for pattern in admin.site._registry[model].get_urls():
            if pattern.name:
                route = re.sub(r"<[^>]*>", "1", str(pattern.pattern))
                path = f"/admin/spane_django/{model._meta.model_name}/{route}"
                yield pytest.param(path, id=f"{model._meta.model_name}/{route}")


@pytest.mark.parametrize(("pattern", "method"), UNSAFE)
@pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
def test_a_session_alone_changes_nothing_over_the_api(
    member: MakeMember, pattern: Any, method: str, origin: str | None
) -> None:
    someone = member("acme")
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(someone.user)
    path = "/" + re.sub(r"<\w+:(\w+)>", "1", pattern.pattern._route)
    before = rows()
    headers = {"Origin": origin} if origin else {}

    answers = [
        browser.generic(method, path, body, kind, headers=headers)
        for kind, body in (
            ("application/json", b"{}"),
            ("text/plain", b"{}"),
            ("application/x-www-form-urlencoded", b"a=1"),
        )
    ]

    assert {answer.status_code for answer in answers} == {403}
    assert "CSRF" in answers[0].json()["error"]["message"]
    assert rows() == before


def test_a_token_is_not_sent_by_browsers_on_their_own_and_needs_no_second_proof(
    member: MakeMember,
) -> None:
    someone = member("acme")
    client = Client(enforce_csrf_checks=True)

    answer = client.post(
        "/api/secrets", json.dumps({"name": "a", "value": "a value"}), "application/json",
        headers={"Authorization": f"Bearer {someone.api.token}"},
    )  # fmt: skip

    assert answer.status_code == 201


@pytest.mark.parametrize("path", list(admin_views()))
def test_a_post_to_the_admin_without_its_proof_is_refused(
    admin_client: Client, admin_user: Any, path: str
) -> None:
    create_secret("kept", "a value", now=utc_now())
    ended(EVIL)
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(admin_user)
    before = rows()

    answer = browser.post(path, {"post": "yes", "ids": "1", "action": "delete_selected"})

    assert answer.status_code in (403, 404, 405)
    assert rows() == before


@pytest.mark.parametrize(
    "back",
    [
        "https://evil.example/", "//evil.example/", "/\\evil.example", "\\\\evil.example",
        "javascript:alert(1)", "https:evil.example", "http:///evil.example", "\x00//evil.example",
        "/admin/\r\nSet-Cookie: a=b", "https://testserver@evil.example/", "data:text/html,x",
    ],
)  # fmt: skip
def test_after_a_verb_the_browser_stays_here(admin_client: Client, back: str) -> None:
    published(EVIL)
    workflow = Workflow.objects.get()
    url = reverse("admin:spane_django_workflow_verb", args=["disable"])

    answer = admin_client.post(url, {"ids": str(workflow.pk), "back": back})

    assert answer.status_code in (200, 302)
    location = answer.headers.get("Location", "/admin/")
    assert location.startswith("/admin/")
    assert "evil" not in location
    assert "Set-Cookie: a=b" not in str(answer.headers)


def test_no_page_of_ours_can_be_framed(admin_client: Client) -> None:
    create_secret("kept", "a value", now=utc_now())

    for model in OURS:
        answer = admin_client.get(
            reverse(f"admin:spane_django_{model._meta.model_name}_changelist")
        )
        assert answer.headers["X-Frame-Options"] == "DENY"
    assert Secret.objects.exists()
