"""Gates: what limits the nodes of a type or a key, and the breaker that shuts them out."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Gate(models.Model):
    """A limit in use.  How many run is counted from the node runs, never kept here."""

    class Breaker(models.TextChoices):
        CLOSED = "closed", _("closed")
        OPEN = "open", _("open")
        HALF_OPEN = "half_open", _("half open")

    key = models.CharField(_("key"), max_length=250, primary_key=True)
    # The version that declared it: an older one does not undo a newer one's word.  0: a node
    # type or the settings.
    source = models.BigIntegerField(default=0)
    max_running = models.PositiveIntegerField(
        _("at once"), null=True, blank=True, help_text=_("Node runs at once; empty: any number.")
    )
    rate_count = models.PositiveIntegerField(
        _("starts"), null=True, blank=True, help_text=_("So many starts per period.")
    )
    rate_seconds = models.FloatField(_("period"), null=True, blank=True, help_text=_("Seconds."))
    # Of the generic cell rate algorithm: when the bucket will be full again.
    full_at = models.DateTimeField(null=True, blank=True)
    breaker = models.CharField(
        _("breaker"), max_length=9, choices=Breaker.choices, default=Breaker.CLOSED
    )
    failure_threshold = models.PositiveIntegerField(
        _("failures that open it"), null=True, blank=True, help_text=_("In a row; empty: never.")
    )
    success_threshold = models.PositiveIntegerField(_("successes that close it"), default=1)
    cooldown_seconds = models.FloatField(_("cool-down"), default=30.0, help_text=_("Seconds."))
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    successes = models.PositiveIntegerField(_("successes since half open"), default=0)
    blocked_until = models.DateTimeField(
        _("blocked until"), null=True, blank=True, help_text=_("Nothing starts before.")
    )
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("gate")
        verbose_name_plural = _("gates")
        ordering = ("key",)
        permissions = (("flip_gate", _("Can open and close breakers")),)

    def __str__(self) -> str:
        return self.key
