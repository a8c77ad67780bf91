"""Starting a workflow by hand: a form of its input schema, or the input as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from ..clock import now as current_time
from ..core.definition import Definition
from ..core.errors import InvalidInput, SpaneError
from ..engine.audit import record_start
from ..engine.db import atomic
from ..engine.start import StartOptions, start
from ..models import Execution, Workflow
from .base import has_perm, scope_in
from .forms import JsonForm
from .present import page_of
from .schema_forms import SchemaForm, has_fields
from .verbs import VerbsAdmin


class StartForm(forms.Form):
    """A key by which a second click starts nothing more."""

    key = forms.UUIDField(initial=uuid4, widget=forms.HiddenInput)

    def __init__(self, *args: Any, tenants: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["tenant"] = forms.ChoiceField(
            label=_("Tenant"),
            choices=[(tenant, tenant) for tenant in tenants],
            initial=tenants[0],
            required=bool(tenants[0]),
            widget=forms.Select if len(tenants) > 1 else forms.HiddenInput,
        )


class StartingAdmin(VerbsAdmin):
    """The page of a workflow, with a page on which it is started."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.start_view)
        return [
            path("<int:pk>/start/", view, name="spane_django_workflow_start"),
            *super().get_urls(),
        ]

    def start_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the form that starts a workflow, or start it."""
        workflow = self.get_object(request, str(pk))
        if workflow is None:
            raise Http404
        if not (self.has_view_permission(request, workflow) and self.has_run_permission(request)):
            raise PermissionDenied
        tenants = self._tenants(request, workflow)
        posted = request.POST if request.method == "POST" else None
        schema = self._input_schema(workflow)
        in_json = not has_fields(schema) or "json" in request.GET
        form = StartForm(posted, tenants=tenants)
        given = JsonForm(posted) if in_json else SchemaForm(schema or {}, posted, user=request.user)
        is_filled_in = form.is_valid() and given.is_valid()
        started = self._start(request, workflow, form, given) if is_filled_in else None
        if started is not None:
            self.log_change(request, workflow, f"start: {started.pk}")
            self.message_user(request, _("The execution was started."), messages.SUCCESS)
            return HttpResponseRedirect(page_of(Execution, started.pk, self.site))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media + given.media,
            "title": _("Start %s") % workflow.name,
            "original": workflow,
            "form": form,
            "given": given,
            "in_json": in_json,
            "has_fields": has_fields(schema),
        }
        request.current_app = self.site
        return TemplateResponse(request, "admin/spane_django/workflow/start.html", context)

    def _tenants(self, request: HttpRequest, workflow: Workflow) -> list[str]:
        """Return for which tenants the user may start a workflow; "": for none."""
        tenants = scope_in(request).tenants
        if workflow.tenant or tenants is None:
            return [workflow.tenant]
        if not tenants:
            raise PermissionDenied
        return sorted(tenants)

    def _input_schema(self, workflow: Workflow) -> dict[str, Any] | None:
        version = workflow.current_version
        return Definition(version.definition).input_schema if version else None

    def _start(
        self,
        request: HttpRequest,
        workflow: Workflow,
        form: StartForm,
        given: JsonForm | SchemaForm,
    ) -> Execution | None:
        try:
            options = StartOptions(
                idempotency_key=f"admin-form-{form.cleaned_data['key']}",
                tenant=form.cleaned_data["tenant"],
                by=request.user,  # type: ignore[arg-type]  # never anonymous
            )
            with atomic():
                now = current_time()
                execution = start(workflow.key, given.value(), now=now, options=options)
                if execution.created_at == now:
                    by, tenant = options.by, options.tenant
                    record_start(workflow.key, [execution.pk], now=now, by=by, tenant=tenant)
            return execution
        except InvalidInput as error:
            given.tell(error.faults, "initialData")
        except SpaneError as error:
            given.add_error(None, str(error))
        return None

    def has_run_permission(self, request: HttpRequest) -> bool:
        return has_perm(request, "run_workflow")
