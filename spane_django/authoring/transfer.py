"""Workflows leave and arrive: definitions as documents, JSON or YAML, one or many.

What is exported is what was published, as it was.  Importing is all or nothing: each definition
is checked, every fault is told with the path in its document, and all are published in one
transaction, or none.  The same content again changes nothing.

The command line and the API both do it here.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import F, QuerySet

from ..core.errors import InvalidDefinition
from ..core.json import Json
from ..core.references import written_out
from ..core.schema import Fault
from ..engine.db import alias, atomic
from ..engine.drafts import save_draft
from ..engine.publish import publish, validate
from ..models import WorkflowVersion

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

MOST_AT_ONCE = 1_000


class Form(StrEnum):
    """How a document is written."""

    JSON = "json"
    YAML = "yaml"


@dataclass(kw_only=True)
class Source:
    """A definition and where it came from.

    Attributes:
        name: The file, with an index if it holds several; ``python:ID`` for a Python workflow.
        raw: The document; None if it could not be read, and `faults` says why.
        faults: All that is wrong with it.
        warnings: What is allowed and should be looked at.
    """

    name: str
    raw: Any = None
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)

    @property
    def workflow_id(self) -> str | None:
        """The id that it gives itself."""
        found = self.raw.get("id") if isinstance(self.raw, dict) else None
        return found if isinstance(found, str) else None

    def is_refused(self, *, as_drafts: bool) -> bool:
        """Say whether it cannot be taken; a draft needs no more than to be read and named."""
        if not as_drafts:
            return bool(self.faults)
        return self.workflow_id is None or any(
            fault.code == "duplicate_workflow" for fault in self.faults
        )


def exported(
    versions: QuerySet[WorkflowVersion], keys: Collection[str] = (), *, is_draft: bool = False
) -> dict[str, Json]:
    """Return current definitions, or drafts, by the ids of their workflows.

    Args:
        versions: Among which.
        keys: Only those of these workflows.
    """
    found = versions.select_related("workflow").order_by("workflow__key")
    if keys:
        found = found.filter(workflow__key__in=keys)
    if is_draft:
        found = found.filter(status=WorkflowVersion.Status.DRAFT)
    else:
        found = found.filter(workflow__current_version_id=F("pk"))
    return {version.workflow.key: version.definition for version in found}


def written(document: Json, form: Form) -> str:
    """Return a document as text."""
    if form is Form.YAML:
        # Not before: the admin imports this module, in workers as well.
        from .yaml import write  # noqa: PLC0415

        return write(document)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def documents(name: str, text: str, form: Form) -> list[Source]:
    """Return the definitions of a text: one, a list of them, or in YAML several documents."""
    try:
        return _of_yaml(name, text) if form is Form.YAML else named(name, json.loads(text))
    except json.JSONDecodeError as error:
        message = f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        return [Source(name=name, faults=[Fault("", "not_json", message)])]
    except RecursionError:
        return [Source(name=name, faults=[Fault("", "not_json", "nested too deeply")])]


def named(name: str, document: Json) -> list[Source]:
    """Return the definitions of a document that has been read: one, or a list of them."""
    if not isinstance(document, list):
        return [Source(name=name, raw=document)]
    return [Source(name=f"{name}[{index}]", raw=raw) for index, raw in enumerate(document)]


def _of_yaml(name: str, text: str) -> list[Source]:
    from .yaml import Unreadable, read_all  # noqa: PLC0415  # as in `written`

    try:
        found = read_all(text)
    except Unreadable as error:
        return [Source(name=name, faults=[Fault("", "not_yaml", str(error))])]
    return named(name, found[0] if len(found) == 1 else found)


def checked(found: list[Source], *, check_nodes: bool = True, tenant: str = "") -> list[Source]:
    """Validate definitions; two of the same id are a fault of the second.

    Args:
        check_nodes: Also check types and configs against the node types of this process.
    """
    first: dict[str, str] = {}
    for source in found:
        if source.faults:
            continue
        _, source.faults = validate(source.raw, check_nodes=check_nodes, tenant=tenant)
        key = source.workflow_id
        if key is not None and first.setdefault(key, source.name) != source.name:
            message = f"'{key}' is the id of {first[key]}, too: keep one of them"
            source.faults.append(Fault("id", "duplicate_workflow", message))
        if not source.faults:
            source.warnings = list(written_out(source.raw))
    return found


def take(
    found: Sequence[Source],
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    tenant: str = "",
    as_drafts: bool = False,
    check_nodes: bool = True,
    dry_run: bool = False,
) -> list[WorkflowVersion]:
    """Publish definitions, or save them as drafts: all of them, or none.

    Args:
        dry_run: Return what would be, and change nothing.

    Raises:
        InvalidDefinition: one cannot be taken; the path of each fault begins with the name of
            its source.
    """
    refused = [source for source in found if source.is_refused(as_drafts=as_drafts)]
    if refused:
        raise InvalidDefinition(list(_placed(refused)))
    with atomic():
        versions = [
            _taken(source, now=now, by=by, tenant=tenant, is_draft=as_drafts, types=check_nodes)
            for source in found
        ]
        if dry_run:
            transaction.set_rollback(True, using=alias())
    return versions


def _taken(source: Source, *, is_draft: bool, types: bool, **who: Any) -> WorkflowVersion:
    try:
        if is_draft:
            return save_draft(source.raw, check_nodes=types, **who).version
        return publish(source.raw, check_nodes=types, **who)
    except InvalidDefinition as error:
        # Only among the others it shows: it would start itself again through them.
        source.faults = error.faults
        raise InvalidDefinition(list(_placed([source]))) from None


def _placed(refused: Iterable[Source]) -> Iterable[Fault]:
    for source in refused:
        faults = source.faults or [Fault("id", "missing", "a draft needs the id of its workflow")]
        for fault in faults:
            path = ".".join(part for part in (source.name, fault.path) if part)
            yield Fault(path, fault.code, fault.message)
