"""Publishing: a definition becomes an immutable version, or every reason why not is told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..conf import settings
from ..core.definition import Definition, Limits, read
from ..core.errors import InvalidDefinition
from ..core.ids import serial
from ..core.schema import Fault
from ..models import Workflow, WorkflowVersion
from ..nodes.checks import node_faults
from .audit import Owned, record
from .db import atomic, on_commit
from .declared import align_triggers, trigger_faults
from .gates import align
from .parts import part_faults, recursion_faults, write_parts
from .rules import rules_in

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


def validate(
    raw: Any, *, check_nodes: bool = True, against_published: bool = False, tenant: str = ""
) -> tuple[Definition | None, list[Fault]]:
    """Return the definition, if the document has the shape of one, and all of its faults.

    Args:
        check_nodes: Also check types and configs against the node types of this process.
        against_published: Also find what only the published workflows tell, in the database:
            a workflow that would start itself again through others.
        tenant: Whose the workflow would be, and whose others it names.
    """
    limits = Limits(nodes=settings.MAX_NODES, size_bytes=settings.MAX_DEFINITION_BYTES)
    definition, faults = read(raw, limits=limits)
    if definition is not None:
        faults += trigger_faults(raw)
    if definition is not None and check_nodes:
        faults += node_faults(definition)
    if definition is not None and check_nodes and not faults:
        faults += part_faults(definition)
        among = tenant if against_published else None
        faults += recursion_faults(definition, among=among)
    return definition, faults


def publish(
    raw: Mapping[str, Any],
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    check_nodes: bool = True,
    tenant: str = "",
    reason: str = "",
) -> WorkflowVersion:
    """Make ``raw`` the current version of its workflow.

    The same content as the current version gives that version back; changed content gives the
    next one.  Executions that run keep the version they started with.

    Args:
        by: Who publishes.
        check_nodes: False leaves unknown types and configs that do not fit to be found when
            the node runs: for a process that does not have the workers' node types.
        tenant: Whose workflow it is; "": everybody's.
        reason: Why, for the audit trail.

    Locks:
        The workflow, so that two publishers get two numbers.

    Raises:
        InvalidDefinition: with every fault; nothing has been written.
    """
    definition, faults = validate(
        raw, check_nodes=check_nodes, against_published=True, tenant=tenant
    )
    if faults or definition is None:
        raise InvalidDefinition(faults)
    digest = content_hash(raw)
    with atomic():
        workflow = _locked_workflow(definition, tenant)
        current = workflow.current_version
        if current is not None and current.content_hash == digest:
            return current
        version = _next_version(workflow, raw, digest, now=now, by=by)
        workflow.current_version = version
        workflow.name = definition.name
        workflow.description = raw.get("description", "")
        workflow.save(update_fields=["current_version", "name", "description"])
        align_triggers(workflow, raw, now=now)
        before = {"current": current.number} if current else None
        after = {"current": version.number}
        target = Owned(str(version), tenant)
        record("publish", now=now, by=by, target=target, before=before, after=after, reason=reason)
        # After the commit: gates are not locked for as long as a host's transaction takes.
        on_commit(lambda: align(rules_in(definition, version.pk, tenant=tenant), now=now))
    return version


def content_hash(raw: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a definition; the order of its keys does not count."""
    text = json.dumps(raw, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _locked_workflow(definition: Definition, tenant: str) -> Workflow:
    key, name = definition.id, definition.name
    Workflow.objects.get_or_create(key=key, tenant=tenant, defaults={"name": name})
    locked = Workflow.objects.select_for_update(of=("self",)).select_related("current_version")
    return locked.get(key=key, tenant=tenant)


def _next_version(
    workflow: Workflow,
    raw: Mapping[str, Any],
    digest: str,
    *,
    now: datetime,
    by: AbstractBaseUser | None,
) -> WorkflowVersion:
    last = workflow.versions.order_by("-number").values_list("number", flat=True).first()
    version = WorkflowVersion.objects.create(
        id=serial(),
        workflow=workflow,
        number=(last or 0) + 1,
        definition=raw,
        content_hash=digest,
        published_at=now,
        published_by_id=by.pk if by else None,
    )
    write_parts(version)
    return version
