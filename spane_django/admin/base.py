"""What every page of ours has in common: rows are seen, never edited, and lists stay cheap.

Nobody can add, change or delete a row here, whatever permissions they have: rows change through
the engine's verbs alone (see `verbs`).  A list counts no more than `CAP` rows, joins what its
columns need, leaves large columns in the database and reads the rest for a whole page at once.
Rows of tenants that are none of the user's do not exist here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin import helpers
from django.contrib.admin.utils import (
    display_for_field,
    flatten_fieldsets,
    label_for_field,
    lookup_field,
)
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.functional import Promise, cached_property

from ..engine.scope import Scope, has_tenants, scope_of

if TYPE_CHECKING:
    # Generic for the type checker only.
    _Paginator = Paginator[Any]
    ModelAdmin = admin.ModelAdmin[Any]
else:
    _Paginator, ModelAdmin = Paginator, admin.ModelAdmin

CAP = 10_000


def has_perm(request: HttpRequest, codename: str) -> bool:
    """Say whether the user has a permission of this package."""
    return request.user.has_perm(f"spane_django.{codename}")


def scope_in(request: HttpRequest) -> Scope:
    """Return whose rows a request may see and touch; asked for once per request."""
    known: Scope | None = getattr(request, "spane_scope", None)
    if known is None:
        known = scope_of(request.user)  # type: ignore[arg-type]  # no page of ours is anonymous
        setattr(request, "spane_scope", known)  # noqa: B010  # requests declare no such attribute
    return known


class CappedPaginator(_Paginator):
    """Counts at most `CAP` rows, so that a list of millions opens as fast as one of hundreds."""

    @cached_property
    def count(self) -> int:
        return min(self._counted, CAP)

    @property
    def is_capped(self) -> bool:
        """Whether there are more rows than can be paged through."""
        return self._counted > CAP

    @cached_property
    def _counted(self) -> int:
        found = self.object_list[: CAP + 1]
        return found.count() if isinstance(found, QuerySet) else len(found)


class Rows(ChangeList):
    """A list that leaves large columns unread and prepares its page for its columns."""

    model_admin: ReadOnlyAdmin

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: list[str | None] | None = None
    ) -> QuerySet[Any]:
        found = super().get_queryset(request, exclude_parameters)
        return found.defer(*self.model_admin.list_defer)

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        self.model_admin.prepare(rows, scope_in(request))
        self.result_list = rows


class ActionForm(helpers.ActionForm):
    """The choice of an action, which django-unfold must hear of to show its button."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["action"].widget.attrs["x-model"] = "action"


class ReadOnlyAdmin(ModelAdmin):
    """Pages on which nothing can be edited.

    Attributes:
        list_defer: Columns that a list does not read.
        empty_hint: What an empty list says; `empty_command` is what to type next, if anything.
    """

    action_form = ActionForm
    show_full_result_count = False
    # A count for each choice of each filter would read all of history.
    show_facets = admin.ShowFacets.NEVER
    paginator = CappedPaginator
    list_per_page = 50
    sortable_by: ClassVar[tuple[str, ...]] = ()
    list_defer: ClassVar[tuple[str, ...]] = ()
    empty_hint: ClassVar[str | Promise] = ""
    empty_command: ClassVar[str] = ""

    class Media:
        css: ClassVar[dict[str, tuple[str, ...]]] = {
            "all": ("spane_django/admin.css", "spane_django/themes.css")
        }

    @property
    def site(self) -> str:
        return self.admin_site.name

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_payload_permission(self, request: HttpRequest) -> bool:
        """Say whether the user may see inputs and outputs."""
        return has_perm(request, "view_payload")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return scope_in(request).within(super().get_queryset(request))

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        shown = list(super().get_list_display(request))
        has_tenant = any(field.name == "tenant" for field in self.opts.fields)
        return [*shown, "tenant"] if has_tenants() and has_tenant else shown

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return list(flatten_fieldsets(self.get_fieldsets(request, obj)))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Rows

    def prepare(self, rows: list[Any], scope: Scope) -> None:
        """Read what the columns of a page need beyond its rows, as far as ``scope`` goes."""

    def facts(self, obj: Any) -> Iterator[tuple[str, Any]]:
        """Return the fields of a row that have a value, each with its label."""
        for name in flatten_fieldsets([(None, {"fields": self.fields or ()})]):
            field, _attribute, value = lookup_field(name, obj, self)
            if value not in (None, ""):
                shown = display_for_field(value, field, "") if field else value
                yield str(label_for_field(name, self.model, self)), shown

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """Return what the page of a row shows beyond its fields."""
        return {}

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        context["may_see_payload"] = self.has_payload_permission(request)
        context.update(self.page(request, obj))
        context["facts"] = list(self.facts(obj))
        return super().render_change_form(request, context, add, change, form_url, obj)
