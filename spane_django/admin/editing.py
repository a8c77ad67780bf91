"""Pages on which people make and change rows: by a form, through the verbs of the engine.

* What may be said is decided by the verb that the API uses, too; a form turns what was typed into
  the words of the API, and the faults that come back stand beside the fields that they are about.
* A secret that was made is shown once, on the page that answers: it goes into no message, which
  would be kept in a cookie, and into no cache.  For its sake the answer is no redirect; a form
  that is sent again, by a reload, does nothing more.
* The filters of the list that somebody came from stay with them all the way round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from uuid import uuid4

from django import forms
from django.contrib import messages
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.cache import add_never_cache_headers
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..clock import now as current_time
from ..core.errors import Faulty, SpaneError
from ..engine.scope import Scope
from ..models import Workflow
from .base import has_perm
from .present import instant, list_of, page_of
from .verbs import VerbsAdmin

_SENT = "spane_sent"
_REMEMBERED = 20

GRACE = (
    ("0", _("It ends at once")),
    ("3600", _("One hour")),
    ("86400", _("One day")),
    ("604800", _("Seven days")),
)
"""For how many seconds a secret stays good beside the one that takes its place."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a form has made or changed.

    Attributes:
        secret: One that was made with it, shown this once; "": none was.
    """

    row: Any
    secret: str = ""


class EngineForm(forms.Form):
    """A form that saves by a verb of the engine.

    Attributes:
        sections: Titles, each with the names of its fields; a field of none comes first.
        paths: Fields by the paths of the faults that are shown beside them; a path that is not
            named is looked for by its beginning.
        submit_label: What the button says.
    """

    required_css_class = "required"
    submit_label: ClassVar[str | Promise] = _("Save")
    sections: ClassVar[tuple[tuple[str | Promise, tuple[str, ...]], ...]] = ()
    paths: ClassVar[Mapping[str, str]] = {}

    def save(self, *, now: datetime, by: Any) -> Made:
        """Make or change the row.

        Raises:
            SpaneError: it is refused; nothing has been written.
        """
        raise NotImplementedError

    def tell(self, error: SpaneError) -> None:
        """Show what is wrong beside the fields that it is about."""
        for fault in error.faults if isinstance(error, Faulty) else ():
            field = self._field_of(fault.path)
            self.add_error(field, fault.message if field else str(fault))
        if not isinstance(error, Faulty):
            self.add_error(None, str(error))

    def groups(self) -> Iterator[tuple[str | Promise, list[forms.BoundField]]]:
        """Return the fields as they are shown: by section, each under its title."""
        named = {name for _title, names in self.sections for name in names}
        first = [field for field in self.visible_fields() if field.name not in named]
        yield "", first
        for title, names in self.sections:
            fields = [self[name] for name in names if name in self.fields]
            if fields:
                yield title, fields

    def _field_of(self, path: str) -> str | None:
        while path:
            field = self.paths.get(path, path)
            if field in self.fields:
                return field
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return None


class OwnedForm(EngineForm):
    """A form of what starts a workflow, which belongs to a tenant where there are any."""

    workflow = forms.ModelChoiceField(label=_("Workflow"), queryset=Workflow.objects.none())

    def __init__(self, data: Any, *, row: Any, scope: Scope, workflow: str | None = None) -> None:
        super().__init__(data, initial=self.said_of(row) if row else {"workflow": workflow})
        self.row = row
        self._scope = scope
        workflows = scope.within(Workflow.objects.order_by("key", "tenant"))
        if row is not None:
            workflows = workflows.filter(tenant__in={row.tenant, ""})
        self.fields["workflow"].queryset = workflows  # type: ignore[attr-defined]
        tenants = sorted(scope.tenants or ())
        if row is None and len(tenants) > 1:
            choices = [(tenant, tenant) for tenant in tenants]
            self.fields["tenant"] = forms.ChoiceField(label=_("Tenant"), choices=choices)

    @staticmethod
    def said_of(row: Any) -> dict[str, Any]:
        """Return what the fields say of a row that there is."""
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if self.row is None and self._scope.tenants is not None and not self._scope.tenants:
            self.add_error(None, _("You belong to no tenant, for whom this could be made."))
        return given

    def tenant(self) -> str:
        """Return whose the new row is."""
        tenants = self._scope.tenants
        if tenants is None:
            return str(self.cleaned_data["workflow"].tenant)
        return str(self.cleaned_data.get("tenant") or min(tenants))


class EditingAdmin(VerbsAdmin):
    """Pages whose rows are made and changed on a form.

    Attributes:
        make_label: The title of the form that makes a row, and what leads to it.
    """

    make_label: ClassVar[str | Promise] = ""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("make/", wrap(self.edit_view), name=self._named("make")),
            path("<int:pk>/edit/", wrap(self.edit_view), name=self._named("edit")),
            *super().get_urls(),
        ]

    def form_of(self, request: HttpRequest, row: Any, data: Any) -> EngineForm:
        """Return the form that makes a row, or changes ``row``."""
        raise NotImplementedError

    def may_make(self, request: HttpRequest) -> bool:
        return has_perm(request, f"add_{self.opts.model_name}")

    def may_edit(self, request: HttpRequest, row: Any) -> bool:
        return has_perm(request, f"change_{self.opts.model_name}")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        tools = []
        if self.may_make(request):
            tools.append((self._address(request, "make"), self.make_label))
        return super().changelist_view(request, {"tools": tools, **(extra_context or {})})

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        return {**super().page(request, obj), "links": list(self.links(request, obj))}

    def links(self, request: HttpRequest, obj: Any) -> Iterator[tuple[str, str | Promise]]:
        """Return where the forms about a row are, as far as the user may send them."""
        if self.may_edit(request, obj):
            yield self._address(request, "edit", obj.pk), _("Edit…")

    def edit_view(self, request: HttpRequest, pk: int | None = None) -> HttpResponse:
        """Show the form that makes or changes a row, or do it."""
        row = self.chosen(request, pk)
        if not (self.may_make(request) if row is None else self.may_edit(request, row)):
            raise PermissionDenied
        form = self.form_of(request, row, request.POST if request.method == "POST" else None)
        title = self.make_label if row is None else _("Edit %s") % row
        return self.submit(request, form, row, title=title)

    def chosen(self, request: HttpRequest, pk: int | None) -> Any:
        """Return the row that an address names, if the user may see and change it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if pk is None:
            return None
        row = self.get_queryset(request).filter(pk=pk).first()
        if row is None:
            raise Http404
        self._require_within(request, [pk])
        return row

    def submit(
        self, request: HttpRequest, form: Any, row: Any, *, title: Any, verb: str = ""
    ) -> HttpResponse:
        """Show a form, or save it and go where its row is.

        Args:
            verb: What Django's log calls it; "": that the row was made or edited.
        """
        if request.method == "POST" and request.POST.get("once", "-") in self._sent(request):
            self.message_user(request, _("This form was sent before."), messages.WARNING)
            return HttpResponseRedirect(self._back(request, row))
        if form.is_valid():
            try:
                made = form.save(now=current_time(), by=request.user)
            except SpaneError as error:
                form.tell(error)
            else:
                return self._saved(request, made, row, verb)
        return self.form_page(request, form, row, title=title)

    def form_page(
        self, request: HttpRequest, form: Any, row: Any, *, title: Any, **more: Any
    ) -> HttpResponse:
        """Return the page of a form; `page` names another template than that of all forms."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media + form.media,
            "title": title,
            "original": row,
            "form": form,
            "once": request.POST.get("once") or uuid4(),
            "back": self._back(request, row),
            **more,
        }
        request.current_app = self.site
        page = more.get("page", "admin/spane_django/form.html")
        response = TemplateResponse(request, page, context)
        add_never_cache_headers(response)
        return response

    def told(self, request: HttpRequest, made: Made) -> dict[str, Any]:
        """Return what stands beside a secret that is shown: `sentence` and `commands`."""
        raise NotImplementedError

    def _saved(self, request: HttpRequest, made: Made, row: Any, verb: str) -> HttpResponse:
        request.session[_SENT] = [*self._sent(request), request.POST.get("once", "")][-_REMEMBERED:]
        if row is None:
            self.log_addition(request, made.row, "make")
        else:
            self.log_change(request, made.row, verb or "edit")
        if made.secret:
            return self._shown_once(request, made)
        self.message_user(request, _("It was saved."), messages.SUCCESS)
        return HttpResponseRedirect(self._back(request, made.row))

    def _shown_once(self, request: HttpRequest, made: Made) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": made.row,
            "original": made.row,
            "secret": made.secret,
            "back": self._back(request, made.row),
            **self.told(request, made),
        }
        request.current_app = self.site
        response = TemplateResponse(request, "admin/spane_django/shown_once.html", context)
        add_never_cache_headers(response)
        return response

    def _sent(self, request: HttpRequest) -> list[str]:
        return [key for key in request.session.get(_SENT, ()) if key]

    def _back(self, request: HttpRequest, row: Any) -> str:
        url = list_of(self.model, self.site)
        if row is not None:
            url = page_of(self.model, row.pk, self.site)
        return self._filtered(request, url)

    def _address(self, request: HttpRequest, name: str, *args: Any) -> str:
        url = reverse(f"admin:{self._named(name)}", args=args, current_app=self.site)
        return self._filtered(request, url)

    def _filtered(self, request: HttpRequest, url: str) -> str:
        kept = self.get_preserved_filters(request)
        if not kept:
            return url
        return str(add_preserved_filters({"preserved_filters": kept, "opts": self.opts}, url))

    def _named(self, name: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{name}"


class RotatingAdmin(EditingAdmin):
    """Pages of what has a secret, which can be given another one."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.rotate_view)
        return [path("<int:pk>/rotate/", view, name=self._named("rotate")), *super().get_urls()]

    def links(self, request: HttpRequest, obj: Any) -> Iterator[tuple[str, str | Promise]]:
        yield from super().links(request, obj)
        if self.may_rotate(request, obj):
            yield self._address(request, "rotate", obj.pk), _("Rotate the secret…")

    def may_rotate(self, request: HttpRequest, row: Any) -> bool:
        raise NotImplementedError

    def rotation_of(self, request: HttpRequest, row: Any, data: Any) -> EngineForm:
        """Return the form that gives ``row`` another secret."""
        raise NotImplementedError

    def rotate_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask how long the old secret stays good, or put another in its place and show that."""
        row = self.chosen(request, pk)
        if not self.may_rotate(request, row):
            raise PermissionDenied
        form = self.rotation_of(request, row, request.POST if request.method == "POST" else None)
        return self.submit(request, form, row, title=_("Rotate the secret"), verb="rotate")


def still_good_until(until: datetime | None) -> SafeString | None:
    """Return the note on how long the secret before the one that is shown stays good."""
    if until is None:
        return None
    return format_html(str(_("The old one stays good until {}.")), instant(until))
