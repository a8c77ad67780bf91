"""What is kept of the past: attempts that did not succeed, dead letters, log lines."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from .execution import Execution
from .node_run import NodeRun


class Attempt(models.Model):
    """One try of a node that did not succeed; the one that did is the node run itself."""

    class Result(models.TextChoices):
        FAILED = "failed", _("failed")
        LOST = "lost", _("worker lost")

    node_run = models.ForeignKey(
        NodeRun, verbose_name=_("node run"), on_delete=models.CASCADE, related_name="attempts"
    )
    number = models.PositiveIntegerField(_("number"))
    result = models.CharField(_("result"), max_length=10, choices=Result.choices)
    error_type = models.CharField(_("error type"), max_length=200)
    error_message = models.TextField(_("error"))
    traceback = models.TextField(_("traceback"), blank=True, default="")
    started_at = models.DateTimeField(_("started"), null=True)
    finished_at = models.DateTimeField(_("finished"))

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        ordering = ("node_run", "number")

    def __str__(self) -> str:
        return f"{self.node_run_id} #{self.number}"


class DeadLetterQuerySet(models.QuerySet["DeadLetter"]):
    def open(self) -> DeadLetterQuerySet:
        """Those that nobody has dealt with yet."""
        return self.filter(resolved_at=None)


class DeadLetter(models.Model):
    """A node that failed for good.  Resolved by what was done about it, never deleted."""

    class Resolution(models.TextChoices):
        RETRIED = "retried", _("retried")
        DISCARDED = "discarded", _("discarded")
        SKIPPED = "skipped", _("skipped")
        COMPLETED = "completed", _("completed by hand")

    execution = models.ForeignKey(
        Execution,
        verbose_name=_("execution"),
        on_delete=models.CASCADE,
        related_name="dead_letters",
    )
    node_run = models.ForeignKey(
        NodeRun, verbose_name=_("node run"), on_delete=models.CASCADE, related_name="dead_letters"
    )
    node_id = models.CharField(_("node"), max_length=100)
    node_type = models.CharField(_("type"), max_length=100)
    attempts = models.PositiveIntegerField(_("attempts"))
    error_type = models.CharField(_("error type"), max_length=200)
    error_message = models.TextField(_("error"))
    traceback = models.TextField(_("traceback"), blank=True, default="")
    input = models.JSONField(_("input"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"))
    resolved_at = models.DateTimeField(_("resolved"), null=True, blank=True)
    resolution = models.CharField(
        _("resolution"), max_length=10, choices=Resolution.choices, blank=True, default=""
    )
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("resolved by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )

    objects: ClassVar[DeadLetterQuerySet] = DeadLetterQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("dead letter")
        verbose_name_plural = _("dead letters")
        ordering = ("-id",)
        indexes = (
            models.Index(
                fields=["-id"],
                condition=models.Q(resolved_at__isnull=True),
                name="spane_open_dead_letters",
            ),
        )

    def __str__(self) -> str:
        return f"{self.node_id}: {self.error_type}"


class LogLine(models.Model):
    """A line that a node or the engine wrote to an execution's log."""

    class Level(models.TextChoices):
        DEBUG = "debug", _("debug")
        INFO = "info", _("info")
        WARNING = "warning", _("warning")
        ERROR = "error", _("error")

    execution = models.ForeignKey(
        Execution,
        verbose_name=_("execution"),
        on_delete=models.CASCADE,
        related_name="log_lines",
        db_index=False,  # the index by number serves it
    )
    node_id = models.CharField(_("node"), max_length=100, blank=True, default="")
    attempt = models.PositiveIntegerField(_("attempt"), default=0)
    level = models.CharField(_("level"), max_length=7, choices=Level.choices)
    message = models.TextField(_("message"))
    data = models.JSONField(_("data"), null=True, blank=True)
    created_at = models.DateTimeField(_("time"))

    class Meta:
        verbose_name = _("log line")
        verbose_name_plural = _("log lines")
        ordering = ("id",)
        # With the number: "what came after this one" must not read through other executions.
        indexes = (models.Index(fields=["execution", "id"], name="spane_log_by_execution"),)

    def __str__(self) -> str:
        return self.message


class Payload(models.Model):
    """A large input or output that lies in the file storage, and an execution that needs it."""

    execution = models.ForeignKey(
        Execution, verbose_name=_("execution"), on_delete=models.CASCADE, related_name="payloads"
    )
    name = models.CharField(_("name in the storage"), max_length=250)
    size_bytes = models.PositiveBigIntegerField(_("size"), help_text=_("Bytes of JSON."))
    created_at = models.DateTimeField(_("created"))

    class Meta:
        verbose_name = _("payload")
        verbose_name_plural = _("payloads")
        ordering = ("id",)
        indexes = (models.Index(fields=["name"], name="spane_payload_by_name"),)

    def __str__(self) -> str:
        return self.name
