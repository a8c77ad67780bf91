"""What has happened per minute and hour, kept as sums: history that outlives its executions."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from .workflow import Workflow


class Rollup(models.Model):
    """What executions of one workflow, started on their own, did in a minute or an hour."""

    class Period(models.TextChoices):
        MINUTE = "minute", _("minute")
        HOUR = "hour", _("hour")

    period = models.CharField(_("period"), max_length=6, choices=Period.choices)
    at = models.DateTimeField(_("begins"))
    tenant = models.CharField(_("tenant"), max_length=64, blank=True, default="", db_default="")
    workflow = models.ForeignKey(
        Workflow, verbose_name=_("workflow"), on_delete=models.CASCADE, related_name="rollups"
    )
    started = models.PositiveIntegerField(_("started"), default=0)
    completed = models.PositiveIntegerField(_("completed"), default=0)
    failed = models.PositiveIntegerField(_("failed"), default=0)
    cancelled = models.PositiveIntegerField(_("cancelled"), default=0)
    durations = models.JSONField(
        _("durations"), default=dict,
        help_text=_("How many took how long: a histogram, see core.histogram."),
    )  # fmt: skip

    class Meta:
        verbose_name = _("rollup")
        verbose_name_plural = _("rollups")
        ordering = ("at",)
        constraints = (
            models.UniqueConstraint(
                fields=["period", "at", "workflow", "tenant"], name="spane_rollup"
            ),
        )

    def __str__(self) -> str:
        return f"{self.workflow_id} {self.period} {self.at:%Y-%m-%d %H:%M}"


class QueueSample(models.Model):
    """How a queue stood at the end of a minute."""

    at = models.DateTimeField(_("time"))
    queue = models.CharField(_("queue"), max_length=100)
    waiting = models.PositiveIntegerField(_("waiting"), default=0)
    delayed = models.PositiveIntegerField(_("delayed"), default=0)
    active = models.PositiveIntegerField(_("active"), default=0)
    workers = models.PositiveIntegerField(_("workers"), default=0)
    oldest_seconds = models.FloatField(_("longest wait"), null=True, blank=True)

    objects: ClassVar[models.Manager[QueueSample]] = models.Manager()

    class Meta:
        verbose_name = _("queue sample")
        verbose_name_plural = _("queue samples")
        ordering = ("at",)
        constraints = (models.UniqueConstraint(fields=["at", "queue"], name="spane_queue_sample"),)

    def __str__(self) -> str:
        return f"{self.queue} {self.at:%Y-%m-%d %H:%M}"
