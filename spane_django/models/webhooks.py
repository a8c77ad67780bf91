"""Webhooks: addresses at which others start workflows, and what they have sent there.

A webhook of which nothing is signed is kept by its path alone, which nobody can guess.  A delivery
is kept with what it started, or with why it started nothing, so that it can be delivered again;
it names its execution by the id alone, as either may be deleted first.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..core.ids import uuid7


class Webhook(models.Model):
    """An address that starts a workflow."""

    class Signature(models.TextChoices):
        """How its senders sign."""

        NONE = "none", _("unsigned")
        GITHUB = "github", "GitHub"
        STRIPE = "stripe", "Stripe"
        SLACK = "slack", "Slack"
        HMAC = "hmac", _("HMAC")
        """As `scheme` says."""

    tenant = models.CharField(_("tenant"), max_length=64, blank=True, default="", db_default="")
    name = models.CharField(_("name"), max_length=100)
    workflow_key = models.CharField(_("workflow"), max_length=100)
    path = models.CharField(_("path"), max_length=200, unique=True)
    methods = models.JSONField(_("methods"), default=list)
    is_enabled = models.BooleanField(
        _("enabled"),
        default=True,
        help_text=_("A disabled webhook answers as if it did not exist."),
    )
    declared = models.CharField(
        _("declared as"), max_length=200, blank=True, default="",
        help_text=_("By the workflow's definition; empty: made by hand."),
    )  # fmt: skip
    is_retired = models.BooleanField(
        _("retired"), default=False, help_text=_("The current version does not declare it.")
    )
    signature = models.CharField(_("signature"), max_length=10, choices=Signature.choices)
    scheme = models.JSONField(
        _("scheme"), default=dict, blank=True, help_text=_("Of an HMAC that is no preset.")
    )
    tolerance_seconds = models.PositiveIntegerField(
        _("tolerance"), default=300, help_text=_("How old, in seconds, a signed time may be.")
    )
    sealed_secret = models.TextField(default="", blank=True)
    sealed_old_secret = models.TextField(default="", blank=True)
    old_secret_until = models.DateTimeField(_("old secret good until"), null=True, blank=True)
    networks = models.JSONField(
        _("networks"), default=list, blank=True, help_text=_("Who may send; empty: everybody.")
    )
    mapping = models.JSONField(
        _("input"), null=True, blank=True,
        help_text=_("Expressions that make the input of the request; empty: all of it."),
    )  # fmt: skip
    dedupe_key = models.TextField(
        _("delivery id"), default="", blank=True,
        help_text=_("An expression over the request: what has the same value is the same."),
    )  # fmt: skip
    response = models.JSONField(_("response"), default=dict, blank=True)
    created_at = models.DateTimeField(_("created"))

    class Meta:
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        ordering = ("name", "id")

    def __str__(self) -> str:
        return self.name

    @property
    def is_open(self) -> bool:
        """Whether it takes anything in."""
        return self.is_enabled and not self.is_retired

    @property
    def is_signed(self) -> bool:
        return self.signature != self.Signature.NONE

    @property
    def shown_path(self) -> str:
        """The path for those who may not use it: an unsigned one is a secret."""
        return self.path if self.is_signed else f"{self.path.rpartition('/')[2][:4]}…"


class WebhookDeliveryQuerySet(models.QuerySet["WebhookDelivery"]):
    def refused(self) -> WebhookDeliveryQuerySet:
        """Those that have started nothing."""
        return self.filter(status=WebhookDelivery.Status.REFUSED)

    def older_than(self, first: UUID) -> WebhookDeliveryQuerySet:
        """Those made before the instant at which ``first`` would have been the first id."""
        return self.filter(pk__lt=first)


class WebhookDelivery(models.Model):
    """A request that a webhook took in, and what became of it."""

    class Status(models.TextChoices):
        STARTED = "started", _("started")
        REFUSED = "refused", _("refused")
        """It is kept, and can be delivered again."""

    # Ids grow with time, so that lists and pruning go by the primary key.
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    webhook = models.ForeignKey(
        Webhook, verbose_name=_("webhook"), on_delete=models.CASCADE, related_name="deliveries",
        db_index=False,
    )  # fmt: skip
    received_at = models.DateTimeField(_("received"))
    address = models.CharField(_("from"), max_length=45, blank=True, default="")
    request = models.JSONField(
        _("request"), help_text=_("Without the headers that look like secrets.")
    )
    status = models.CharField(_("status"), max_length=10, choices=Status.choices)
    reason = models.TextField(_("reason"), blank=True, default="")
    execution_id = models.UUIDField(_("execution"), null=True, blank=True)
    # NULL, not "": any number of deliveries have none.
    dedupe_value = models.CharField(_("delivery id"), max_length=200, null=True, blank=True)  # noqa: DJ001
    digest = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001
    repeats = models.PositiveIntegerField(
        _("repeats"), default=0, help_text=_("How often it was sent again.")
    )
    redelivery_of = models.UUIDField(_("redelivery of"), null=True, blank=True)

    objects: ClassVar[WebhookDeliveryQuerySet] = WebhookDeliveryQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("webhook delivery")
        verbose_name_plural = _("webhook deliveries")
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(fields=["webhook", "dedupe_value"], name="spane_delivery_id"),
            models.UniqueConstraint(fields=["webhook", "digest"], name="spane_delivery_digest"),
        )
        indexes = (models.Index(fields=["webhook", "-id"], name="spane_delivery_by_webhook"),)
        permissions = (("redeliver_webhook", _("Can deliver to webhooks again")),)

    def __str__(self) -> str:
        return f"{self.pk}"
