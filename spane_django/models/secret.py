"""Secrets: sealed values that configs refer to by name."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class Secret(models.Model):
    """A value that workers open when a node needs it, and that nothing shows again."""

    tenant = models.CharField(
        _("tenant"), max_length=64, blank=True, default="", db_default="",
        help_text=_("Whose it is; empty: executions of every tenant may use it."),
    )  # fmt: skip
    name = models.CharField(
        _("name"), max_length=100, help_text=_("What configs call it: {{ secrets.name }}.")
    )
    # See `engine.vault`.  No query but those of `engine.opened` and `engine.secrets` reads it.
    sealed = models.TextField()
    description = models.CharField(
        _("description"), max_length=500, blank=True, default="",
        help_text=_("What it is for and where it comes from; not the value."),
    )  # fmt: skip
    created_at = models.DateTimeField(_("created"))
    updated_at = models.DateTimeField(_("updated"))
    rotated_at = models.DateTimeField(
        _("value set"), help_text=_("When the value was last replaced.")
    )
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("updated by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )

    class Meta:
        verbose_name = _("secret")
        verbose_name_plural = _("secrets")
        ordering = ("name", "tenant")
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "name"],
                name="spane_secret_name",
                violation_error_message=_("There is a secret of this name already."),
            ),
        )

    def __str__(self) -> str:
        return self.name
