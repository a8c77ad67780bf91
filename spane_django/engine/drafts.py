"""The life of a version: a draft is written, published, made current, archived.

A workflow has at most one draft.  It takes the next number and is replaced as often as somebody
saves it; faults do not keep it from being saved, only from being published.  A published version
never changes; archived, nothing new starts on it, while executions that run go on.  The parts of
a version share its fate.

Publishing itself is `publish`; moving executions from version to version is `migrate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..conf import settings
from ..core.errors import InvalidDefinition
from ..core.ids import serial
from ..core.json import UnstorableValue, encode
from ..core.options import DEFINITION_SCHEMA
from ..core.schema import Fault, faults_in
from ..models import Workflow, WorkflowVersion
from .audit import Owned, record
from .current import UnknownWorkflow
from .db import atomic
from .declared import align_triggers
from .naming import of_workflow, own
from .publish import content_hash, publish, validate
from .versions import UnknownVersion, WrongVersionStatus

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

Status = WorkflowVersion.Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A saved draft, and all that would keep it from being published."""

    version: WorkflowVersion
    faults: list[Fault] = field(default_factory=list)


def save_draft(
    raw: Mapping[str, Any],
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    check_nodes: bool = True,
    tenant: str = "",
) -> Draft:
    """Keep ``raw`` as the draft of its workflow, in the place of the one before.

    Args:
        check_nodes: Also look for faults in types and configs.

    Locks:
        The workflow.

    Raises:
        InvalidDefinition: it has no usable id, is no JSON or is too large; nothing is written.
    """
    faults = _unsavable(raw)
    if faults:
        raise InvalidDefinition(faults)
    key, name = raw["id"], raw.get("name")
    title = name if isinstance(name, str) and 1 <= len(name) <= _LONGEST_NAME else key
    with atomic():
        Workflow.objects.get_or_create(key=key, tenant=tenant, defaults={"name": title})
        workflow = _locked(key, tenant)
        workflow.versions.filter(status=Status.DRAFT).delete()
        last = workflow.versions.order_by("-number").values_list("number", flat=True).first()
        version = WorkflowVersion.objects.create(
            id=serial(),
            workflow=workflow,
            number=(last or 0) + 1,
            status=Status.DRAFT,
            definition=raw,
            content_hash=content_hash(raw),
        )
        record("save_draft", now=now, by=by, target=Owned(str(version), tenant))
    _, faults = validate(raw, check_nodes=check_nodes, against_published=True, tenant=tenant)
    return Draft(version=version, faults=faults)


def publish_draft(
    workflow: str,
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    check_nodes: bool = True,
    tenant: str = "",
    reason: str = "",
) -> WorkflowVersion:
    """Make the draft of a workflow its current version, with the next number.

    A draft of the same content as the current version is gone then, and that version is returned.

    Locks:
        The workflow.

    Raises:
        UnknownWorkflow, UnknownVersion: there is no draft.
        InvalidDefinition: with every fault; the draft stays.
    """
    with atomic():
        draft = _draft(workflow, tenant)
        raw = draft.definition
        draft.delete()
        return publish(raw, now=now, by=by, check_nodes=check_nodes, tenant=tenant, reason=reason)


def discard_draft(
    workflow: str, *, now: datetime, by: AbstractBaseUser | None = None, tenant: str = ""
) -> None:
    """Throw the draft of a workflow away.

    Locks:
        The workflow.

    Raises:
        UnknownWorkflow, UnknownVersion: there is no draft.
    """
    with atomic():
        draft = _draft(workflow, tenant)
        record("discard_draft", now=now, by=by, target=Owned(str(draft), tenant))
        draft.delete()


def activate(
    workflow: str,
    number: int,
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    reason: str = "",
    tenant: str = "",
) -> WorkflowVersion:
    """Make an earlier published version current again: what starts from now on runs it.

    Its definition is not checked anew, so that the way back is never barred.

    Locks:
        The workflow.

    Raises:
        UnknownWorkflow, UnknownVersion, WrongVersionStatus: nothing has changed.
    """
    with atomic():
        found = _locked(workflow, tenant)
        version = _version(found, number)
        if version.status != Status.PUBLISHED:
            raise WrongVersionStatus(
                f"{version} is {version.status}: only a published version can be made current"
            )
        before = found.current_version
        if before == version:
            raise WrongVersionStatus(f"{version} is the current version already")
        found.current_version = version
        found.name = version.definition["name"]
        found.description = version.definition.get("description", "")
        found.save(update_fields=["current_version", "name", "description"])
        align_triggers(found, version.definition, now=now)
        record(
            "activate", now=now, by=by, target=Owned(str(version), tenant), reason=reason,
            before={"current": before.number} if before else None, after={"current": number},
        )  # fmt: skip
    return version


def archive(
    workflow: str,
    number: int,
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    reason: str = "",
    tenant: str = "",
) -> WorkflowVersion:
    """Let nothing new start on a version, replays included; executions that run go on.

    Locks:
        The workflow.

    Raises:
        UnknownWorkflow, UnknownVersion: nothing has changed.
        WrongVersionStatus: it is a draft, archived already or the current version.
    """
    with atomic():
        found = _locked(workflow, tenant)
        version = _version(found, number)
        if version.status != Status.PUBLISHED:
            raise WrongVersionStatus(
                f"{version} is {version.status}: only a published version can be archived"
            )
        if found.current_version == version:
            raise WrongVersionStatus(
                f"{version} is the current version: publish or activate another one first"
            )
        found.versions.filter(number=number).update(status=Status.ARCHIVED)
        version.status = Status.ARCHIVED
        target = Owned(str(version), tenant)
        record("archive", now=now, by=by, target=target, reason=reason)
    return version


def archive_workflow(
    workflow: str,
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    reason: str = "",
    tenant: str = "",
) -> None:
    """Archive every version of a workflow and throw its draft away: nothing new starts.

    Executions that run go on.  Publishing a definition of this id brings the workflow back.

    Locks:
        The workflow.

    Raises:
        UnknownWorkflow: there is none, or it is archived already.
    """
    with atomic():
        found = _locked(workflow, tenant)
        if not found.versions.exclude(status=Status.ARCHIVED).exists():
            raise UnknownWorkflow(f"Workflow '{workflow}' is archived already")
        before = found.current_version
        found.versions.filter(status=Status.DRAFT).delete()
        found.versions.update(status=Status.ARCHIVED)
        found.current_version = None
        found.save(update_fields=["current_version"])
        align_triggers(found, None, now=now)
        record(
            "archive_workflow", now=now, by=by, target=Owned(workflow, tenant), reason=reason,
            before={"current": before.number} if before else None,
        )  # fmt: skip


def find_version(workflow: str, number: int, *, tenant: str = "") -> WorkflowVersion:
    """Return a version by its number.

    Args:
        tenant: Who asks: of their own workflow of this id, else of the one that all share.

    Raises:
        UnknownVersion: there is none.
    """
    whole = WorkflowVersion.objects.whole().select_related("workflow")
    version = whole.filter(of_workflow(workflow, tenant), number=number).first()
    if version is None:
        raise _no_version(workflow, number)
    return version


def find_draft(workflow: str, *, tenant: str = "") -> WorkflowVersion:
    """Return the draft of a workflow, for a tenant as `find_version`.

    Raises:
        UnknownVersion: it has none.
    """
    drafts = WorkflowVersion.objects.filter(of_workflow(workflow, tenant), status=Status.DRAFT)
    draft = drafts.select_related("workflow").first()
    if draft is None:
        raise UnknownVersion(f"workflow '{workflow}' has no draft: save one first")
    return draft


_LONGEST_NAME = 200


def _unsavable(raw: Any) -> list[Fault]:
    """Return what keeps a document from being kept at all."""
    try:
        encode(raw, limit_bytes=settings.MAX_DEFINITION_BYTES)
    except UnstorableValue as error:
        return [Fault("", "unstorable", str(error))]
    shape = {
        "type": "object",
        "properties": {"id": DEFINITION_SCHEMA["properties"]["id"]},
        "required": ["id"],
    }
    return list(faults_in(shape, raw, ""))


def _locked(workflow: str, tenant: str) -> Workflow:
    locked = own(workflow, tenant).select_for_update(of=("self",))
    found = locked.select_related("current_version").first()
    if found is None:
        raise UnknownWorkflow(f"Workflow '{workflow}' not found: publish its definition first")
    return found


def _draft(workflow: str, tenant: str) -> WorkflowVersion:
    _locked(workflow, tenant)
    # The tenant has a workflow of this id, so that it is meant, and not the one that all share.
    return find_draft(workflow, tenant=tenant)


def _version(workflow: Workflow, number: int) -> WorkflowVersion:
    version = workflow.versions.filter(part="", number=number).select_related("workflow").first()
    if version is None:
        raise _no_version(workflow.key, number)
    return version


def _no_version(workflow: str, number: int) -> UnknownVersion:
    return UnknownVersion(f"workflow '{workflow}' has no version {number}")
