"""The built-in tenants: who belongs to which.

They are made and named here, the only pages beside secrets where rows are edited.  A tenant's key
stands in the rows that belong to it, so it is never changed, and a tenant is never deleted:
whoever got its key later would get its rows, too.  A project with a model of its own sees none of
this.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ..clock import now as current_time
from ..engine.audit import Owned, record
from ..engine.scope import has_tenants, tenant_model
from ..models import Tenant
from .base import CappedPaginator, ModelAdmin, scope_in


@admin.register(Tenant)
class TenantAdmin(ModelAdmin):
    """Tenants and their users."""

    list_display = ("key", "name")
    search_fields = ("key", "name")
    fields = ("key", "name", "users")
    filter_horizontal = ("users",)
    show_full_result_count = False
    paginator = CappedPaginator
    empty_hint = _("There is no tenant yet. Add one, and name the users who belong to it.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return scope_in(request).within(super().get_queryset(request))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("key",) if obj else ()

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _is_built_in() and super().has_module_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _is_built_in() and super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        is_for_all = scope_in(request).tenants is None
        return _is_built_in() and is_for_all and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _is_built_in() and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        before = _users(form.instance) if change else None
        super().save_related(request, form, formsets, change)
        user: Any = request.user
        record(
            "change_tenant" if change else "create_tenant", now=current_time(), by=user,
            target=Owned(form.instance.key, form.instance.key),
            before={"users": before} if before is not None else None,
            after={"name": form.instance.name, "users": _users(form.instance)},
        )  # fmt: skip


def _is_built_in() -> bool:
    return has_tenants() and tenant_model() is Tenant


def _users(tenant: Tenant) -> list[Any]:
    return sorted(user.get_username() for user in tenant.users.all())
