"""Alerts: what went wrong, once for each kind of trouble, and whether people were told."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class AlertQuerySet(models.QuerySet["Alert"]):
    def open(self) -> AlertQuerySet:
        """Those that are not over."""
        return self.filter(resolved_at=None)


class Alert(models.Model):
    """One kind of trouble from when it began until it was over."""

    class Rule(models.TextChoices):
        FAILURES = "failures", _("failures")
        NO_WORKER = "no_worker", _("no worker")
        LATENCY = "latency", _("work waits")

    key = models.CharField(max_length=500)
    rule = models.CharField(_("rule"), max_length=10, choices=Rule.choices)
    tenant = models.CharField(_("tenant"), max_length=64, blank=True, default="", db_default="")
    workflow_key = models.CharField(_("workflow"), max_length=100, blank=True, default="")
    error_type = models.CharField(_("error type"), max_length=200, blank=True, default="")
    queue = models.CharField(_("queue"), max_length=100, blank=True, default="")
    message = models.TextField(_("message"), blank=True, default="")
    count = models.PositiveIntegerField(
        _("count"), default=1, help_text=_("How often in the last hour, when last looked at.")
    )
    # An id, not a reference: what is told of may be deleted first.
    execution_id = models.UUIDField(_("execution"), null=True, blank=True)
    opened_at = models.DateTimeField(_("began"))
    last_at = models.DateTimeField(_("last seen"))
    notified_at = models.DateTimeField(_("told"), null=True, blank=True)
    # Who moves it forward tells people; nobody else does until then.
    next_at = models.DateTimeField(_("told next"), null=True, blank=True)
    resolved_at = models.DateTimeField(_("over"), null=True, blank=True)

    objects: ClassVar[AlertQuerySet] = AlertQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=["key"], condition=Q(resolved_at=None), name="spane_one_open_alert"
            ),
        )
        indexes = (
            models.Index(
                fields=["next_at"], condition=Q(next_at__isnull=False), name="spane_alerts_due"
            ),
            models.Index(fields=["last_at"], name="spane_alerts_by_time"),
        )

    def __str__(self) -> str:
        return self.key
