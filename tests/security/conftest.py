"""What the attacks share: users with tokens, and two tenants that must not meet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django import Settings

from spane_django.engine.run import utc_now
from spane_django.engine.tokens import issue
from spane_django.models import Tenant
from tests.api.conftest import Api, _task_type, api_of, make_user
from tests.triggers.conftest import MakeHook, flow, hook

__all__ = ["MakeHook", "_task_type", "api_of", "flow", "hook", "make_user"]


@pytest.fixture(autouse=True)
def _quiet(wakes: list[str]) -> None:
    """Keep every wake from Redis."""


@dataclass
class Member:
    """A user of a tenant who may do everything there, with a token and a browser."""

    tenant: str
    user: User
    api: Api
    browser: Client = field(default_factory=Client)

    def call(self, method: str, path: str, body: bytes = b"{}", **headers: str) -> Any:
        """Send a request with the token."""
        shown = {"Authorization": f"Bearer {self.api.token}", **headers}
        return self.api.client.generic(method, path, body, "application/json", headers=shown)


MakeMember = Callable[[str], Member]


@pytest.fixture
def member(db: None, settings: Settings) -> MakeMember:
    """Make a member of a tenant, who has every permission of the package."""
    settings.SPANE = {**settings.SPANE, "TENANT_MODEL": "spane_django.Tenant"}

    def make(tenant: str) -> Member:
        user = User.objects.create_user(f"{tenant}-{User.objects.count()}", is_staff=True)
        ours = Permission.objects.filter(content_type__app_label="spane_django")
        user.user_permissions.set(ours)
        owner, _ = Tenant.objects.get_or_create(key=tenant, defaults={"name": tenant})
        owner.users.add(user)
        token, _ = issue(user, "attack", now=utc_now(), tenant=tenant)
        made = Member(tenant, user, Api(token))
        made.browser.force_login(user)
        return made

    return make
