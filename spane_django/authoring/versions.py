"""Versions from a project's own code: drafts, differences, going back, moving executions.

Like `verbs`, these read the clock and join the caller's transaction.  A version is named by its
workflow's id and its number; with ``tenant``, the workflow is that tenant's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..clock import now
from ..core.diff import Diff, diff
from ..engine import drafts
from ..engine import migrate as migrating
from ..engine.drafts import Draft
from ..engine.moves import Move
from ..models import Execution, WorkflowVersion
from .verbs import AnyExecution, id_of

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


def save_draft(
    definition: Mapping[str, Any], *, by: AbstractBaseUser | None = None, tenant: str = ""
) -> Draft:
    """Keep a definition, as JSON, as the draft of its workflow, whatever its faults.

    The draft before it is gone.  The answer has the version and the faults.

    Raises:
        InvalidDefinition: it has no usable id, is no JSON or is too large.
    """
    return drafts.save_draft(definition, now=now(), by=by, tenant=tenant)


def publish_draft(
    workflow: str, *, by: AbstractBaseUser | None = None, tenant: str = ""
) -> WorkflowVersion:
    """Make the draft of a workflow its current version.

    Raises:
        UnknownWorkflow, UnknownVersion: there is no draft.
        InvalidDefinition: every fault is listed, and the draft stays.
    """
    return drafts.publish_draft(workflow, now=now(), by=by, tenant=tenant)


def discard_draft(workflow: str, *, by: AbstractBaseUser | None = None, tenant: str = "") -> None:
    """Throw the draft of a workflow away.

    Raises:
        UnknownWorkflow, UnknownVersion: there is no draft.
    """
    drafts.discard_draft(workflow, now=now(), by=by, tenant=tenant)


def activate_version(
    workflow: str,
    number: int,
    *,
    by: AbstractBaseUser | None = None,
    reason: str = "",
    tenant: str = "",
) -> WorkflowVersion:
    """Make an earlier published version current again; executions that run keep theirs.

    Raises:
        UnknownWorkflow, UnknownVersion, WrongVersionStatus: nothing has changed.
    """
    return drafts.activate(workflow, number, now=now(), by=by, reason=reason, tenant=tenant)


def archive_version(
    workflow: str,
    number: int,
    *,
    by: AbstractBaseUser | None = None,
    reason: str = "",
    tenant: str = "",
) -> WorkflowVersion:
    """Let nothing new start on a version, which is not the current one.

    Raises:
        UnknownWorkflow, UnknownVersion, WrongVersionStatus: nothing has changed.
    """
    return drafts.archive(workflow, number, now=now(), by=by, reason=reason, tenant=tenant)


def archive_workflow(
    workflow: str, *, by: AbstractBaseUser | None = None, reason: str = "", tenant: str = ""
) -> None:
    """Archive every version of a workflow; publishing its definition again brings it back.

    Raises:
        UnknownWorkflow: there is none, or it is archived already.
    """
    drafts.archive_workflow(workflow, now=now(), by=by, reason=reason, tenant=tenant)


def compare_versions(workflow: str, before: int, after: int, *, tenant: str = "") -> Diff:
    """Return how two versions differ; `Diff.as_json` gives it as it goes over the wire.

    Raises:
        UnknownVersion: one of them does not exist.
    """
    old = drafts.find_version(workflow, before, tenant=tenant)
    new = drafts.find_version(workflow, after, tenant=tenant)
    return diff(old.definition, new.definition)


def preview_migration(
    executions: Iterable[AnyExecution], to_version: int, *, rename: Mapping[str, str] | None = None
) -> list[Move]:
    """Return what :func:`migrate` would do to each execution, and change nothing.

    Raises:
        UnknownExecution, UnknownVersion, WrongVersionStatus: one of them cannot be looked at.
    """
    return migrating.preview([id_of(one) for one in executions], to_version, rename=rename)


def migrate(
    execution: AnyExecution,
    to_version: int,
    *,
    rename: Mapping[str, str] | None = None,
    by: AbstractBaseUser | None = None,
    reason: str = "",
) -> Execution:
    """Let an execution go on by another published version of its workflow.

    Args:
        rename: Ids of nodes with their ids in the other version, where they differ.

    Raises:
        UnknownExecution, UnknownVersion, WrongVersionStatus: nothing has changed.
        Unmovable: every reason is listed; nothing has changed.
    """
    return migrating.migrate(
        id_of(execution), to_version, now=now(), by=by, reason=reason, rename=rename
    )
