"""The forms of API tokens: who may use the API as whom, how far and how long.

What somebody may hand on is decided by `engine.grants`, as for the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib.auth import get_user_model
from django.utils.translation import gettext_lazy as _

from ..engine import tokens
from ..engine.grants import Grant, require_grantable
from ..engine.scope import Scope, has_tenants
from ..models import ApiToken
from .editing import GRACE, EngineForm, Made

_MOST_DAYS = 3_650


def _days(help_text: Any, initial: int | None) -> forms.FloatField:
    return forms.FloatField(
        label=_("Days"), required=False, min_value=0.01, max_value=_MOST_DAYS, initial=initial,
        help_text=help_text,
    )  # fmt: skip


class TokenForm(EngineForm):
    """A new token."""

    name = forms.CharField(
        label=_("Name"), max_length=100, help_text=_("What uses it: nightly import")
    )
    user = forms.CharField(label=_("User"), max_length=150, help_text=_("As whom it acts."))
    scope = forms.ChoiceField(
        label=_("Scope"), choices=ApiToken.Scope.choices, initial=ApiToken.Scope.READ,
        widget=forms.RadioSelect,
        help_text=_("The most that it may do, each including those before it."),
    )  # fmt: skip
    tenant = forms.CharField(
        label=_("Tenant"), required=False, max_length=64,
        help_text=_("Whose rows it may touch; empty: those of every tenant of its user."),
    )  # fmt: skip
    days = _days(_("How long it is good; empty: until it is revoked."), 90)
    paths: ClassVar[Mapping[str, str]] = {"expiresInDays": "days"}

    def __init__(self, data: Any, *, by: Any, for_others: bool, scope: Scope) -> None:
        super().__init__(data, initial={"user": by.get_username()})
        self._by = by
        if not for_others:
            self.fields["user"].disabled = True
        if not has_tenants():
            del self.fields["tenant"]
        elif scope.tenants is not None:
            keys = [(key, key) for key in sorted(scope.tenants)]
            choices = [("", _("all of its user's")), *keys]
            self.fields["tenant"] = forms.ChoiceField(
                label=_("Tenant"), required=False, choices=choices
            )

    def clean_user(self) -> Any:
        users = get_user_model()
        try:
            return users._default_manager.get_by_natural_key(self.cleaned_data["user"])
        except users.DoesNotExist:
            raise forms.ValidationError(_("There is no such user.")) from None

    def save(self, *, now: datetime, by: Any) -> Made:
        """Make the token."""
        data = self.cleaned_data
        lasts = None if data["days"] is None else timedelta(days=data["days"])
        grant = Grant(
            user=data["user"],
            scope=data["scope"],
            tenant=data.get("tenant", ""),
            expires_at=None if lasts is None else now + lasts,
        )
        require_grantable(grant, by=by)
        secret, token = tokens.issue(
            grant.user, data["name"], now=now, scope=grant.scope, tenant=grant.tenant,
            expires_in=lasts, by=by,
        )  # fmt: skip
        return Made(token, secret)


class TokenRotationForm(EngineForm):
    """How the secret of a token is replaced."""

    submit_label = _("Rotate the secret")
    grace = forms.ChoiceField(
        label=_("The old secret"), choices=GRACE, initial="3600",
        help_text=_("How long it stays good, so that whatever uses it can be changed."),
    )  # fmt: skip
    days = _days(_("How long the token is good from now on; empty: as long as before."), None)

    def __init__(self, data: Any, *, row: ApiToken) -> None:
        super().__init__(data)
        self._row = row

    def save(self, *, now: datetime, by: Any) -> Made:
        """Put a new secret in the place of the old one."""
        row, days = self._row, self.cleaned_data["days"]
        lasts = None if days is None else timedelta(days=days)
        expires_at = row.expires_at if lasts is None else now + lasts
        grant = Grant(user=row.user, scope=row.scope, tenant=row.tenant, expires_at=expires_at)
        require_grantable(grant, by=by)
        grace = timedelta(seconds=int(self.cleaned_data["grace"]))
        secret, token = tokens.rotate(row.pk, now=now, grace=grace, expires_in=lasts, by=by)
        return Made(token, secret)
