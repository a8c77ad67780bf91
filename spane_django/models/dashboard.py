"""The dashboard: a page of the admin that is no list of rows."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from .rollups import Rollup


class Dashboard(Rollup):
    """What the admin needs to give the dashboard an address and a permission of its own."""

    class Meta:
        proxy = True
        verbose_name = _("dashboard")
        verbose_name_plural = _("dashboard")
        default_permissions = ("view",)
