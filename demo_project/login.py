"""The login that the demo makes for whoever tries it, on a machine of his own."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model

NAME = "admin"


def admin_login() -> str | None:
    """Return the password of the demo's administrator, making the user if there is none.

    The password is random, and kept in a file that only this user may read, for the next start.
    None: a user of that name was made by somebody else, or ``DEBUG`` is off and a login that
    makes itself would be a hole.
    """
    if not settings.DEBUG:
        return None
    users = get_user_model()._default_manager
    kept = Path(settings.DATA_DIR) / "admin-password"
    user = users.filter(username=NAME).first()
    if user is None:
        password = secrets.token_urlsafe(12)
        user = users.create(username=NAME, is_staff=True, is_superuser=True)
        user.set_password(password)
        user.save(update_fields=["password"])
        _keep(kept, password)
        return password
    password = kept.read_text() if kept.exists() else ""
    return password if password and user.check_password(password) else None


def _keep(path: Path, password: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(password)
