"""Enabling and disabling workflows: whether new executions may be started.

Executions that run are left alone; pause or cancel those one by one or in bulk.
"""

from __future__ import annotations

from ..core.errors import SpaneError
from ..models import Workflow
from .current import UnknownWorkflow


class AlreadySo(SpaneError):
    """The workflow is enabled, or disabled, already."""


def enable(workflow: str) -> None:
    """Let a workflow start executions again.

    Raises:
        UnknownWorkflow, AlreadySo: nothing has changed.
    """
    _switch(workflow, is_enabled=True)


def disable(workflow: str) -> None:
    """Let a workflow start no new executions.  Replays of old ones are not refused.

    Raises:
        UnknownWorkflow, AlreadySo: nothing has changed.
    """
    _switch(workflow, is_enabled=False)


def _switch(workflow: str, *, is_enabled: bool) -> None:
    found = Workflow.objects.filter(key=workflow)
    if found.filter(is_enabled=not is_enabled).update(is_enabled=is_enabled):
        return
    if not found.exists():
        raise UnknownWorkflow(f"Workflow '{workflow}' not found: publish its definition first")
    raise AlreadySo(f"Workflow '{workflow}' is {'enabled' if is_enabled else 'disabled'} already")
