"""The forms of schedules: when, what and how; and which range is backfilled.

Times are of the current time zone of the admin, as everywhere on its pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django import forms
from django.apps import apps
from django.contrib.admin.widgets import AdminSplitDateTime
from django.utils.translation import gettext_lazy as _

from ..core.json import Json, encode
from ..core.misfire import Misfire
from ..engine.scope import Scope
from ..models import Schedule
from ..models.schedule import MISFIRES
from ..triggers import schedules
from ..triggers.schedules import MOST_MISSED, Wanted
from ..triggers.solar import Solar
from ..triggers.timing import Timing, read_timing
from .editing import EngineForm, Made, OwnedForm
from .forms import JsonField


def _moment(label: Any) -> forms.SplitDateTimeField:
    return forms.SplitDateTimeField(label=label, required=False, widget=AdminSplitDateTime())


class ScheduleForm(OwnedForm):
    """Everything that a schedule is."""

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
    event = forms.ChoiceField(label=_("Event of the sun"), required=False)
    latitude = forms.FloatField(
        label=_("Latitude"), required=False, help_text=_("Degrees north: 52.52")
    )
    longitude = forms.FloatField(
        label=_("Longitude"), required=False, help_text=_("Degrees east: 13.4")
    )
    given = JsonField(label=_("Input, as JSON"))
    misfire = forms.ChoiceField(label=_("Missed times"), choices=MISFIRES, initial=Misfire.ONCE)
    cap = forms.IntegerField(
        label=_("Missed times at most"), min_value=0, max_value=MOST_MISSED, initial=100
    )
    priority = forms.IntegerField(label=_("Priority"), required=False, min_value=1, max_value=10)
    key = forms.CharField(label=_("Key"), required=False, max_length=200)
    start_time = _moment(_("From"))
    expires = _moment(_("Until"))

    field_order = ("workflow", "tenant", "task", "name")
    sections = (
        (
            _("When: one of these"),
            ("cron", "timezone", "every", "at", "event", "latitude", "longitude"),
        ),
        (_("Within"), ("start_time", "expires")),
        (_("What is started"), ("given", "priority", "key")),
        (_("What was missed"), ("misfire", "cap")),
    )
    paths: ClassVar[Mapping[str, str]] = {
        "input": "given",
        "startTime": "start_time",
        "solar": "event",
        "solar.event": "event",
        "solar.latitude": "latitude",
        "solar.longitude": "longitude",
    }

    def __init__(self, data: Any, *, scope: Scope, row: Schedule | None, **more: Any) -> None:
        super().__init__(data, row=row, scope=scope, **more)
        self._kept_input: Json = None
        events = apps.get_model("django_celery_beat", "SolarSchedule")._meta.get_field("event")
        self.fields["event"].choices = [("", "—"), *events.choices]  # type: ignore[attr-defined]
        tasks = apps.get_model("django_celery_beat", "PeriodicTask")._default_manager
        free = tasks.filter(spane_schedule=None) if scope.tenants is None else tasks.none()
        if row is None and free.exists():
            self.fields["task"].queryset = free  # type: ignore[attr-defined]
        else:
            del self.fields["task"]

    @staticmethod
    def said_of(row: Schedule) -> dict[str, Any]:
        timing = read_timing(row) or Timing()
        wanted = schedules.wanted_of(row)
        every = timing.every
        return {
            "workflow": row.workflow_id,
            "name": wanted.name,
            "cron": timing.cron,
            "timezone": timing.timezone,
            "every": None if every is None else every.total_seconds(),
            "at": timing.at,
            "event": timing.solar.event if timing.solar else "",
            "latitude": timing.solar.latitude if timing.solar else None,
            "longitude": timing.solar.longitude if timing.solar else None,
            "given": "" if wanted.input is None else encode(wanted.input),
            "misfire": wanted.misfire,
            "cap": wanted.cap,
            "priority": wanted.priority,
            "key": wanted.key,
            "start_time": wanted.start_time,
            "expires": wanted.expires,
        }

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        names = [name for name in ("event", "latitude", "longitude") if name not in self.errors]
        said = [name for name in names if given.get(name) not in (None, "")]
        for name in set(names) - set(said) if said else ():
            self.add_error(name, _("An event of the sun takes its place, too."))
        return given

    def keep_input(self) -> None:
        """Neither show nor ask for the input of the schedule."""
        del self.fields["given"]
        self._kept_input = self.row.input if self.row else None

    def save(self, *, now: datetime, by: Any) -> Made:
        """Make or change the schedule."""
        wanted = self._wanted()
        if self.row is not None:
            return Made(schedules.change(self.row.pk, wanted, now=now, by=by))
        task = self.cleaned_data.get("task")
        return Made(schedules.create(wanted, now=now, tenant=self.tenant(), by=by, task=task))

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
            is_enabled=self.row is None or not self.row.is_paused,
            start_time=data["start_time"],
            expires=data["expires"],
        )

    def _timing(self) -> Timing | None:
        """Return the timing that was filled in; None: that of the row stays."""
        data, before = self.cleaned_data, self.row and read_timing(self.row)
        every = data["every"]
        timing = Timing(
            cron=data["cron"] or None,
            timezone=data["timezone"] or None,
            every=None if every is None else timedelta(seconds=every),
            at=data["at"],
            solar=self._sun(),
        )
        if before and timing == before:
            return None
        return None if data.get("task") and timing == Timing() else timing

    def _sun(self) -> Solar | None:
        data = self.cleaned_data
        if not data["event"]:
            return None
        return Solar(data["event"], data["latitude"], data["longitude"])


class BackfillForm(EngineForm):
    """A range."""

    start = forms.SplitDateTimeField(label=_("From"), widget=AdminSplitDateTime())
    end = forms.SplitDateTimeField(label=_("Until, not included"), widget=AdminSplitDateTime())
