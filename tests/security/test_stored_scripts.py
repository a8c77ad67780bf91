"""What somebody stored is shown as text, on every page of the admin and of the API."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from spane_django.engine.audit import record
from spane_django.engine.publish import publish
from spane_django.engine.run import utc_now
from spane_django.engine.secrets import create_secret
from spane_django.engine.start import StartOptions, start
from spane_django.models import Approval, DeadLetter, Execution, Gate, NodeRun, Tenant, Webhook
from tests.admin.stage import EVIL, EXPLODE, node, work, workflow
from tests.triggers.conftest import Hook

pytestmark = pytest.mark.django_db

SCRIPT = "<script>alert('stored')</script>"
QUOTE = "\"'><img src=x onerror=alert(1)>"
HOSTILE = f"{SCRIPT}{QUOTE}"
OURS = [model for model in admin.site._registry if model._meta.app_label == "spane_django"]


@pytest.fixture
def full(db: None, settings: Settings) -> None:
    """Something hostile in every text that a client may write."""
    settings.SPANE = {**settings.SPANE, "TENANT_MODEL": "spane_django.Tenant"}
    Tenant.objects.create(key="hostile", name=HOSTILE)
    publish(
        workflow(
            "hostile",
            node(HOSTILE, "function", EXPLODE),
            node("ask", "approval", {"title": HOSTILE, "description": HOSTILE, "users": ["boss"],
                                     "form": {"properties": {HOSTILE: {"title": HOSTILE}}}}),
            node("tell", "set", {"values": {HOSTILE: HOSTILE}}),
            name=HOSTILE,
        ),
        now=utc_now(),
    )  # fmt: skip
    publish({**EVIL, "name": HOSTILE}, now=utc_now())
    options = StartOptions(key=HOSTILE, idempotency_key="k", trigger=HOSTILE[:60])
    start("hostile", {HOSTILE: HOSTILE}, now=utc_now(), options=options)
    work()
    create_secret("hostile", HOSTILE, description=HOSTILE, now=utc_now())
    record("test", now=utc_now(), target=HOSTILE, reason=HOSTILE, after={HOSTILE: HOSTILE})
    hook = Webhook.objects.create(
        name=HOSTILE, workflow_key="hostile", path="some/where", methods=["POST"],
        signature="none", created_at=utc_now(), dedupe_key="body.x",
    )  # fmt: skip
    Hook(hook, "").send({HOSTILE: HOSTILE}, headers={"X-A": HOSTILE}, query="?a=<script>")
    Execution.objects.update(reason=HOSTILE)
    NodeRun.objects.filter(status="failed").update(error_message=HOSTILE, error_type=HOSTILE)
    DeadLetter.objects.update(error_message=HOSTILE, traceback=HOSTILE, error_type=HOSTILE)
    Gate.objects.update_or_create(key=HOSTILE)
    assert Approval.objects.exists()


def assert_is_text(page: str) -> None:
    assert SCRIPT not in page
    assert "<img src=x" not in page
    assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>", page)


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_no_page_of_the_admin_runs_what_was_stored(
    full: None, admin_client: Client, model: type[Model]
) -> None:
    name = f"admin:spane_django_{model._meta.model_name}"
    listed = admin_client.get(reverse(f"{name}_changelist"))
    searched = admin_client.get(reverse(f"{name}_changelist"), {"q": HOSTILE})

    assert listed.status_code == 200
    assert_is_text(listed.text)
    assert_is_text(searched.text)
    for row in model._default_manager.all()[:5]:
        for view in ("change", "history"):
            page = admin_client.get(reverse(f"{name}_{view}", args=[row.pk]))
            assert page.status_code in (200, 403, 404)
            assert_is_text(page.text)


def test_every_model_of_ours_that_has_a_page_is_looked_at() -> None:
    assert len(OURS) >= 10
    assert set(OURS) <= set(apps.get_app_config("spane_django").get_models())


def test_forms_and_questions_are_text_as_well(full: None, admin_client: Client) -> None:
    flow = reverse("admin:spane_django_workflow_changelist")
    key = Execution.objects.select_related("workflow").first()
    pages = [
        admin_client.get(f"{flow}{key.workflow_id}/start/"),
        admin_client.post(f"{flow}{key.workflow_id}/start/", {"given": HOSTILE, "key": HOSTILE}),
        admin_client.post(f"{flow}verb/disable/", {"ids": HOSTILE, "back": HOSTILE}),
        admin_client.get(f"{flow}{HOSTILE}/change/", follow=True),
        admin_client.post(
            reverse("admin:spane_django_secret_add"), {"name": HOSTILE, "description": HOSTILE}
        ),
    ]

    for page in pages:
        assert_is_text(page.text)


def test_the_api_answers_in_json_that_no_browser_takes_for_a_page(
    full: None, admin_client: Client
) -> None:
    paths: list[Any] = ["/api/executions", "/api/workflows", "/api/dlq", "/api/secrets", "/api/x",
                        f"/api/executions/{QUOTE}", "/api/triggers/webhooks"]  # fmt: skip

    for path in paths:
        answer = admin_client.get(path, headers={"Accept": "text/html"})
        if path != "/api/x":
            assert answer.headers["Content-Type"] == "application/json"
            json.loads(answer.content)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
