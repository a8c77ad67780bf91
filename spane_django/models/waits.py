"""What nodes wait for: signals that are sent to them, and people who must approve."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.db import connections, models
from django.db.models import Exists, F, OuterRef, Q, Value
from django.db.models.functions import Cast, StrIndex
from django.db.models.lookups import GreaterThan
from django.utils.translation import gettext_lazy as _

from ..core.statuses import NodeStatus
from .execution import Execution
from .node_run import NodeRun

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

# An approval belongs to this round of its node run, which is its attempt less its losses.
_ROUND = F("round")


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
    tenant = models.CharField(_("tenant"), max_length=64, blank=True, default="", db_default="")
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

    def stale(self) -> ApprovalQuerySet:
        """Those that are open although no node waits for them any more."""
        final = [status.value for status in NodeStatus if status.is_final]
        ended = Q(node_run__status__in=final)
        return self.open().filter(ended | ~Q(node_run__attempt=_ROUND + F("node_run__losses")))

    def awaited(self, now: datetime) -> ApprovalQuerySet:
        """Those that may be decided at this instant."""
        in_time = Q(deadline_at__isnull=True) | Q(deadline_at__gt=now)
        waits = Q(node_run__status=NodeStatus.WAITING)
        return self.open().filter(in_time & waits, node_run__attempt=_ROUND + F("node_run__losses"))

    def for_user(self, user: AbstractBaseUser, *, now: datetime) -> ApprovalQuerySet:
        """Those that a user may decide at this instant and has not yet."""
        awaited = self.awaited(now)
        if not user.is_active:
            return awaited.none()
        own = Q(allows_starter=False, starter=user.pk)
        said = ApprovalDecision.objects.filter(approval=OuterRef("pk"), user=user.pk)
        found = awaited.exclude(own).exclude(Exists(said))
        return found if getattr(user, "is_superuser", False) else found.filter(_names(found, user))


def _names(approvals: ApprovalQuerySet, user: AbstractBaseUser) -> Q:
    """Choose the approvals that name a user, a group of theirs or a permission of theirs."""
    named = _has(approvals.db, "users", user.get_username())
    for group in groups_of(user):
        named |= _has(approvals.db, "groups", group)
    asked = approvals.exclude(permission="").order_by().values_list("permission", flat=True)
    held = [permission for permission in asked.distinct() if has_permission(user, permission)]
    return named | Q(permission__in=held)


def _has(alias: str, column: str, name: str) -> Q:
    if connections[alias].features.supports_json_field_contains:
        return Q(**{f"{column}__contains": [name]})
    # As it stands in the column's text: a quotation mark that is a part of a name has a backslash.
    text = Cast(F(column), models.TextField())
    return Q(GreaterThan(StrIndex(text, Value(json.dumps(name))), 0))


def groups_of(user: AbstractBaseUser) -> list[str]:
    """Return the names of a user's groups; none if the project's users have no groups."""
    groups = getattr(user, "groups", None)
    return [] if groups is None else list(groups.values_list("name", flat=True))


def has_permission(user: AbstractBaseUser, permission: str) -> bool:
    """Say whether a user has a permission; not if the project's users have none."""
    return hasattr(user, "has_perm") and bool(user.has_perm(permission))


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
        permissions = (
            ("decide_approval", _("Can approve and reject what they are asked")),
            ("reassign_approval", _("Can ask others for an approval")),
        )

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
