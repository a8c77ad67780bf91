"""Triggers: which workflow an event, or the end of another workflow, starts."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from ..core.triggers import ENDINGS
from .workflow import Workflow


class TriggerQuerySet(models.QuerySet["Trigger"]):
    def events(self) -> TriggerQuerySet:
        """Those that events set off."""
        return self.filter(kind=Trigger.Kind.EVENT)

    def live(self) -> TriggerQuerySet:
        """Those that may start something: they and their workflows are enabled."""
        return self.filter(
            is_enabled=True, workflow__is_enabled=True, workflow__current_version__isnull=False
        )

    def heard_by(self, tenant: str) -> TriggerQuerySet:
        """Those that hear what happens to a tenant; to nobody's in particular, with "".

        A shared workflow has no say where the tenant has one of its own under the same id.
        """
        if not tenant:
            return self.filter(tenant="")
        own = Workflow.objects.filter(key=OuterRef("workflow__key"), tenant=tenant)
        shared = Q(tenant="") & ~(Q(workflow__tenant="") & Exists(own))
        return self.filter(Q(tenant=tenant) | shared)


class Trigger(models.Model):
    """Starts a workflow when something happens.

    A *declared* one is said by the current version of its workflow and follows it: publishing,
    activating and archiving write and delete it.  People switch it off and on, no more.
    """

    class Kind(models.TextChoices):
        EVENT = "event", _("event")
        WORKFLOW = "workflow", _("end of a workflow")

    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices, default=Kind.EVENT)
    # The name of an event or a pattern; of a workflow, its key.
    name = models.CharField(
        _("name"), max_length=100, help_text=_("An event such as order.paid, or order.* or *")
    )
    on = models.CharField(
        _("on"), max_length=9, blank=True, default="", db_default="",
        choices=[(ending, ending) for ending in ENDINGS],
        help_text=_("How the workflow ends."),
    )  # fmt: skip
    when = models.TextField(
        _("when"), blank=True, default="", db_default="",
        help_text=_("An expression over the data, such as total > `100`; empty: always."),
    )  # fmt: skip
    map = models.JSONField(
        _("map"), null=True, blank=True,
        help_text=_("An expression, or an object of them, that gives the input; else the data."),
    )  # fmt: skip
    workflow = models.ForeignKey(
        Workflow, verbose_name=_("starts"), on_delete=models.CASCADE, related_name="triggers"
    )
    tenant = models.CharField(
        _("tenant"), max_length=64, blank=True, default="", db_default="",
        help_text=_("Whose events it hears; empty: everybody's."),
    )  # fmt: skip
    is_enabled = models.BooleanField(_("enabled"), default=True, db_default=True)
    is_declared = models.BooleanField(
        _("declared"), default=False, db_default=False,
        help_text=_("Said by the workflow's current version, and changed with it."),
    )  # fmt: skip
    created_at = models.DateTimeField(_("created"))
    failures = models.PositiveIntegerField(_("failures"), default=0, db_default=0)
    last_error = models.TextField(_("last error"), blank=True, default="", db_default="")
    failed_at = models.DateTimeField(_("last failure"), null=True, blank=True)

    objects: ClassVar[TriggerQuerySet] = TriggerQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("event trigger")
        verbose_name_plural = _("event triggers")
        ordering = ("kind", "name", "id")
        indexes = (models.Index(fields=["kind", "name"], name="spane_trigger_name"),)

    def __str__(self) -> str:
        ending = f" {self.on}" if self.on else ""
        return f"{self.kind} {self.name}{ending} → {self.workflow.key}"
