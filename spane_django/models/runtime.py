"""Who is at work: workers with their heartbeats, and leases that elect one of several."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class WorkerQuerySet(models.QuerySet["Worker"]):
    def alive(self, since: datetime) -> WorkerQuerySet:
        """Those that have not stopped and were heard of at or after ``since``."""
        return self.filter(stopped_at=None, heartbeat_at__gte=since)

    def silent(self, since: datetime) -> WorkerQuerySet:
        """Those that have not stopped, yet were not heard of since."""
        return self.filter(stopped_at=None, heartbeat_at__lt=since)


class Worker(models.Model):
    """One drain at work on one queue.  Its heartbeat is the lease of every node it runs."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=200)
    queue = models.CharField(_("queue"), max_length=100)
    pid = models.IntegerField(_("process id"))
    started_at = models.DateTimeField(_("started"))
    heartbeat_at = models.DateTimeField(_("heartbeat"))
    stopped_at = models.DateTimeField(_("stopped"), null=True, blank=True)

    objects: ClassVar[WorkerQuerySet] = WorkerQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        ordering = ("-started_at",)
        indexes = (
            models.Index(
                fields=["heartbeat_at"],
                condition=models.Q(stopped_at__isnull=True),
                name="spane_workers_by_heartbeat",
            ),
        )
        permissions = (("view_metrics", _("Can see metrics")),)

    def __str__(self) -> str:
        return self.name


class Lease(models.Model):
    """A role that one process at a time may hold, such as the scheduler's."""

    name = models.CharField(max_length=50, primary_key=True)
    holder = models.CharField(max_length=200)
    renewed_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        verbose_name = _("lease")
        verbose_name_plural = _("leases")

    def __str__(self) -> str:
        return f"{self.name}: {self.holder}"
