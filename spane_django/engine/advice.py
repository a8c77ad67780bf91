"""Advice about definitions: what is allowed and will hurt.  Publishing does not refuse it.

A secret may be stored after the workflow that names it, by somebody else, in another
installation; so an unknown one is told here, and stops a node only when that runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import F, TextField
from django.db.models.functions import Cast

from ..core.references import secrets_named, written_out
from ..core.schema import Fault
from ..models import Secret, WorkflowVersion
from .scope import EVERYTHING, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A workflow whose current version names a secret.

    Attributes:
        paths: Where in the definition.
    """

    workflow: str
    tenant: str
    version: int
    paths: tuple[str, ...]


def advice(raw: Any, *, tenant: str = "") -> list[Fault]:
    """Return what should be looked at in a definition that is sound.

    Args:
        tenant: Whose workflow it is; its executions may use that tenant's secrets.
    """
    named = secrets_named(raw)
    known = Secret.objects.filter(name__in=named, tenant__in=("", tenant)) if named else ()
    unknown = named.keys() - {secret.name for secret in known}
    faults = [
        Fault(path, "unknown_secret", f"there is no secret '{name}' yet: nodes fail without it")
        for name in sorted(unknown)
        for path in named[name]
    ]
    return [*faults, *written_out(raw)]


def uses_of(secrets: Iterable[Secret], *, scope: Scope = EVERYTHING) -> Mapping[int, list[Use]]:
    """Return by secret which workflows name it in their current version, by one query.

    A shared secret that a tenant's own takes the place of counts as used all the same.

    Args:
        scope: Whose workflows are told of.
    """
    wanted = list(secrets)
    uses: dict[int, list[Use]] = {secret.pk: [] for secret in wanted}
    for version in _that_name_secrets(scope) if wanted else ():
        owner, named = version.workflow.tenant, secrets_named(version.definition)
        for secret in wanted:
            if secret.name in named and (not secret.tenant or owner in ("", secret.tenant)):
                uses[secret.pk].append(
                    Use(
                        workflow=version.workflow.key,
                        tenant=owner,
                        version=version.number,
                        paths=tuple(named[secret.name]),
                    )
                )
    return uses


def _that_name_secrets(scope: Scope) -> Iterable[WorkflowVersion]:
    current = WorkflowVersion.objects.filter(workflow__current_version=F("pk"))
    within = scope.within(current.select_related("workflow").order_by("workflow__key"))
    # Parsing is what takes long; most definitions name no secret.
    text = Cast("definition", TextField())
    return within.alias(text=text).filter(text__contains="secrets").iterator(chunk_size=100)
