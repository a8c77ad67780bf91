"""What nodes wait for: signals that are sent to them, and people who must approve."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .execution import Execution
from .node_run import NodeRun


class SignalQuerySet(models.QuerySet["Signal"]):
    def untaken(self) -> SignalQuerySet:
        return self.filter(node_run=None)


class Signal(models.Model):
    """Something that happened, kept until a node that waits for it has taken it."""

    name = models.CharField(_("name"), max_length=100)
    key = models.CharField(
        _("key"), max_length=200, blank=True, default="",
        help_text=_("Which of them: an order number, or an execution's id."),
    )  # fmt: skip
    payload = models.JSONField(_("payload"), null=True, blank=True)
    created_at = models.DateTimeField(_("sent"))
    expires_at = models.DateTimeField(_("kept until"))
    sent_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("sent by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )
    node_run = models.ForeignKey(
        NodeRun,
        verbose_name=_("taken by"),
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="signals",
    )
    taken_at = models.DateTimeField(_("taken"), null=True, blank=True)
    taken_round = models.PositiveIntegerField(default=0, db_default=0)

    objects: ClassVar[SignalQuerySet] = SignalQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("signal")
        verbose_name_plural = _("signals")
        ordering = ("-id",)
        indexes = (
            models.Index(
                fields=["name", "key", "id"],
                condition=Q(node_run__isnull=True),
                name="spane_signals_kept",
            ),
            models.Index(fields=["expires_at"], name="spane_signals_by_expiry"),
        )
        permissions = (("send_signal", _("Can send signals to executions")),)

    def __str__(self) -> str:
        return f"{self.name} {self.key}".strip()


class ApprovalQuerySet(models.QuerySet["Approval"]):
    def open(self) -> ApprovalQuerySet:
        """Those that nobody has settled yet."""
        return self.filter(status=Approval.Status.OPEN)


class Approval(models.Model):
    """A question that people must answer before a node goes on."""

    class Status(models.TextChoices):
        OPEN = "open", _("open")
        APPROVED = "approved", _("approved")
        REJECTED = "rejected", _("rejected")
        EXPIRED = "expired", _("expired")
        CANCELLED = "cancelled", _("cancelled")

    execution = models.ForeignKey(
        Execution, verbose_name=_("execution"), on_delete=models.CASCADE, related_name="approvals"
    )
    node_run = models.ForeignKey(
        NodeRun, verbose_name=_("node run"), on_delete=models.CASCADE, related_name="approvals"
    )
    round = models.PositiveIntegerField(default=0)
    title = models.CharField(_("title"), max_length=200)
    description = models.TextField(_("description"), blank=True, default="")
    form_schema = models.JSONField(
        _("form"), null=True, blank=True, help_text=_("A JSON Schema of what must be filled in.")
    )
    users = models.JSONField(_("users"), default=list, help_text=_("User names."))
    groups = models.JSONField(_("groups"), default=list, help_text=_("Group names."))
    permission = models.CharField(_("permission"), max_length=200, blank=True, default="")
    quorum = models.PositiveSmallIntegerField(_("approvals needed"), default=1)
    allows_starter = models.BooleanField(
        _("starter may decide"), default=False,
        help_text=_("Whether who started the execution may decide, too."),
    )  # fmt: skip
    starter = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("started by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        help_text=_("Who started the execution, or the one that it is a part of."),
    )
    escalation = models.JSONField(
        _("escalation"), null=True, blank=True,
        help_text=_("Who is asked once the deadline has come."),
    )  # fmt: skip
    status = models.CharField(
        _("status"), max_length=9, choices=Status.choices, default=Status.OPEN
    )
    created_at = models.DateTimeField(_("asked"))
    deadline_at = models.DateTimeField(_("deadline"), null=True, blank=True)
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)

    objects: ClassVar[ApprovalQuerySet] = ApprovalQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("approval")
        verbose_name_plural = _("approvals")
        ordering = ("-id",)
        indexes = (
            models.Index(
                fields=["deadline_at", "id"],
                condition=Q(status="open"),
                name="spane_approvals_open",
            ),
        )
        permissions = (("decide_approval", _("Can approve and reject what they are asked")),)

    def __str__(self) -> str:
        return self.title


class ApprovalDecision(models.Model):
    """What one person said.  Never changed."""

    approval = models.ForeignKey(
        Approval, verbose_name=_("approval"), on_delete=models.CASCADE, related_name="decisions"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
    )
    # Kept beside the user, who may be deleted.
    username = models.CharField(_("user name"), max_length=150)
    is_approved = models.BooleanField(_("approved"))
    comment = models.TextField(_("comment"), blank=True, default="")
    form = models.JSONField(_("form"), null=True, blank=True)
    decided_at = models.DateTimeField(_("decided"))

    class Meta:
        verbose_name = _("decision")
        verbose_name_plural = _("decisions")
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(fields=["approval", "user"], name="spane_one_decision_each"),
        )

    def __str__(self) -> str:
        return f"{self.username}: {'approved' if self.is_approved else 'rejected'}"
