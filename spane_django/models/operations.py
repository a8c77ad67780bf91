"""What operators did: an audit entry for each change, and operations on many rows at once."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ..core.errors import SpaneError
from ..core.ids import uuid7


class AppendOnly(SpaneError):
    """Audit entries are never changed, nor deleted before their time (`AUDIT_KEEP_DAYS`)."""


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    """Entries, which can be added and read.  Pruning goes past this, see `engine.prune`."""

    def update(self, **_values: object) -> NoReturn:
        raise AppendOnly

    def delete(self) -> NoReturn:
        raise AppendOnly


class AuditEntry(models.Model):
    """Who did what to what, what it was before and is after, and why.  Never changed."""

    at = models.DateTimeField(_("time"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )
    # Kept beside the user, who may be deleted.
    username = models.CharField(_("user name"), max_length=150, blank=True, default="")
    verb = models.CharField(_("verb"), max_length=40)
    # An id, not a reference: what was done outlives what it was done to.
    execution_id = models.UUIDField(_("execution"), null=True, blank=True)
    target = models.CharField(
        _("target"), max_length=250, blank=True, default="",
        help_text=_("What else it was done to: a node, a workflow, a gate."),
    )  # fmt: skip
    before = models.JSONField(_("before"), null=True, blank=True)
    after = models.JSONField(_("after"), null=True, blank=True)
    reason = models.TextField(_("reason"), blank=True, default="")
    tenant = models.CharField(_("tenant"), max_length=64, blank=True, default="", db_default="")

    objects: ClassVar[AuditQuerySet] = AuditQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["execution_id", "-id"], name="spane_audit_by_execution"),
            models.Index(fields=["-at"], name="spane_audit_by_time"),
            models.Index(
                fields=["target", "-id"], condition=~Q(target=""), name="spane_audit_by_target"
            ),
            models.Index(
                fields=["tenant", "-id"], condition=~Q(tenant=""), name="spane_audit_by_tenant"
            ),
        )

    def __str__(self) -> str:
        return f"{self.username or 'system'}: {self.verb} {self.target}".strip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Add the entry; one that is there is refused."""
        if not self._state.adding:
            raise AppendOnly
        super().save(*args, **kwargs)

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse."""
        raise AppendOnly


class BulkOperationQuerySet(models.QuerySet["BulkOperation"]):
    def unfinished(self) -> BulkOperationQuerySet:
        return self.filter(finished_at=None)


class BulkOperation(models.Model):
    """A verb for many executions, done in steps; whoever finds it unfinished may go on."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    verb = models.CharField(_("verb"), max_length=40)
    arguments = models.JSONField(_("arguments"), default=dict)
    selection = models.JSONField(
        _("selection"), default=dict, help_text=_("The filter, or the ids, that name the rows.")
    )
    reason = models.TextField(_("reason"), blank=True, default="")
    tenant = models.CharField(
        _("tenant"), max_length=64, blank=True, default="", db_default="",
        help_text=_("Whose rows it changes; empty: everybody's."),
    )  # fmt: skip
    total = models.PositiveIntegerField(_("rows"), default=0)
    changed = models.PositiveIntegerField(_("changed"), default=0)
    refused = models.PositiveIntegerField(_("refused"), default=0)
    refusals = models.JSONField(
        _("refusals"), default=dict, help_text=_("Why, for the first of them.")
    )
    # The last row that was dealt with; rows are taken in the order of their ids.
    cursor = models.CharField(max_length=40, blank=True, default="")
    last = models.CharField(max_length=40, blank=True, default="")
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("started by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    created_at = models.DateTimeField(_("created"))
    advanced_at = models.DateTimeField(_("last step"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    objects: ClassVar[BulkOperationQuerySet] = BulkOperationQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("bulk operation")
        verbose_name_plural = _("bulk operations")
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.verb} ({self.changed + self.refused} of {self.total})"
