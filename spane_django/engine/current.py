"""The version that new executions of a workflow run.

Whatever starts executions asks here: a caller, a node that wants children, an end that has a
sequel.
"""

from __future__ import annotations

from ..core.errors import SpaneError
from .sql import statements
from .versions import PreparedVersion, prepared


class UnknownWorkflow(SpaneError):
    """No workflow of this id has been published."""


class DisabledWorkflow(SpaneError):
    """The workflow is disabled and starts no new executions."""


def current_version(workflow: str, tenant: str = "") -> PreparedVersion:
    """Return the version that new executions of a workflow run.

    Args:
        tenant: Who starts it: their own workflow of this id, else the one that all share.

    Raises:
        UnknownWorkflow, DisabledWorkflow: there is none.
    """
    row = statements().current_version(workflow, tenant)
    if row is None or row[0] is None:
        raise UnknownWorkflow(f"Workflow '{workflow}' not found: publish its definition first")
    if not row[1]:
        raise DisabledWorkflow(f"Workflow '{workflow}' is disabled: enable it to start it")
    return prepared(row[0])
