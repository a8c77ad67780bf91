"""Who may: tenants, and API tokens, of which only a hash is kept."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Tenant(models.Model):
    """The built-in tenant, for projects that have none of their own; see ``TENANT_MODEL``."""

    # It stands in the rows of its executions: a tenant is never renamed, only shown otherwise.
    key = models.SlugField(_("key"), max_length=64, primary_key=True)
    name = models.CharField(_("name"), max_length=200)
    users = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        verbose_name=_("users"),
        blank=True,
        related_name="+",
        help_text=_("Who may see and touch what belongs to it, as far as their permissions go."),
    )

    class Meta:
        verbose_name = _("tenant")
        verbose_name_plural = _("tenants")
        ordering = ("key",)

    def __str__(self) -> str:
        return self.name


class ApiToken(models.Model):
    """Lets a program act as a user at the API until it expires or is revoked."""

    class Scope(models.TextChoices):
        """How much of what its user may do a token may, each including those before it."""

        READ = "read", _("read")
        EXECUTE = "execute", _("execute")
        OPERATE = "operate", _("operate")
        DEFINE = "define", _("define")
        ADMIN = "admin", _("admin")

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("user"), on_delete=models.CASCADE, related_name="+"
    )
    name = models.CharField(_("name"), max_length=100, help_text=_("What uses it."))
    token_hash = models.CharField(max_length=64, unique=True)
    prefix = models.CharField(_("begins with"), max_length=12)
    tenant = models.CharField(
        _("tenant"), max_length=64, blank=True, default="", db_default="",
        help_text=_("Empty: every tenant of its user."),
    )  # fmt: skip
    scope = models.CharField(
        _("scope"), max_length=10, choices=Scope.choices, default=Scope.ADMIN,
        help_text=_("The most that it may do, whatever more its user may."),
    )  # fmt: skip
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)
    # After it was rotated: the secret it had before, good for a while longer.
    previous_hash = models.CharField(  # NULL: any number have none
        max_length=64, unique=True, null=True, blank=True, default=None
    )
    previous_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        ordering = ("-created_at",)
        permissions = (("own_apitoken", _("Can make, rotate and revoke tokens of their own")),)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
