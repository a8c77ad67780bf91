"""Whose rows a user may see and touch: the one function that draws the line between tenants.

A row belongs to a tenant, kept as text (``str(pk)``), or to none (``""``).  The API, the admin,
streams, bulk operations and exports all narrow their querysets by :meth:`Scope.within`, so that
another tenant's object is one that does not exist.

* Without ``TENANT_MODEL`` everybody's scope is `EVERYTHING`: no condition, no query.
* A workflow of no tenant is shared: everybody may see and start it, and only those whose scope
  is everything may change it.  Any other row of no tenant is theirs alone, as are the rows of
  the installation (workers, gates).
* What belongs to a tenant is a table here, `_PATHS`; a model with a column ``tenant`` of its own
  needs no line.  A model that is not known is refused, not shown.

A user's tenants come from ``TENANT_RESOLVER``; a token may be bound to one of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model, QuerySet
from django.utils.module_loading import import_string

from ..conf import settings
from ..core.errors import SpaneError
from ..models import (
    ApiToken,
    Approval,
    ApprovalDecision,
    Attempt,
    DeadLetter,
    Gate,
    Lease,
    LogLine,
    NodeRun,
    Payload,
    QueueSample,
    ScheduledStart,
    Tenant,
    WebhookDelivery,
    Worker,
    Workflow,
    WorkflowVersion,
)

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


Rows = TypeVar("Rows", bound=QuerySet[Any])

_PATHS: dict[type[Model], str | None] = {
    WorkflowVersion: "workflow__tenant",
    NodeRun: "execution__tenant",
    DeadLetter: "execution__tenant",
    LogLine: "execution__tenant",
    Payload: "execution__tenant",
    ScheduledStart: "schedule__tenant",
    Approval: "execution__tenant",
    ApprovalDecision: "approval__execution__tenant",
    Attempt: "node_run__execution__tenant",
    WebhookDelivery: "webhook__tenant",
    Tenant: "pk",
    Gate: None,
    Lease: None,
    QueueSample: None,
    Worker: None,
}
"""From a model to the column of its tenant; None: it is of the installation, not of a tenant."""

_SHARED = frozenset({Workflow, WorkflowVersion})


class UnknownTenant(SpaneError):
    """There is no such tenant, or it is none of theirs."""


class WhichTenant(SpaneError):
    """It takes a tenant, of which somebody has several, and none is named."""


class NoTenant(SpaneError):
    """It takes a tenant, and somebody has none."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The tenants whose rows somebody may see and touch.

    Attributes:
        tenants: Their keys; None: everything, also what belongs to no tenant.
    """

    tenants: frozenset[str] | None

    def within(self, queryset: Rows, *, changing: bool = False) -> Rows:
        """Return those rows that are within this scope.

        Args:
            changing: Leave out shared workflows, which only those may change who may do all.

        Raises:
            TypeError: nobody has said what of this model belongs to whom.
        """
        path = _path(queryset.model)
        if self.tenants is None:
            return queryset
        if path is None:
            return queryset.none()
        shared = {""} if queryset.model in _SHARED and not changing else set()
        return queryset.filter(**{f"{path}__in": self.tenants | shared})

    def covers(self, tenant: str) -> bool:
        """Say whether what belongs to ``tenant`` may be seen and touched."""
        return self.tenants is None or tenant in self.tenants

    def only(self, tenant: str) -> Scope:
        """Return the part of this scope that is one tenant's; nothing if it is not within."""
        return Scope(frozenset({tenant} if self.covers(tenant) else ()))


EVERYTHING = Scope(None)


def scope_of(user: AbstractBaseUser, token: ApiToken | None = None) -> Scope:
    """Return what a user may see and touch, less what the token they showed is not bound to."""
    if not has_tenants():
        return EVERYTHING
    if not user.is_authenticated:
        return Scope(frozenset())
    resolve = import_string(settings.TENANT_RESOLVER) if settings.TENANT_RESOLVER else members
    keys: Iterable[object] | None = resolve(user)
    scope = EVERYTHING if keys is None else Scope(frozenset(str(key) for key in keys))
    return scope.only(token.tenant) if token is not None and token.tenant else scope


def has_tenants() -> bool:
    """Say whether this project keeps tenants apart."""
    return settings.TENANT_MODEL is not None


def members(user: AbstractBaseUser) -> Iterable[str] | None:
    """Resolve the built-in tenants: those that name the user; a superuser may touch all."""
    if getattr(user, "is_superuser", False):
        return None
    return Tenant.objects.filter(users=user.pk).values_list("key", flat=True)


def tenant_model() -> type[Model]:
    """Return the model that ``TENANT_MODEL`` names.

    Raises:
        LookupError: there is no such model; the system checks say so.
        ValueError: it is not written as ``app_label.ModelName``.
    """
    return apps.get_model(str(settings.TENANT_MODEL))


def exists(tenant: str) -> bool:
    """Say whether there is such a tenant."""
    model: Any = tenant_model()
    try:
        return bool(model._default_manager.filter(pk=tenant).exists())
    except (TypeError, ValueError, OverflowError):  # no primary key looks like this
        return False


def _path(model: type[Model]) -> str | None:
    if model in _PATHS:
        return _PATHS[model]
    if has_tenants() and model is tenant_model():
        return "pk"
    try:
        model._meta.get_field("tenant")
    except FieldDoesNotExist:
        raise TypeError(f"{model.__name__} has no line in {__name__}._PATHS") from None
    return "tenant"
