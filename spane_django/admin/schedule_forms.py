"""The forms of schedules: when, what and how; and which range is backfilled.

Times are of the current time zone of the admin, as everywhere on its pages.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.apps import apps
from django.contrib.admin.widgets import AdminSplitDateTime
from django.utils.translation import gettext_lazy as _

from ..core.json import Json, encode
from ..core.misfire import Misfire
from ..engine.scope import Scope
from ..models import Schedule, Workflow
from ..models.schedule import MISFIRES
from ..triggers import schedules
from ..triggers.schedules import MOST_MISSED, Wanted
from ..triggers.timing import Timing, read_timing
from .forms import JsonField


def _moment(label: Any) -> forms.SplitDateTimeField:
    return forms.SplitDateTimeField(label=label, required=False, widget=AdminSplitDateTime())


class ScheduleForm(forms.Form):
    """Everything that a schedule is."""

    workflow = forms.ModelChoiceField(label=_("Workflow"), queryset=Workflow.objects.none())
    task: Any = forms.ModelChoiceField(
        label=_("Periodic task"), queryset=None, required=False,
        help_text=_("One that was made on the pages of Periodic Tasks; empty: a new one."),
    )  # fmt: skip
    name = forms.CharField(
        label=_("Name"), required=False, max_length=schedules.NAME_LENGTH,
        help_text=_("Empty: the workflow with the timing."),
    )  # fmt: skip
    cron = forms.CharField(
        label=_("Crontab"), required=False, max_length=1_000,
        help_text=_("Minute, hour, day of month, month, day of week: 30 2 * * 1-5"),
    )  # fmt: skip
    timezone = forms.CharField(
        label=_("Time zone of the crontab"), required=False, max_length=63,
        help_text=_("Such as Europe/Berlin; empty: the project's."),
    )  # fmt: skip
    every = forms.FloatField(
        label=_("Interval"), required=False, min_value=1, help_text=_("Seconds.")
    )
    at = _moment(_("One time"))
    given = JsonField(label=_("Input, as JSON"))
    misfire = forms.ChoiceField(label=_("Missed times"), choices=MISFIRES, initial=Misfire.ONCE)
    cap = forms.IntegerField(
        label=_("Missed times at most"), min_value=0, max_value=MOST_MISSED, initial=100
    )
    priority = forms.IntegerField(label=_("Priority"), required=False, min_value=1, max_value=10)
    key = forms.CharField(label=_("Key"), required=False, max_length=200)
    start_time = _moment(_("From"))
    expires = _moment(_("Until"))

    def __init__(
        self, data: Any, *, schedule: Schedule | None, scope: Scope, workflow: str | None = None
    ) -> None:
        initial = _initial(schedule) if schedule else {"workflow": workflow}
        super().__init__(data, initial=initial)
        self._schedule = schedule
        self._scope = scope
        self._kept_input: Json = None
        workflows = scope.within(Workflow.objects.order_by("key"))
        self.fields["workflow"].queryset = workflows  # type: ignore[attr-defined]
        tasks = apps.get_model("django_celery_beat", "PeriodicTask")._default_manager
        free = tasks.filter(spane_schedule=None) if scope.tenants is None else tasks.none()
        if schedule is None and free.exists():
            self.fields["task"].queryset = free  # type: ignore[attr-defined]
        else:
            del self.fields["task"]

    def keep_input(self) -> None:
        """Neither show nor ask for the input of the schedule."""
        del self.fields["given"]
        self._kept_input = self._schedule.input if self._schedule else None

    def save(self, *, now: datetime, by: Any) -> Schedule:
        """Make or change the schedule.

        Raises:
            InvalidInput, UnknownWorkflow: nothing has been written.
        """
        wanted = self._wanted()
        if self._schedule is not None:
            return schedules.change(self._schedule.pk, wanted, now=now, by=by)
        tenant = self.cleaned_data["workflow"].tenant
        if not tenant and self._scope.tenants:
            tenant = min(self._scope.tenants)
        task = self.cleaned_data.get("task")
        return schedules.create(wanted, now=now, tenant=tenant, by=by, task=task)

    def _wanted(self) -> Wanted:
        data = self.cleaned_data
        return Wanted(
            workflow=data["workflow"].key,
            timing=self._timing(),
            name=data["name"],
            input=data.get("given", self._kept_input),
            misfire=data["misfire"],
            cap=data["cap"],
            priority=data["priority"],
            key=data["key"],
            is_enabled=self._schedule is None or not self._schedule.is_paused,
            start_time=data["start_time"],
            expires=data["expires"],
        )

    def _timing(self) -> Timing | None:
        """Return the timing that was filled in; None: that of the row stays."""
        data, before = self.cleaned_data, self._schedule and read_timing(self._schedule)
        every = data["every"]
        timing = Timing(
            cron=data["cron"] or None,
            timezone=data["timezone"] or None,
            every=None if every is None else timedelta(seconds=every),
            at=data["at"],
        )
        if before and (timing == before or (before.solar and timing == Timing())):
            return None
        return None if data.get("task") and timing == Timing() else timing


class BackfillForm(forms.Form):
    """A range."""

    start = forms.SplitDateTimeField(label=_("From"), widget=AdminSplitDateTime())
    end = forms.SplitDateTimeField(label=_("Until, not included"), widget=AdminSplitDateTime())


def _initial(schedule: Schedule) -> dict[str, Any]:
    timing = read_timing(schedule) or Timing()
    wanted = schedules.wanted_of(schedule)
    every = timing.every
    return {
        "workflow": schedule.workflow_id,
        "name": wanted.name,
        "cron": timing.cron,
        "timezone": timing.timezone,
        "every": None if every is None else every.total_seconds(),
        "at": timing.at,
        "given": "" if wanted.input is None else encode(wanted.input),
        "misfire": wanted.misfire,
        "cap": wanted.cap,
        "priority": wanted.priority,
        "key": wanted.key,
        "start_time": wanted.start_time,
        "expires": wanted.expires,
    }
