"""Enabling and disabling workflows: whether new executions may be started.

Executions that run are left alone; pause or cancel those one by one or in bulk.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from ..core.errors import SpaneError
from .audit import Owned, record
from .current import UnknownWorkflow
from .db import atomic
from .naming import own

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


class AlreadySo(SpaneError):
    """The workflow is enabled, or disabled, already."""


def enable(
    workflow: str,
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    reason: str = "",
    tenant: str = "",
) -> None:
    """Let a workflow start executions again.

    Raises:
        UnknownWorkflow, AlreadySo: nothing has changed.
    """
    with atomic():
        _switch(workflow, tenant, is_enabled=True)
        record("enable", now=now, by=by, target=Owned(workflow, tenant), reason=reason)


def disable(
    workflow: str,
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    reason: str = "",
    tenant: str = "",
) -> None:
    """Let a workflow start no new executions.  Replays of old ones are not refused.

    Raises:
        UnknownWorkflow, AlreadySo: nothing has changed.
    """
    with atomic():
        _switch(workflow, tenant, is_enabled=False)
        record("disable", now=now, by=by, target=Owned(workflow, tenant), reason=reason)


def _switch(workflow: str, tenant: str, *, is_enabled: bool) -> None:
    found = own(workflow, tenant)
    if found.filter(is_enabled=not is_enabled).update(is_enabled=is_enabled):
        return
    if not found.exists():
        raise UnknownWorkflow(f"Workflow '{workflow}' not found: publish its definition first")
    raise AlreadySo(f"Workflow '{workflow}' is {'enabled' if is_enabled else 'disabled'} already")
