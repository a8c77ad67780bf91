"""API tokens: made, shown once, given another secret, revoked.

Whoever may `own_apitoken` does all of it with tokens of their own, as at the API; those of others
take `view_apitoken`, `add_apitoken` and `change_apitoken`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from ..clock import now as current_time
from ..core.errors import SpaneError
from ..engine import tokens
from ..models import ApiToken
from .base import has_perm, scope_in
from .editing import Made, RotatingAdmin, still_good_until
from .present import chip, code, instant, lately
from .token_forms import TokenForm, TokenRotationForm
from .verbs import Order, Verb

_OWN = "own_apitoken"


class NotRevoked(SpaneError):
    """It was revoked before."""


def _revoke(pk: int, order: Order) -> None:
    if not tokens.revoke(pk, now=order.now, by=order.by):
        raise NotRevoked


def _is_good(token: ApiToken) -> bool:
    return token.revoked_at is None


class StandingFilter(admin.SimpleListFilter):
    """Narrows tokens to those that are good, expired or revoked."""

    title = _("status")
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("good", _("good")), ("expired", _("expired")), ("revoked", _("revoked"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        expired = Q(expires_at__lte=current_time())
        kinds = {
            "good": Q(revoked_at=None) & (Q(expires_at=None) | ~expired),
            "expired": Q(revoked_at=None) & expired,
            "revoked": Q(revoked_at__isnull=False),
        }
        return queryset.filter(kinds.get(str(self.value()), Q()))


REVOKE = Verb(
    name="revoke",
    label=_("Revoke"),
    done=ngettext_lazy("%(count)d token was revoked.", "%(count)d tokens were revoked.", "count"),
    permission="change_apitoken",
    apply=_revoke,
    is_legal=_is_good,
    warning=_("Whatever uses the token is refused from now on. A token cannot be revived."),
)


@admin.register(ApiToken)
class ApiTokenAdmin(RotatingAdmin):
    """API tokens, by name; the token itself is shown once, on the page that makes it."""

    list_display = ("name", "standing", "user", "scope", "begins_with", "used", "expires")
    list_select_related = ("user",)
    search_fields = ("name", "prefix")
    list_filter = (StandingFilter, "scope")
    verbs = (REVOKE,)
    make_label = _("Make a token")
    fields = (
        "name", "user", "scope", "tenant", "begins_with", "created", "used", "expires", "revoked",
        "old_until",
    )  # fmt: skip
    empty_hint = _("No program has a token for the API yet. Make one here, or on the command line:")
    empty_command = "python manage.py spane_token USERNAME"

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return has_perm(request, _OWN) or super().has_view_permission(request, obj)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return has_perm(request, _OWN) or super().has_module_permission(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        everybodys: QuerySet[Any] = super().get_queryset(request)
        mine = ApiToken.objects.filter(user=request.user.pk).order_by(*self.get_ordering(request))
        if not has_perm(request, "view_apitoken"):
            return mine
        return everybodys | mine

    def may(self, request: HttpRequest, verb: Verb) -> bool:
        return has_perm(request, _OWN) or super().may(request, verb)

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        shown = super().page(request, obj)
        return shown if self._may_touch(request, obj) else {**shown, "buttons": []}

    def may_make(self, request: HttpRequest) -> bool:
        return has_perm(request, _OWN) or super().may_make(request)

    def may_edit(self, request: HttpRequest, row: Any) -> bool:
        """Refuse: what a token may is said once, when it is made."""
        return False

    def may_rotate(self, request: HttpRequest, row: Any) -> bool:
        return _is_good(row) and self._may_touch(request, row)

    def form_of(self, request: HttpRequest, row: Any, data: Any) -> TokenForm:
        for_others = has_perm(request, "add_apitoken")
        return TokenForm(data, by=request.user, for_others=for_others, scope=scope_in(request))

    def rotation_of(self, request: HttpRequest, row: Any, data: Any) -> TokenRotationForm:
        return TokenRotationForm(data, row=row)

    def told(self, request: HttpRequest, made: Made) -> dict[str, Any]:
        url = request.build_absolute_uri(reverse("spane_django:workflows"))
        command = f"curl -i -H 'Authorization: Bearer {made.secret}' '{url}'"
        return {
            "sentence": _("This is the token."),
            "note": still_good_until(made.row.previous_until),
            "commands": [(_("List the workflows with it"), command)],
        }

    def _may_touch(self, request: HttpRequest, row: Any) -> bool:
        is_mine = row.user_id == request.user.pk and has_perm(request, _OWN)
        return is_mine or has_perm(request, "change_apitoken")

    def _require_within(self, request: HttpRequest, keys: Sequence[Any]) -> None:
        """Refuse tokens that the user may not touch; their own are theirs in any tenant."""
        others = ApiToken.objects.filter(pk__in=keys)
        if has_perm(request, _OWN):
            others = others.exclude(user=request.user.pk)
        found = list(others.values_list("pk", flat=True))
        if found and not has_perm(request, "change_apitoken"):
            raise PermissionDenied
        super()._require_within(request, found)

    @admin.display(description=_("status"))
    def standing(self, token: ApiToken) -> SafeString:
        if token.revoked_at is not None:
            return chip("cancelled", _("revoked"))
        if token.expires_at is not None and token.expires_at <= current_time():
            return chip("skipped", _("expired"))
        return chip("completed", _("good"))

    @admin.display(description=_("begins with"))
    def begins_with(self, token: ApiToken) -> SafeString:
        return code(f"{token.prefix}…")

    @admin.display(description=_("created"))
    def created(self, token: ApiToken) -> SafeString | None:
        return instant(token.created_at)

    @admin.display(description=_("last used"))
    def used(self, token: ApiToken) -> SafeString | None:
        return lately(token.last_used_at)

    @admin.display(description=_("expires"))
    def expires(self, token: ApiToken) -> SafeString | None:
        return lately(token.expires_at)

    @admin.display(description=_("old secret good until"))
    def old_until(self, token: ApiToken) -> SafeString | None:
        return instant(token.previous_until)

    @admin.display(description=_("revoked"))
    def revoked(self, token: ApiToken) -> SafeString | None:
        return instant(token.revoked_at)
