"""Verbs for all rows that match a list's filter, and the operations that carry them out.

What is confirmed is the filter as it stood when the page asked, bound to what existed then and to
whoever was asked.  A worker carries it out step by step; its page tells how far it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.core import signing
from django.core.exceptions import BadRequest, PermissionDenied
from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..clock import now as current_time
from ..dispatch.bulk import hand_over
from ..engine.bulk import begin, plan
from ..models import BulkOperation
from .base import ReadOnlyAdmin, scope_in
from .forms import AskForm
from .present import chip, instant, lately, page_of, progress
from .verbs import AT_ONCE, Verb, VerbsAdmin

_SALT = "spane_django.admin.bulk"
_GOOD_FOR_SECONDS = 3_600

Wanted = tuple[dict[str, Any], dict[str, Any]]
"""A selection of executions, and the arguments of the verb."""

Confirmed = tuple[dict[str, Any], dict[str, Any], str]
"""The same, and the address of the list with its filter."""


class BulkAdmin(VerbsAdmin):
    """Pages with verbs that can be applied to more rows than one request takes.

    Attributes:
        bulk_verbs: By the name of a verb, its name among those of bulk operations.
    """

    bulk_verbs: ClassVar[Mapping[str, str]] = {}

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.bulk_view)
        return [path("bulk/<slug:name>/", view, name=self._bulk_url_name), *super().get_urls()]

    def wanted(self, request: HttpRequest) -> Wanted | None:
        """Return the filter of the list as a selection; None: it cannot be told as one."""
        raise NotImplementedError

    def act(self, verb: Verb, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        """Ask about all that match, if all are meant and they are too many for one request."""
        is_all = request.POST.get("select_across") == "1" and verb.name in self.bulk_verbs
        wanted = self.wanted(request) if is_all else None
        tenant = _tenant(request)
        if wanted is None or tenant is None or queryset[: AT_ONCE + 1].count() <= AT_ONCE:
            return super().act(verb, request, queryset)
        selection, arguments = wanted
        selection["createdUntil"] = current_time().isoformat()
        told = (selection, arguments, request.get_full_path())
        return self._ask_all(request, verb, told, verb.form(), groups=self.breakdown(queryset))

    def _ask_all(
        self,
        request: HttpRequest,
        verb: Verb,
        told: Confirmed,
        form: AskForm,
        *,
        groups: Sequence[tuple[SafeString, int]] = (),
    ) -> HttpResponse:
        selection, arguments, back = told
        tenant = _tenant(request) or ""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": verb.label,
            "verb": verb,
            "url": reverse(f"admin:{self._bulk_url_name}", args=[verb.name], current_app=self.site),
            "groups": groups,
            "changing": plan(
                self.bulk_verbs[verb.name], selection, arguments, tenant=tenant, is_complete=False
            ),
            "signed": signing.dumps([*told, request.user.pk], salt=_SALT + verb.name),
            "back": back,
            "form": form,
        }
        request.current_app = self.site
        return TemplateResponse(request, "admin/spane_django/confirm_all.html", context)

    def breakdown(self, queryset: QuerySet[Any]) -> list[tuple[SafeString, int]]:
        """Return how many rows there are of each kind."""
        return []

    def bulk_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Begin an operation that was confirmed."""
        verb = next((verb for verb in self.verbs if verb.name == name), None)
        if verb is None or name not in self.bulk_verbs:
            raise Http404
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        tenant = _tenant(request)
        if tenant is None or not self.may(request, verb):
            raise PermissionDenied
        told = _confirmed(request, name)
        form = verb.form(request.POST)
        if not form.is_valid():
            return self._ask_all(request, verb, told, form)
        operation = begin(
            self.bulk_verbs[name],
            told[0],
            {**told[1], **form.given},
            now=current_time(),
            by=request.user,  # type: ignore[arg-type]  # signed in
            reason=form.why,
            tenant=tenant,
        )
        hand_over(operation.pk)
        return HttpResponseRedirect(page_of(BulkOperation, operation.pk, self.site))

    @property
    def _bulk_url_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_bulk"


@admin.register(BulkOperation)
class BulkOperationAdmin(ReadOnlyAdmin):
    """What is done to many rows, how far it is, and what was left alone."""

    list_display = ("verb", "standing", "progress", "changed", "refused", "lately", "started_by")
    list_filter = ("verb",)
    list_select_related = ("started_by",)
    ordering = ("-id",)
    fields = (
        "verb", "total", "changed", "refused", "began", "ended", "started_by", "reason",
    )  # fmt: skip
    empty_hint = _(
        "Nothing was done to many rows at once yet. Select all that match in a list, and an action."
    )

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        reasons = Counter(obj.refusals.values())
        return {
            "chip": self.standing(obj),
            "progress": self.progress(obj),
            "refusals": reasons.most_common(),
            "follows": obj.finished_at is None,
            "selection": {**obj.selection, **obj.arguments},
        }

    @admin.display(description=_("status"))
    def standing(self, operation: BulkOperation) -> SafeString:
        if operation.finished_at is None:
            return chip("running")
        return chip("completed" if not operation.refused else "skipped", _("finished"))

    @admin.display(description=_("progress"))
    def progress(self, operation: BulkOperation) -> SafeString:
        return progress(operation.changed + operation.refused, operation.total)

    @admin.display(description=_("started"))
    def lately(self, operation: BulkOperation) -> SafeString | None:
        return lately(operation.created_at)

    @admin.display(description=_("started"))
    def began(self, operation: BulkOperation) -> SafeString | None:
        return instant(operation.created_at)

    @admin.display(description=_("finished"))
    def ended(self, operation: BulkOperation) -> SafeString | None:
        return instant(operation.finished_at)


def _tenant(request: HttpRequest) -> str | None:
    """Return whose rows an operation may change; "": everybody's, None: of several tenants."""
    tenants = scope_in(request).tenants
    if tenants is None:
        return ""
    return next(iter(tenants)) if len(tenants) == 1 else None


def _confirmed(request: HttpRequest, verb: str) -> Confirmed:
    """Return what the page asked about that was confirmed."""
    try:
        selection, arguments, back, user = signing.loads(
            request.POST.get("signed", ""), salt=_SALT + verb, max_age=_GOOD_FOR_SECONDS
        )
    except signing.BadSignature:
        raise BadRequest("ask again: what was confirmed is too old or was changed") from None
    if user != request.user.pk:
        raise PermissionDenied
    return selection, arguments, back
