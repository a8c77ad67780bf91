"""Schedules: a periodic task of django-celery-beat that starts a workflow, and what it started.

When it is due is said by the periodic task and its crontab, interval, solar event or clocked
time, which are edited on the pages of django-celery-beat; what is started, by the row here.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import OuterRef, Q, Subquery
from django.utils.translation import gettext_lazy as _

from ..core.misfire import Misfire
from ..core.starting import KEY_LENGTH
from .workflow import Workflow

MISFIRES = (
    (Misfire.SKIP.value, _("skip them")),
    (Misfire.ONCE.value, _("start once for all of them")),
    (Misfire.ALL.value, _("start for each of them")),
)


class ScheduleQuerySet(models.QuerySet["Schedule"]):
    def whole(self) -> ScheduleQuerySet:
        """With everything that says when they are due and what they start."""
        parts = ("crontab", "interval", "solar", "clocked")
        return self.select_related("workflow", "task", *(f"task__{part}" for part in parts))

    def with_last_start(self) -> ScheduleQuerySet:
        """With what became of the latest time that has been dealt with."""
        rows = ScheduledStart.objects.filter(schedule=OuterRef("pk")).order_by("-scheduled_for")
        return self.annotate(
            last_scheduled_for=Subquery(rows.values("scheduled_for")[:1]),
            last_execution_id=Subquery(rows.values("execution_id")[:1]),
            last_error=Subquery(rows.values("error")[:1]),
        )


class Schedule(models.Model):
    """Starts a workflow whenever its periodic task is due."""

    task = models.OneToOneField(
        "django_celery_beat.PeriodicTask",
        verbose_name=_("periodic task"),
        on_delete=models.CASCADE,
        related_name="spane_schedule",
    )
    workflow = models.ForeignKey(
        Workflow, verbose_name=_("workflow"), on_delete=models.PROTECT, related_name="schedules"
    )
    tenant = models.CharField(
        _("tenant"), max_length=64, blank=True, default="", db_default="",
        help_text=_("Who owns it and what it starts."),
    )  # fmt: skip
    input = models.JSONField(
        _("input"), null=True, blank=True,
        help_text=_("JSON. In its strings, {{ scheduledFor }} is the time that is due."),
    )  # fmt: skip
    seconds = models.CharField(
        _("seconds"), max_length=240, default="0",
        help_text=_("Of a crontab: in which seconds of the minute."),
    )  # fmt: skip
    misfire = models.CharField(
        _("missed times"), max_length=4, choices=MISFIRES, default=Misfire.ONCE.value,
        help_text=_("What becomes of times that passed while no scheduler was at work."),
    )  # fmt: skip
    misfire_cap = models.PositiveIntegerField(
        _("missed times at most"), default=100,
        help_text=_("Of all missed times, so many of the latest are started."),
    )  # fmt: skip
    priority = models.PositiveSmallIntegerField(
        _("priority"), null=True, blank=True, help_text=_("1 to 10; empty: the workflow's.")
    )
    key = models.CharField(
        _("key"), max_length=KEY_LENGTH, blank=True, default="",
        help_text=_("Whose the executions are; empty: what the workflow's key finds."),
    )  # fmt: skip
    # Which trigger of the workflow's definition it is; "": it was made by hand.
    declared = models.CharField(max_length=100, blank=True, default="", editable=False)
    # An interval counts from here, unless its periodic task has a start time.
    anchor_at = models.DateTimeField(editable=False)
    # Every time up to here has been dealt with: started, skipped, or not wanted.
    done_until = models.DateTimeField(_("done until"), editable=False)
    # What the scheduler saw last: after a change, nothing of the past is due.
    seen_timing = models.TextField(blank=True, default="", editable=False)
    seen_enabled = models.BooleanField(default=True, editable=False)
    created_at = models.DateTimeField(_("created"), editable=False)

    objects: ClassVar[ScheduleQuerySet] = ScheduleQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=["workflow", "declared"],
                condition=~Q(declared=""),
                name="spane_declared_schedule",
            ),
        )
        permissions = (("run_schedule", _("Can pause, resume, run and backfill schedules")),)

    def __str__(self) -> str:
        return str(self.task.name)

    @property
    def is_paused(self) -> bool:
        return not self.task.enabled

    @property
    def trigger(self) -> str:
        """What executions that it started name as their trigger."""
        return f"schedule:{self.pk}"


class ScheduledStartQuerySet(models.QuerySet["ScheduledStart"]):
    def older(self, than: datetime) -> ScheduledStartQuerySet:
        return self.filter(scheduled_for__lt=than)


class ScheduledStart(models.Model):
    """A time of a schedule that has been dealt with: proof that it is not started again."""

    schedule = models.ForeignKey(
        Schedule,
        verbose_name=_("schedule"),
        on_delete=models.CASCADE,
        related_name="starts",
        # The unique constraint's index serves it.
        db_index=False,
    )
    scheduled_for = models.DateTimeField(_("scheduled for"))
    started_at = models.DateTimeField(_("started"))
    # No foreign key: executions are pruned by themselves, and what was started stays started.
    execution_id = models.UUIDField(_("execution"), null=True, blank=True)
    error = models.TextField(_("error"), blank=True, default="")
    is_backfill = models.BooleanField(_("backfill"), default=False)

    objects: ClassVar[ScheduledStartQuerySet] = ScheduledStartQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("scheduled start")
        verbose_name_plural = _("scheduled starts")
        ordering = ("-scheduled_for",)
        constraints = (
            models.UniqueConstraint(
                fields=["schedule", "scheduled_for"], name="spane_one_start_per_tick"
            ),
        )
        indexes = (models.Index(fields=["scheduled_for"], name="spane_starts_by_time"),)

    def __str__(self) -> str:
        return f"{self.schedule_id}: {self.scheduled_for.isoformat()}"
