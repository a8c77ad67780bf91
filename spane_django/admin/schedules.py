"""Schedules: what they start and when, their next five runs, and what became of the last ones.

When a schedule is due is edited here, or on the page of its periodic task, which belongs to
django-celery-beat and is linked.  A periodic task that was made there can be given a workflow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from ..clock import now as current_time
from ..core.errors import SpaneError
from ..models import Execution, Schedule, Workflow
from ..triggers import schedules
from ..triggers.backfill import backfill, preview
from ..triggers.fire import run_now
from ..triggers.timing import describe
from .base import has_perm, scope_in
from .editing import EditingAdmin
from .present import brief, chip, code, instant, lately, link, list_of, page_of, pretty, short_id
from .schedule_forms import BackfillForm, ScheduleForm
from .schedule_words import Run, in_words, upcoming
from .verbs import Order, Verb

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
class ScheduleAdmin(EditingAdmin):
    """Schedules: seen, made, changed, paused, run, backfilled."""

    list_display = ("name", "standing", "starts", "due", "next_run", "last_run")
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
    empty_hint = _("No workflow has a schedule yet. Make one here, or on the command line:")
    empty_command = "python manage.py spane_schedules add WORKFLOW --cron '0 9 * * 1-5'"
    make_label = _("Make a schedule")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.backfill_view)
        return [path("<int:pk>/backfill/", view, name=self._named("fill")), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: Any = super().get_queryset(request)
        return rows.with_last_start()  # type: ignore[no-any-return]

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        rows = obj.starts.order_by("-scheduled_for")[:_STARTS]
        shows = self.has_payload_permission(request)
        return {
            **super().page(request, obj),
            "payloads": [(_("Input"), pretty(obj.input))] if shows else [],
            "starts": [(instant(row.scheduled_for), self._outcome(row)) for row in rows],
        }

    def form_of(self, request: HttpRequest, row: Any, data: Any) -> ScheduleForm:
        chosen = request.GET.get("workflow")
        form = ScheduleForm(data, row=row, scope=scope_in(request), workflow=chosen)
        if row is not None and not self.has_payload_permission(request):
            form.keep_input()
        return form

    def links(self, request: HttpRequest, obj: Any) -> Iterator[tuple[str, str | Promise]]:
        yield from super().links(request, obj)
        if has_perm(request, "run_schedule"):
            yield self._address(request, "fill", obj.pk), _("Backfill…")

    def backfill_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask for a range, say how many times it has, start them when that is confirmed."""
        schedule = self.chosen(request, pk)
        if not has_perm(request, "run_schedule"):
            raise PermissionDenied
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
                    return HttpResponseRedirect(self._back(request, schedule))
            except SpaneError as error:
                form.tell(error)
        title, page = _("Backfill %s") % schedule, "admin/spane_django/schedule/backfill.html"
        ends = [instant(at) for at in (plan.missing[:1] + plan.missing[-1:])] if plan else []
        return self.form_page(request, form, schedule, title=title, page=page, plan=plan, ends=ends)

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
        words = in_words(schedule)
        return format_html("{}<br>{}", words, code(describe(schedule)))

    @admin.display(description=_("when"))
    def due(self, schedule: Schedule) -> SafeString | str:
        return in_words(schedule) or code(describe(schedule))

    @admin.display(description=_("problem"))
    def trouble(self, schedule: Schedule) -> str:
        return schedules.problem(schedule)

    @admin.display(description=_("next runs"))
    def following(self, schedule: Schedule) -> SafeString | None:
        return _listed(upcoming(schedule, _RUNS, now=current_time())) or None

    @admin.display(description=_("next runs"))
    def next_run(self, schedule: Schedule) -> SafeString | None:
        runs = upcoming(schedule, _RUNS, now=current_time())
        if not runs:
            return None
        template = '<details class="spane-runs"><summary>{}</summary>{}</details>'
        return format_html(template, _shown(runs[0]), _listed(runs[1:]) or _("No more."))

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


def _listed(runs: Sequence[Run]) -> SafeString:
    return format_html_join(mark_safe("<br>"), "{}", ((_shown(run),) for run in runs))


def _shown(run: Run) -> SafeString:
    template = '<time datetime="{}"><bdi>{}</bdi> <bdi>{}</bdi></time>'
    here = format_html(template, run.at.isoformat(), run.day, run.time)
    if not run.note:
        return here
    return format_html('{} <span class="spane-note">⚠︎ {}</span>', here, run.note)
