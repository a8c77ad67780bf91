"""Schedules: what they start and when, their next five runs, and what became of the last ones.

When a schedule is due is edited here, or on the page of its periodic task, which belongs to
django-celery-beat and is linked.  A periodic task that was made there can be given a workflow.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from ..clock import now as current_time
from ..core.errors import Faulty, SpaneError
from ..models import Execution, Schedule, Workflow
from ..triggers import schedules
from ..triggers.backfill import backfill, preview
from ..triggers.fire import run_now
from ..triggers.schedules import next_runs
from ..triggers.timing import InvalidTiming, describe
from .base import has_perm, scope_in
from .present import brief, chip, code, instant, lately, link, list_of, page_of, pretty, short_id
from .schedule_forms import BackfillForm, ScheduleForm
from .verbs import Order, Verb, VerbsAdmin

_RUNS = 5
_STARTS = 10


def _pause(pk: int, order: Order) -> Schedule:
    return schedules.pause(pk, now=order.now, by=order.by, reason=order.reason)


def _resume(pk: int, order: Order) -> Schedule:
    return schedules.resume(pk, now=order.now, by=order.by, reason=order.reason)


def _run(pk: int, order: Order) -> Execution:
    return run_now(schedules.find(pk), now=order.now, by=order.by)


def _delete(pk: int, order: Order) -> None:
    schedules.delete(pk, now=order.now, by=order.by)


PAUSE = Verb(
    name="pause",
    label=_("Pause"),
    done=ngettext_lazy(
        "%(count)d schedule was paused.", "%(count)d schedules were paused.", "count"
    ),
    permission="run_schedule",
    apply=_pause,
    is_legal=lambda schedule: not schedule.is_paused,
)
RESUME = Verb(
    name="resume",
    label=_("Resume"),
    done=ngettext_lazy(
        "%(count)d schedule was resumed.", "%(count)d schedules were resumed.", "count"
    ),
    permission="run_schedule",
    apply=_resume,
    is_legal=lambda schedule: schedule.is_paused,
)
RUN = Verb(
    name="run",
    label=_("Run now"),
    done=ngettext_lazy("%(count)d schedule was run.", "%(count)d schedules were run.", "count"),
    permission="run_schedule",
    apply=_run,
    is_legal=lambda schedule: True,
    warning=_("An execution is started at once. When the schedule is due stays as it is."),
)
DELETE = Verb(
    name="delete",
    label=_("Delete"),
    done=ngettext_lazy(
        "%(count)d schedule was deleted.", "%(count)d schedules were deleted.", "count"
    ),
    permission="delete_schedule",
    apply=_delete,
    is_legal=lambda schedule: True,
    warning=_("Its periodic task goes, too. Executions that it has started stay."),
)


@admin.register(Schedule)
class ScheduleAdmin(VerbsAdmin):
    """Schedules: seen, made, changed, paused, run, backfilled."""

    list_display = ("name", "standing", "starts", "when", "next_run", "last_run")
    list_filter = ("workflow", "misfire")
    search_fields = ("task__name", "workflow__key")
    list_select_related = (
        "workflow", "task__crontab", "task__interval", "task__solar", "task__clocked",
    )  # fmt: skip
    verbs = (PAUSE, RESUME, RUN, DELETE)
    fields = (
        "name", "starts", "when", "trouble", "following", "periodic_task", "misfire",
        "misfire_cap", "priority", "key", "tenant", "started",
    )  # fmt: skip
    empty_hint = _("No workflow has a schedule yet. Make one:")
    empty_command = "python manage.py spane_schedules add WORKFLOW --cron '0 9 * * 1-5'"
    change_list_template = "admin/spane_django/schedule/change_list.html"

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("make/", wrap(self.edit_view), name="spane_django_schedule_make"),
            path("<int:pk>/edit/", wrap(self.edit_view), name="spane_django_schedule_edit"),
            path("<int:pk>/backfill/", wrap(self.backfill_view), name="spane_django_schedule_fill"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: Any = super().get_queryset(request)
        return rows.with_last_start()  # type: ignore[no-any-return]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        may_make = {"may_make": has_perm(request, "add_schedule")}
        return super().changelist_view(request, {**may_make, **(extra_context or {})})

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        rows = obj.starts.order_by("-scheduled_for")[:_STARTS]
        shows = self.has_payload_permission(request)
        return {
            **super().page(request, obj),
            "payloads": [(_("Input"), pretty(obj.input))] if shows else [],
            "may_edit": has_perm(request, "change_schedule"),
            "may_run": has_perm(request, "run_schedule"),
            "starts": [(instant(row.scheduled_for), self._outcome(row)) for row in rows],
        }

    def edit_view(self, request: HttpRequest, pk: int | None = None) -> HttpResponse:
        """Show the form that makes or changes a schedule, or do it."""
        schedule = self._chosen(request, pk, "add" if pk is None else "change")
        given = request.POST if request.method == "POST" else None
        form = ScheduleForm(
            given, schedule=schedule, scope=scope_in(request), workflow=request.GET.get("workflow")
        )
        if schedule is not None and not self.has_payload_permission(request):
            form.keep_input()
        if form.is_valid():
            try:
                made = form.save(now=current_time(), by=request.user)
            except SpaneError as error:
                _tell(form, error)
            else:
                self.message_user(request, _("The schedule was saved."), messages.SUCCESS)
                return HttpResponseRedirect(page_of(Schedule, made.pk, self.site))
        title = _("Make a schedule") if schedule is None else _("Edit %s") % schedule
        return self._form_page(request, form, title, schedule)

    def backfill_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask for a range, say how many times it has, start them when that is confirmed."""
        schedule = self._chosen(request, pk, "run")
        form = BackfillForm(request.POST if request.method == "POST" else None)
        plan = None
        if form.is_valid():
            span, now = (form.cleaned_data["start"], form.cleaned_data["end"]), current_time()
            try:
                plan = preview(schedule, *span, now=now)
                if "confirmed" in request.POST:
                    user: Any = request.user
                    done = backfill(schedule.pk, *span, now=now, by=user)
                    told = _("%d times were started.") % sum(not row.error for row in done)
                    self.message_user(request, told, messages.SUCCESS)
                    return HttpResponseRedirect(page_of(Schedule, schedule.pk, self.site))
            except SpaneError as error:
                _tell(form, error)
        return self._form_page(request, form, _("Backfill %s") % schedule, schedule, plan=plan)

    def _chosen(self, request: HttpRequest, pk: int | None, verb: str) -> Any:
        if not (self.has_view_permission(request) and has_perm(request, f"{verb}_schedule")):
            raise PermissionDenied
        if pk is None:
            return None
        schedule = self.get_queryset(request).filter(pk=pk).first()
        if schedule is None:
            raise Http404
        return schedule

    def _form_page(
        self, request: HttpRequest, form: Any, title: Any, schedule: Any, **more: Any
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media + form.media,
            "title": title,
            "original": schedule,
            "form": form,
            **more,
        }
        request.current_app = self.site
        return TemplateResponse(request, "admin/spane_django/schedule/form.html", context)

    def _outcome(self, row: Any) -> SafeString | str:
        if row.error:
            return brief(row.error)
        return link(page_of(Execution, row.execution_id, self.site), short_id(row.execution_id))

    @admin.display(description=_("name"), ordering="task__name")
    def name(self, schedule: Schedule) -> str:
        return str(schedule.task.name)

    @admin.display(description=_("status"))
    def standing(self, schedule: Schedule) -> SafeString:
        if schedule.is_paused:
            return chip("paused")
        if schedules.problem(schedule):
            return chip("failed", _("cannot run"))
        return chip("completed", _("enabled"))

    @admin.display(description=_("starts"))
    def starts(self, schedule: Schedule) -> SafeString:
        return link(page_of(Workflow, schedule.workflow_id, self.site), schedule.workflow.key)

    @admin.display(description=_("when"))
    def when(self, schedule: Schedule) -> SafeString:
        return code(describe(schedule))

    @admin.display(description=_("problem"))
    def trouble(self, schedule: Schedule) -> str:
        return schedules.problem(schedule)

    @admin.display(description=_("next runs"))
    def following(self, schedule: Schedule) -> SafeString | None:
        runs = ((instant(run),) for run in _next(schedule, _RUNS))
        return format_html_join(mark_safe("<br>"), "{}", runs) or None

    @admin.display(description=_("next run"))
    def next_run(self, schedule: Schedule) -> SafeString | None:
        runs = _next(schedule, 1)
        return lately(runs[0]) if runs else None

    @admin.display(description=_("last run"))
    def last_run(self, schedule: Any) -> SafeString | str | None:
        if schedule.last_error:
            return brief(schedule.last_error)
        return lately(schedule.last_scheduled_for)

    @admin.display(description=_("periodic task"))
    def periodic_task(self, schedule: Schedule) -> SafeString:
        url = reverse(
            "admin:django_celery_beat_periodictask_change",
            args=[schedule.task_id],
            current_app=self.site,
        )
        return link(url, schedule.task.name)

    @admin.display(description=_("executions"))
    def started(self, schedule: Schedule) -> SafeString:
        return link(list_of(Execution, self.site, trigger__exact=schedule.trigger), _("Show all"))


def _next(schedule: Schedule, count: int) -> list[Any]:
    try:
        return list(next_runs(schedule, count, now=current_time()))
    except InvalidTiming:
        return []


def _tell(form: Any, error: SpaneError) -> None:
    """Show what is wrong beside the fields that it is about."""
    for fault in error.faults if isinstance(error, Faulty) else ():
        name = {"startTime": "start_time"}.get(fault.path, fault.path.partition(".")[0])
        form.add_error(name if name in form.fields else None, fault.message)
    if not isinstance(error, Faulty):
        form.add_error(None, str(error))
