"""Operators: each a browser session with just the permissions that a test gives."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client

Login = Callable[..., Client]


@pytest.fixture
def boss(db: None) -> Client:
    """A superuser."""
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("boss"))
    return client


@pytest.fixture
def login(db: None) -> Login:
    """Log a member of staff in with these permissions of the package, and may see every page."""

    def login(*codenames: str, sees: bool = True, csrf: bool = False) -> Client:
        user = get_user_model().objects.create_user(f"staff-{len(codenames)}-{csrf}", is_staff=True)
        ours = Permission.objects.filter(content_type__app_label="spane_django")
        views = ours.filter(codename__startswith="view_").exclude(codename="view_payload")
        user.user_permissions.add(*ours.filter(codename__in=codenames), *(views if sees else ()))
        client = Client(enforce_csrf_checks=csrf)
        client.force_login(user)
        return client

    return login
