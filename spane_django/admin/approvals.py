"""Approvals: the inbox of whoever is logged in, and the page on which they decide."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..clock import now as current_time
from ..core.errors import Faulty, SpaneError
from ..engine.approvals import decide, may_decide
from ..models import Approval
from .base import has_perm
from .filters import DefaultFilter
from .forms import JsonForm
from .node_runs import OfExecution
from .present import brief, chip, code, instant, lately, list_of, page_of
from .schema_forms import SchemaForm, has_fields

_DECIDE_URL = "spane_django_approval_decide"
_COLOURS: dict[str, str] = {
    Approval.Status.OPEN: "waiting",
    Approval.Status.APPROVED: "completed",
    Approval.Status.REJECTED: "failed",
    Approval.Status.EXPIRED: "skipped",
    Approval.Status.CANCELLED: "cancelled",
}


class InboxFilter(DefaultFilter):
    """Shows what the user may decide now, unless asked for others."""

    title = _("status")
    parameter_name = "inbox"
    usual = _("for me")

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("open", _("open")), (self.ALL, _("All"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == self.ALL:
            return queryset
        approvals = Approval.objects.all()
        user: Any = request.user
        wanted = (
            approvals.open()
            if self.value() == "open"
            else approvals.for_user(user, now=current_time())
        )
        return queryset.filter(pk__in=wanted.order_by().values("pk"))


class CommentForm(forms.Form):
    comment = forms.CharField(
        label=_("Comment"), required=False, widget=forms.Textarea(attrs={"rows": 3})
    )


@admin.register(Approval)
class ApprovalAdmin(OfExecution):
    """What people are asked, and what they said."""

    list_display = (
        "title", "standing", "workflow_and_execution", "said_so_far", "asked", "until",
    )  # fmt: skip
    list_filter = (InboxFilter, "execution__workflow")
    list_defer = ("execution__input", "execution__workflow__description", "form_schema")
    search_fields = ("title",)
    ordering = ("-id",)
    fields = (
        "of_workflow", "of_execution", "node", "asked_at", "due", "decided", "quorum", "people",
    )  # fmt: skip
    empty_hint = _("Nobody has been asked anything yet: an approval node asks.")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.decide_view)
        return [path("<int:pk>/decide/", view, name=_DECIDE_URL), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        approved = Count("decisions", filter=Q(decisions__is_approved=True))
        rows: QuerySet[Any] = super().get_queryset(request).annotate(approvals_given=approved)
        return rows

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        return {
            **super().page(request, obj),
            "chip": self.standing(obj),
            "decisions": [
                (said, instant(said.decided_at)) for said in obj.decisions.order_by("id")
            ],
            **self._asked(request, obj),
        }

    def decide_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Take down what somebody says; what is refused is told on the page that asked."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        approval = self.get_object(request, str(pk))
        if approval is None:
            raise Http404
        if not (self.has_view_permission(request, approval) and self._may_decide(request)):
            raise PermissionDenied
        forms_ = self._forms(request, approval, request.POST)
        is_approved = "approve" in request.POST
        if self._decide(request, approval, *forms_, is_approved=is_approved):
            self.log_change(request, approval, "approve" if is_approved else "reject")
            self.message_user(request, _("Your decision was taken down."), messages.SUCCESS)
            return HttpResponseRedirect(list_of(Approval, self.site))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": approval.title,
            "original": approval,
            "back": page_of(Approval, pk, self.site),
            "decide_url": request.path,
            "comment_form": forms_[0],
            "given_form": forms_[1],
        }
        request.current_app = self.site
        return TemplateResponse(request, "admin/spane_django/approval/decide.html", context)

    def _asked(self, request: HttpRequest, approval: Approval) -> dict[str, Any]:
        """Return the form, for whoever may decide now; else why they may not."""
        if approval.status != Approval.Status.OPEN:
            return {}
        if not self._may_decide(request):
            return {"refusal": _("You may not decide about approvals.")}
        user: Any = request.user
        if refusal := may_decide(approval, user):
            return {"refusal": refusal}
        if approval.decisions.filter(user=user.pk).exists():
            return {"refusal": _("You have decided about it already.")}
        comment, given = self._forms(request, approval, None)
        url = reverse(f"admin:{_DECIDE_URL}", args=[approval.pk], current_app=self.site)
        return {"comment_form": comment, "given_form": given, "decide_url": url}

    def _may_decide(self, request: HttpRequest) -> bool:
        return has_perm(request, "decide_approval")

    def _forms(
        self, request: HttpRequest, approval: Approval, data: Any
    ) -> tuple[CommentForm, SchemaForm | JsonForm | None]:
        schema = approval.form_schema
        if schema is None:
            return CommentForm(data), None
        if not has_fields(schema):
            return CommentForm(data), JsonForm(data)
        return CommentForm(data), SchemaForm(schema, data, user=request.user)

    def _decide(
        self,
        request: HttpRequest,
        approval: Approval,
        comment: CommentForm,
        given: SchemaForm | JsonForm | None,
        *,
        is_approved: bool,
    ) -> bool:
        if not comment.is_valid() or (is_approved and given is not None and not given.is_valid()):
            return False
        filled_in = given.value() if is_approved and given is not None else None
        user: Any = request.user
        try:
            decide(
                approval.pk,
                by=user,
                is_approved=is_approved,
                now=current_time(),
                comment=comment.cleaned_data["comment"],
                form=filled_in,
            )
        except SpaneError as error:
            if isinstance(error, Faulty) and given is not None:
                given.tell(error.faults, "form")
            else:
                comment.add_error(None, str(error))
            return False
        return True

    @admin.display(description=_("status"))
    def standing(self, approval: Approval) -> SafeString:
        return chip(_COLOURS[approval.status], approval.get_status_display())

    @admin.display(description=_("approved by"))
    def said_so_far(self, approval: Any) -> str:
        return f"{approval.approvals_given} / {approval.quorum}"

    @admin.display(description=_("node"))
    def node(self, approval: Approval) -> SafeString:
        return code(approval.node_run.node_id)

    @admin.display(description=_("asked"))
    def asked(self, approval: Approval) -> SafeString | None:
        return lately(approval.created_at)

    @admin.display(description=_("asked"))
    def asked_at(self, approval: Approval) -> SafeString | None:
        return instant(approval.created_at)

    @admin.display(description=_("deadline"))
    def until(self, approval: Approval) -> SafeString | None:
        return lately(approval.deadline_at)

    @admin.display(description=_("deadline"))
    def due(self, approval: Approval) -> SafeString | None:
        return instant(approval.deadline_at)

    @admin.display(description=_("decided"))
    def decided(self, approval: Approval) -> SafeString | None:
        return instant(approval.decided_at)

    @admin.display(description=_("who may decide"))
    def people(self, approval: Approval) -> str:
        named = [*approval.users, *approval.groups, approval.permission]
        return brief(", ".join(name for name in named if name)) or str(_("administrators"))
