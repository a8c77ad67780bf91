"""In the admin a tenant's rows do not exist for another one's operators, whatever they may do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.sites import site
from django.contrib.auth.models import Permission, User
from django.db.models import Model
from django.test import Client
from django.urls import URLPattern, reverse
from pytest_django import Settings

from spane_django.admin.verbs import VerbsAdmin
from spane_django.engine.publish import publish
from spane_django.engine.run import utc_now
from spane_django.engine.start import StartOptions, start
from spane_django.engine.tokens import issue
from spane_django.models import (
    Alert,
    ApiToken,
    AuditEntry,
    Dashboard,
    Execution,
    LogLine,
    NodeRun,
    QueueSample,
    Rollup,
    Tenant,
    Trigger,
    Workflow,
    WorkflowVersion,
)
from tests.admin.pages import list_of, page_of, tab_of, verb_of
from tests.admin.stage import GOOD
from tests.api.conftest import _task_type
from tests.api.matrix import MAKERS, Caller, World

__all__ = ["_task_type"]  # a fixture

OURS = [model for model in site._registry if model._meta.app_label == "spane_django"]
OF_INSTALLATION = {"Gate", "Worker"}
WITHOUT_ROWS = {"Dashboard"}
OF_TENANTS = [model for model in OURS if model.__name__ not in OF_INSTALLATION | WITHOUT_ROWS]
_NAMED = {
    "Approval": "approval_id", "BulkOperation": "operation_id", "DeadLetter": "letter_id",
    "Execution": "execution_id", "Schedule": "schedule_id", "Secret": "name",
    "Trigger": "trigger_id", "Webhook": "webhook_id", "WebhookDelivery": "delivery_id",
}  # fmt: skip


@pytest.fixture
def world(db: None, settings: Settings, wakes: list[str]) -> World:
    settings.SPANE = {**settings.SPANE, "TENANT_MODEL": "spane_django.Tenant"}
    made = World()
    made.started("acme-logs", a={"type": "task", "config": {"log": "acme wrote this"}})
    now = utc_now()
    issue(made.operator, "acme's program", now=now, tenant="acme")
    Alert.objects.create(
        key="acme", rule=Alert.Rule.FAILURES, tenant="acme", workflow_key="acme-logs",
        opened_at=now, last_at=now,
    )  # fmt: skip
    return made


def operator(tenant: str) -> Client:
    """Log in somebody of a tenant's who may do everything."""
    user = User.objects.create_user(f"staff-{tenant}", is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    Tenant.objects.get(key=tenant).users.add(user)
    client = Client()
    client.force_login(user)
    return client


def row_of(model: type[Model], world: World) -> Model:
    """Return a row that belongs to acme."""
    if name := _NAMED.get(model.__name__):
        key = MAKERS[name](world, Caller("admin", world.root))
        found = {"name": key} if name == "name" else {"pk": key}
        return model._default_manager.get(**found)
    owned: dict[type[Model], dict[str, Any]] = {
        Workflow: {"key": "acme-flow"},
        WorkflowVersion: {"workflow__key": "acme-flow", "number": 1},
        NodeRun: {"execution__workflow__key": "acme-logs"},
        LogLine: {"message": "acme wrote this"},
        Alert: {"tenant": "acme"},
        ApiToken: {"tenant": "acme"},
        AuditEntry: {"tenant": "acme"},
        Tenant: {"key": "acme"},
    }
    row = model._default_manager.filter(**owned[model]).first()
    assert row is not None
    return row


def paths_of(row: Model) -> list[str]:
    """Return the addresses of all pages of a row."""
    found = []
    for pattern in site._registry[type(row)].get_urls():
        if isinstance(pattern, URLPattern) and pattern.name:
            names = list(pattern.pattern.converters)
            if names and set(names) <= {"pk", "object_id", "name", "number", "other"}:
                given = {name: row.pk if name in ("pk", "object_id") else "1" for name in names}
                if {"pk", "object_id"} & set(names):
                    found.append(reverse(f"admin:{pattern.name}", kwargs=given))
    return found


@pytest.mark.parametrize("model", OF_TENANTS, ids=lambda model: model.__name__)
def test_a_list_holds_the_rows_of_the_users_tenants_alone(world: World, model: Any) -> None:
    row = row_of(model, world)

    theirs = operator("other").get(list_of(model, "?all=1&resolved=all"))
    ours = operator("acme").get(list_of(model))

    assert theirs.status_code in (200, 302)
    assert str(row.pk) not in [str(found.pk) for found in _rows(theirs)]
    assert "acme" not in theirs.content.decode().lower()
    assert ours.status_code == 200


@pytest.mark.parametrize("model", OF_TENANTS, ids=lambda model: model.__name__)
def test_no_page_of_a_row_answers_another_tenant(world: World, model: Any) -> None:
    row, client = row_of(model, world), operator("other")
    before = model._default_manager.filter(pk=row.pk).values().get()
    paths = paths_of(row)

    for path in paths:
        for answer in (client.get(path), client.post(path, {"confirmed": "1", "ids": row.pk})):
            assert answer.status_code in (302, 403, 404, 405), path
            assert b"acme" not in answer.content.lower().replace(path.encode().lower(), b""), path

    assert paths
    assert model._default_manager.filter(pk=row.pk).values().get() == before
    assert operator("acme").get(page_of(row)).status_code == 200


@pytest.mark.parametrize(
    ("model", "verb"),
    [
        pytest.param(model, verb.name, id=f"{model.__name__} {verb.name}")
        for model in OF_TENANTS
        if isinstance(site._registry[model], VerbsAdmin)
        for verb in site._registry[model].verbs  # type: ignore[attr-defined]
    ],
)
def test_no_verb_reaches_a_row_of_another_tenant(world: World, model: Any, verb: str) -> None:
    row, client = row_of(model, world), operator("other")
    before = model._default_manager.filter(pk=row.pk).values().get()

    for posted in ({"ids": row.pk}, {"ids": row.pk, "confirmed": "1", "reason": "theirs"}):
        answer = client.post(verb_of(model, verb), posted)
        assert answer.status_code in (403, 404), answer.content[:200]

    assert model._default_manager.filter(pk=row.pk).values().get() == before
    assert not AuditEntry.objects.filter(username="staff-other").exists()


@pytest.mark.parametrize("model", [model for model in OURS if model.__name__ in OF_INSTALLATION])
def test_what_is_of_the_installation_is_for_those_who_see_everything(
    world: World, model: Any
) -> None:
    world.as_root("/api/workflows/acme-flow/execute", {})
    answer = operator("acme").get(list_of(model))

    assert (answer.status_code, _rows(answer)) == (200, [])


def test_the_dashboard_sums_what_the_users_tenants_did_alone(world: World) -> None:
    flow = Workflow.objects.get(key="acme-flow")
    hour = utc_now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    Rollup.objects.create(workflow=flow, tenant="acme", period="hour", at=hour, started=77)
    QueueSample.objects.create(queue="spane", at=hour + timedelta(minutes=59))

    ours = operator("acme").get(list_of(Dashboard))
    theirs = operator("other").get(list_of(Dashboard))

    assert ours.context["cards"][0][1] >= 77
    assert theirs.context["cards"][0][1] == 0
    assert "<h2>Queues</h2>" not in ours.content.decode()


def test_a_shared_workflow_is_seen_and_started_but_not_changed(world: World) -> None:
    shared = publish(GOOD, now=utc_now()).workflow
    client = operator("acme")

    seen = client.get(page_of(shared))
    refused = client.post(verb_of(Workflow, "disable"), {"ids": shared.pk})
    form = client.get(reverse("admin:spane_django_workflow_start", args=[shared.pk]))
    started = client.post(
        reverse("admin:spane_django_workflow_start", args=[shared.pk]),
        {"key": form.context["form"]["key"].initial, "given-whole": "{}", "tenant": "acme"},
    )

    shared.refresh_from_db()
    assert (seen.status_code, refused.status_code, shared.is_enabled) == (200, 404, True)
    assert started.status_code == 302, started.context["form"].errors
    assert Execution.objects.get(workflow=shared).tenant == "acme"


def test_a_shared_workflow_is_restored_by_nobody_of_a_tenant(world: World) -> None:
    shared = publish(GOOD, now=utc_now()).workflow
    publish({**GOOD, "name": "Second"}, now=utc_now())
    client = operator("acme")
    page = tab_of(shared, "restore", 1)

    versions = client.get(tab_of(shared, "versions"))
    answers = [client.get(page).status_code, client.post(page, {"seen": "2:"}).status_code]

    assert (versions.status_code, page in versions.content.decode()) == (200, False)
    assert answers == [404, 404]


def test_tenants_see_their_own_executions_of_a_shared_workflow_alone(world: World) -> None:
    shared = publish(GOOD, now=utc_now()).workflow
    ours = start("good", {}, now=utc_now(), options=StartOptions(tenant="acme"))
    theirs = start("good", {}, now=utc_now(), options=StartOptions(tenant="other"))
    client = operator("acme")

    listed = client.get(tab_of(shared, "executions")).content.decode()
    counted = client.get(tab_of(shared, "versions")).context["rows"][0].live

    assert (page_of(ours) in listed, page_of(theirs) in listed) == (True, False)
    assert counted == 1


def test_nobody_starts_a_workflow_for_a_tenant_that_is_not_theirs(world: World) -> None:
    shared = publish(GOOD, now=utc_now()).workflow
    path = reverse("admin:spane_django_workflow_start", args=[shared.pk])
    client = operator("acme")
    key = client.get(path).context["form"]["key"].initial

    answer = client.post(path, {"key": key, "given-whole": "{}", "tenant": "other"})

    assert answer.status_code == 200
    assert not Execution.objects.filter(workflow=shared).exists()


def test_tenants_are_made_and_their_users_named_by_who_sees_everything(world: World) -> None:
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))
    path = reverse("admin:spane_django_tenant_add")

    made = boss.post(path, {"key": "third", "name": "Third", "users": [world.reader.pk]})
    refused = operator("acme").post(path, {"key": "fourth", "name": "Fourth", "users": []})

    assert (made.status_code, refused.status_code) == (302, 403)
    assert list(Tenant.objects.get(key="third").users.all()) == [world.reader]
    entry = AuditEntry.objects.get(verb="create_tenant")
    assert (entry.username, entry.tenant) == ("boss", "third")
    assert entry.after == {"name": "Third", "users": ["acme-reader"]}


def test_a_tenant_is_never_deleted_or_given_another_key(world: World) -> None:
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))
    acme = Tenant.objects.get(key="acme")

    deleted = boss.post(reverse("admin:spane_django_tenant_delete", args=["acme"]), {"post": "yes"})
    boss.post(page_of(acme), {"key": "stolen", "name": "Acme Ltd", "users": []})

    assert deleted.status_code == 403
    assert list(Tenant.objects.filter(name="Acme Ltd").values_list("key", flat=True)) == ["acme"]


def test_a_project_without_tenants_sees_nothing_of_them(boss: Client, settings: Settings) -> None:
    settings.SPANE = {**settings.SPANE, "TENANT_MODEL": None}

    assert boss.get(list_of(Tenant)).status_code == 403
    assert "tenant" not in boss.get(list_of(Execution)).content.decode().lower()


def _rows(answer: Any) -> list[Any]:
    return list(answer.context["cl"].result_list) if answer.status_code == 200 else []


def test_forms_make_for_the_own_tenant_alone_and_change_no_other_ones_rows(world: World) -> None:
    acme, stranger = operator("acme"), operator("other")
    lone = User.objects.create_user("lone", is_staff=True)
    lone.user_permissions.set(Permission.objects.all())
    nobody = Client()
    nobody.force_login(lone)
    theirs = publish({**GOOD, "id": "theirs"}, now=utc_now(), tenant="other").workflow_id
    shared = publish({**GOOD, "id": "shared"}, now=utc_now()).workflow_id
    make = reverse("admin:spane_django_trigger_make")

    refused = [
        acme.post(make, {"event": "a.b", "workflow": theirs, "sample": "{}"}),
        nobody.post(make, {"event": "a.b", "workflow": shared, "sample": "{}"}),
    ]
    acme.post(make, {"event": "a.b", "workflow": shared, "sample": "{}"})
    made = Trigger.objects.get(name="a.b")
    edit, try_it = (
        reverse(f"admin:spane_django_trigger_{name}", args=[made.pk]) for name in ("edit", "try")
    )

    assert [bool(answer.context["form"].errors) for answer in refused] == [True, True]
    assert made.tenant == "acme"
    assert [acme.get(url).status_code for url in (edit, try_it)] == [200, 200]
    assert [stranger.get(url).status_code for url in (edit, try_it)] == [404, 404]
