"""Webhooks and what came to them.

The path of an unsigned webhook is a secret: the command that calls it is shown to those who may
change it.  A new signing secret is shown once, on the page that answers its making, and stored
nowhere on the way: not in a message, which would be kept in a cookie.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from ..models import Execution, Webhook, WebhookDelivery
from ..triggers.webhook_curl import curl
from ..triggers.webhook_intake import redeliver
from ..triggers.webhooks import change, delete, facts_of
from .base import has_perm, scope_in
from .editing import Made, RotatingAdmin, still_good_until
from .filters import CreatedFilter
from .present import (
    brief,
    chip,
    code,
    command,
    instant,
    lately,
    link,
    list_of,
    page_of,
    pretty,
    short_id,
)
from .verbs import Order, Verb, VerbsAdmin
from .webhook_forms import RotationForm, WebhookForm

_LATEST = 10


def _enable(pk: int, order: Order) -> None:
    change(pk, {"enabled": True}, now=order.now, by=order.by)


def _disable(pk: int, order: Order) -> None:
    change(pk, {"enabled": False}, now=order.now, by=order.by)


def _delete(pk: int, order: Order) -> None:
    delete(pk, now=order.now, by=order.by)


def _redeliver(pk: Any, order: Order) -> WebhookDelivery:
    return redeliver(pk, now=order.now, by=order.by, reason=order.reason)


def _is_enabled(webhook: Webhook) -> bool:
    return webhook.is_enabled


def _is_disabled(webhook: Webhook) -> bool:
    return not webhook.is_enabled


def _is_any(row: object) -> bool:
    return True


ENABLE = Verb(
    name="enable",
    label=_("Enable"),
    done=ngettext_lazy(
        "%(count)d webhook was enabled.", "%(count)d webhooks were enabled.", "count"
    ),
    permission="change_webhook",
    apply=_enable,
    is_legal=_is_disabled,
)
DISABLE = Verb(
    name="disable",
    label=_("Disable"),
    done=ngettext_lazy(
        "%(count)d webhook was disabled.", "%(count)d webhooks were disabled.", "count"
    ),
    permission="change_webhook",
    apply=_disable,
    is_legal=_is_enabled,
)
DELETE = Verb(
    name="delete",
    label=_("Delete"),
    done=ngettext_lazy(
        "%(count)d webhook was deleted.", "%(count)d webhooks were deleted.", "count"
    ),
    permission="delete_webhook",
    apply=_delete,
    is_legal=_is_any,
    warning=_("Its deliveries go, too, and whoever calls it finds nothing. What it started stays."),
)
REDELIVER = Verb(
    name="redeliver",
    label=_("Deliver again"),
    done=ngettext_lazy(
        "%(count)d delivery was delivered again.",
        "%(count)d deliveries were delivered again.",
        "count",
    ),
    permission="redeliver_webhook",
    apply=_redeliver,
    is_legal=_is_any,
)


@admin.register(Webhook)
class WebhookAdmin(RotatingAdmin):
    """Webhooks: where they are, what they start, how to call them."""

    list_display = ("name", "standing", "workflow_key", "signature", "where", "log", "lately")
    list_filter = ("signature", "is_enabled", "workflow_key")
    list_defer = ("scheme", "mapping", "response", "sealed_secret", "sealed_old_secret")
    search_fields = ("name", "workflow_key")
    verbs = (ENABLE, DISABLE, DELETE)
    make_label = _("Make a webhook")
    fields = (
        "name",
        "workflow_key",
        "where",
        "log",
        "signature",
        "declared",
        "old_until",
        "created",
    )
    empty_hint = _("No workflow has a webhook yet. Make one here, or on the command line:")
    empty_command = "python manage.py spane_webhooks create WORKFLOW"

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        boxes = [(_("Configuration"), pretty(facts_of(obj)))]
        if obj.is_signed or self.may_edit(request, obj):
            told = command(curl(obj, self._url(request, obj)))
            boxes.insert(0, (_("Call it from a shell"), told))
        found = obj.deliveries.defer("request").order_by("-id")[:_LATEST]
        sees = has_perm(request, "view_webhookdelivery")
        return {
            **super().page(request, obj),
            "payloads": boxes,
            "deliveries": [self._delivery(delivery) for delivery in found] if sees else None,
            "all_deliveries": list_of(WebhookDelivery, self.site, webhook__id__exact=obj.pk),
        }

    def form_of(self, request: HttpRequest, row: Any, data: Any) -> WebhookForm:
        chosen = request.GET.get("workflow")
        return WebhookForm(data, row=row, scope=scope_in(request), workflow=chosen)

    def rotation_of(self, request: HttpRequest, row: Any, data: Any) -> RotationForm:
        return RotationForm(data, row=row)

    def may_rotate(self, request: HttpRequest, row: Any) -> bool:
        return row.is_signed and self.may_edit(request, row)

    def told(self, request: HttpRequest, made: Made) -> dict[str, Any]:
        webhook = made.row
        called = curl(webhook, self._url(request, webhook), made.secret)
        return {
            "sentence": _("This is the signing secret of the webhook."),
            "note": still_good_until(webhook.old_secret_until),
            "commands": [(_("Call it from a shell"), called)],
        }

    def _url(self, request: HttpRequest, webhook: Webhook) -> str:
        return request.build_absolute_uri(reverse("spane_django:inbound", args=[webhook.path]))

    def _delivery(self, delivery: WebhookDelivery) -> dict[str, Any]:
        url = page_of(WebhookDelivery, delivery.pk, self.site)
        return {
            "received": link(url, instant(delivery.received_at)),
            "status": _outcome(delivery),
            "execution": _execution(delivery, self.site) or "",
            "address": delivery.address,
            "reason": brief(delivery.reason),
        }

    @admin.display(description=_("status"))
    def standing(self, webhook: Webhook) -> SafeString:
        if webhook.is_retired:
            return chip("skipped", _("retired"))
        if webhook.is_enabled:
            return chip("completed", _("enabled"))
        return chip("cancelled", _("disabled"))

    @admin.display(description=_("path"))
    def where(self, webhook: Webhook) -> SafeString:
        return code(webhook.shown_path)

    @admin.display(description=_("deliveries"))
    def log(self, webhook: Webhook) -> SafeString:
        chosen = {"webhook__id__exact": webhook.pk}
        return link(list_of(WebhookDelivery, self.site, **chosen), _("deliveries"))

    @admin.display(description=_("old secret good until"))
    def old_until(self, webhook: Webhook) -> SafeString | None:
        return instant(webhook.old_secret_until)

    @admin.display(description=_("created"))
    def created(self, webhook: Webhook) -> SafeString | None:
        return instant(webhook.created_at)

    @admin.display(description=_("created"))
    def lately(self, webhook: Webhook) -> SafeString | None:
        return lately(webhook.created_at)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(VerbsAdmin):
    """What came to webhooks, and what became of it."""

    list_display = ("identity", "standing", "webhook", "started", "why", "address", "lately")
    list_filter = ("status", CreatedFilter, "webhook")
    list_select_related = ("webhook",)
    list_defer = ("request",)
    verbs = (REDELIVER,)
    fields = (
        "webhook", "address", "received", "started", "dedupe_value", "repeats", "reason",
        "redelivery_of",
    )  # fmt: skip
    empty_hint = _("Nothing has come to a webhook yet, or it is no longer kept.")

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        may_see = self.has_payload_permission(request)
        return {
            **super().page(request, obj),
            "payloads": [(_("Request"), pretty(obj.request))] if may_see else [],
        }

    @admin.display(description=_("delivery"))
    def identity(self, delivery: WebhookDelivery) -> SafeString:
        return code(short_id(delivery.pk), str(delivery.pk))

    @admin.display(description=_("status"))
    def standing(self, delivery: WebhookDelivery) -> SafeString:
        return _outcome(delivery)

    @admin.display(description=_("execution"))
    def started(self, delivery: WebhookDelivery) -> SafeString | None:
        return _execution(delivery, self.site)

    @admin.display(description=_("reason"))
    def why(self, delivery: WebhookDelivery) -> str:
        return brief(delivery.reason)

    @admin.display(description=_("received"))
    def received(self, delivery: WebhookDelivery) -> SafeString | None:
        return instant(delivery.received_at)

    @admin.display(description=_("received"))
    def lately(self, delivery: WebhookDelivery) -> SafeString | None:
        return lately(delivery.received_at)


def _outcome(delivery: WebhookDelivery) -> SafeString:
    is_started = delivery.status == WebhookDelivery.Status.STARTED
    return chip("completed" if is_started else "failed", delivery.get_status_display())


def _execution(delivery: WebhookDelivery, site: str) -> SafeString | None:
    if delivery.execution_id is None:
        return None
    shown = code(short_id(delivery.execution_id), str(delivery.execution_id))
    return link(page_of(Execution, delivery.execution_id, site), shown)
