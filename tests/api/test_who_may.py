"""Every route against everybody who might ask: the table stands in `matrix`.

A route without a line there fails; how to add one is said at the top of that file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from spane_django.engine.tokens import SCOPES, permissions_of, scope_for
from spane_django.models import AuditEntry
from spane_django.urls import urlpatterns

from .matrix import CALLERS, OPEN, TABLE, World, ask, expected, path_of, table_of

ROUTES = {pattern.name: pattern for pattern in urlpatterns}
KNOWN = {
    (name, method)
    for name, pattern in ROUTES.items()
    for method in pattern.callback.view_class.permissions
}


# What the table sends there changes nothing: it only counts, or all is as it is asked for already.
CHANGES_NOTHING = {
    ("bulk", "POST"),
    ("discard-all-letters", "POST"),
    ("migrate", "POST"),
    ("resume-schedule", "POST"),
    ("retry-all-letters", "POST"),
    ("validate", "POST"),
    ("workflow", "PATCH"),
}


@pytest.fixture(scope="module")
def matrix() -> Iterator[dict[tuple[str, str], dict[str, str]]]:
    """What everybody got; printed when all have asked."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    yield found
    sys.stdout.write(f"\n{table_of(found)}\n")


@pytest.fixture
def world(db: None, settings: Settings, wakes: list[str]) -> World:
    settings.SPANE = {**settings.SPANE, "TENANT_MODEL": "spane_django.Tenant"}
    return World()


def test_every_route_and_method_has_a_line() -> None:
    open_to_all = {name for (name, _), line in TABLE.items() if line.needs == OPEN}

    missing = KNOWN - TABLE.keys()
    gone = {key for key in TABLE if key[0] not in ROUTES} | (
        {key for key in TABLE if key[0] not in open_to_all} - KNOWN
    )
    unnamed = ROUTES.keys() - {name for name, _ in TABLE}

    assert (missing, gone, unnamed) == (set(), set(), set())


@pytest.mark.parametrize(("name", "method"), sorted(KNOWN & TABLE.keys()))
def test_a_route_needs_the_scope_of_its_permission(name: str, method: str) -> None:
    permission, line = ROUTES[name].callback.view_class.permissions[method], TABLE[name, method]

    assert scope_for(permission) == (line.declares or line.needs)


@pytest.mark.django_db
def test_the_permissions_of_scopes_exist() -> None:
    from django.contrib.auth.models import Permission

    codenames = Permission.objects.filter(content_type__app_label="spane_django")
    known = {f"spane_django.{name}" for name in codenames.values_list("codename", flat=True)}

    assert permissions_of(list(SCOPES)[-1]) <= known


@pytest.mark.parametrize(("name", "method"), list(TABLE))
def test_everybody_gets_what_they_may(
    world: World, matrix: dict[tuple[str, str], dict[str, str]], name: str, method: str
) -> None:
    line, pattern = TABLE[name, method], ROUTES[name]
    cells = matrix.setdefault((name, method), {})
    wrong: dict[str, Any] = {}

    for who in CALLERS:
        caller = world.caller(who, line.needs)
        if caller is None:
            cells[who] = "–"
            continue
        if line.bounded and caller.tenant:
            caller = type(caller)(caller.name, caller.user, caller.token)
        path = path_of(pattern, line, world, caller)
        body = line.body(world) if callable(line.body) else line.body
        answer = ask(method, path, body, caller)
        cells[who] = str(answer.status_code)
        content = b"" if answer.streaming else answer.content
        if answer.status_code not in expected(pattern, line, caller):
            wrong[who] = (answer.status_code, content[:300])
        elif who == "other tenant" and b"acme" in content and line.hides_acme(answer.status_code):
            wrong[who] = ("tells of acme", content[:300])

    assert wrong == {}
    assert not AuditEntry.objects.filter(user=world.stranger, tenant="acme").exists()


@pytest.mark.parametrize(
    ("name", "method"),
    [key for key in sorted(KNOWN & TABLE.keys()) if key[1] != "GET" and key not in CHANGES_NOTHING],
)
def test_whatever_changes_something_is_on_record(world: World, name: str, method: str) -> None:
    line = TABLE[name, method]
    admin = world.caller("admin", line.needs)
    assert admin is not None
    if line.bounded:
        admin = type(admin)(admin.name, admin.user, admin.token)
    path = path_of(ROUTES[name], line, world, admin)
    body = line.body(world) if callable(line.body) else line.body
    before = AuditEntry.objects.count()

    answer = ask(method, path, body, admin)

    assert answer.status_code < 300, answer.content[:300]
    assert AuditEntry.objects.count() > before
