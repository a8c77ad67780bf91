"""Changing how a workflow runs without registering all of it again: its options, by name.

What is changed stands in the definition, so that the change is the next version: it can be
compared and taken back like any other.  Executions that run keep their version.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from ..core.json import Json
from ..core.options import DEFINITION_SCHEMA
from ..core.schema import Schema
from ..models import Workflow
from .current import UnknownWorkflow
from .db import atomic
from .enable import disable, enable
from .naming import own
from .publish import publish

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

_NAMES = (
    "name", "description", "priority", "queue", "timeout", "failFast", "maxConcurrency",
    "maxExecutions", "keepDays", "saveData",
)  # fmt: skip

AMENDABLE: dict[str, Schema] = {
    name: {"anyOf": [DEFINITION_SCHEMA["properties"][name], {"type": "null"}]} for name in _NAMES
}
"""The options that can be changed; null takes one out of the definition."""


def amend(
    workflow: str,
    changes: Mapping[str, Json],
    *,
    is_enabled: bool | None = None,
    now: datetime,
    by: AbstractBaseUser | None = None,
    reason: str = "",
    tenant: str = "",
) -> Workflow:
    """Change options of a workflow, enable or disable it, all or nothing, and return it.

    Args:
        changes: Options of `AMENDABLE` with what they are to be; None: the usual.
        is_enabled: Whether it is to start executions; None: as it is.

    Locks:
        The workflow.

    Raises:
        UnknownWorkflow: there is none, or it is archived.
        InvalidDefinition: the definition would be none with these changes.
    """
    with atomic():
        found = _locked(workflow, tenant)
        if found.current_version is None:
            raise UnknownWorkflow(f"Workflow '{workflow}' not found: publish its definition first")
        if changes:
            changed = {**found.current_version.definition, **changes}
            raw = {
                name: value for name, value in changed.items() if changes.get(name, 0) is not None
            }
            publish(raw, now=now, by=by, tenant=tenant)
        if is_enabled is not None and is_enabled != found.is_enabled:
            switch = enable if is_enabled else disable
            switch(workflow, now=now, by=by, reason=reason, tenant=tenant)
        return Workflow.objects.select_related("current_version").get(pk=found.pk)


def _locked(workflow: str, tenant: str) -> Workflow:
    rows = own(workflow, tenant).select_for_update(of=("self",)).select_related("current_version")
    found = rows.first()
    if found is None:
        raise UnknownWorkflow(f"Workflow '{workflow}' not found: publish its definition first")
    return found
