"""Webhooks and what came to them.

The path of an unsigned webhook is a secret: the command that calls it is shown to those who may
change it.  A new signing secret is shown once, on the page that answers its making, and stored
nowhere on the way: not in a message, which would be kept in a cookie.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from ..clock import now as current_time
from ..core.errors import SpaneError
from ..models import Execution, Webhook, WebhookDelivery
from ..triggers.webhook_curl import curl
from ..triggers.webhook_intake import redeliver
from ..triggers.webhooks import change, facts_of, rotate
from .base import has_perm
from .filters import CreatedFilter
from .present import (
    block,
    brief,
    chip,
    code,
    instant,
    lately,
    link,
    list_of,
    page_of,
    pretty,
    short_id,
)
from .verbs import Order, Verb, VerbsAdmin


def _enable(pk: int, order: Order) -> None:
    change(pk, {"enabled": True}, now=order.now, by=order.by)


def _disable(pk: int, order: Order) -> None:
    change(pk, {"enabled": False}, now=order.now, by=order.by)


def _rotate(pk: int, order: Order) -> tuple[Webhook, str]:
    return rotate(pk, now=order.now, by=order.by)


def _redeliver(pk: Any, order: Order) -> WebhookDelivery:
    return redeliver(pk, now=order.now, by=order.by, reason=order.reason)


def _is_enabled(webhook: Webhook) -> bool:
    return webhook.is_enabled


def _is_disabled(webhook: Webhook) -> bool:
    return not webhook.is_enabled


def _is_signed(webhook: Webhook) -> bool:
    return webhook.is_signed


def _is_any(delivery: WebhookDelivery) -> bool:
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
ROTATE = Verb(
    name="rotate",
    label=_("Rotate the secret"),
    done=ngettext_lazy("%(count)d secret was rotated.", "%(count)d secrets were rotated.", "count"),
    permission="change_webhook",
    apply=_rotate,
    is_legal=_is_signed,
    in_lists=False,
    warning=_("A new secret is made and shown once. The old one stays good for one day."),
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
class WebhookAdmin(VerbsAdmin):
    """Webhooks: where they are, what they start, how to call them."""

    list_display = ("name", "standing", "workflow_key", "signature", "where", "log", "lately")
    list_filter = ("signature", "is_enabled", "workflow_key")
    list_defer = ("scheme", "mapping", "response", "sealed_secret", "sealed_old_secret")
    search_fields = ("name", "workflow_key")
    verbs = (ENABLE, DISABLE, ROTATE)
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
    empty_hint = _("No workflow has a webhook yet. Make one:")
    empty_command = "python manage.py spane_webhooks create WORKFLOW"

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        boxes = [(_("Configuration"), pretty(facts_of(obj)))]
        if obj.is_signed or has_perm(request, "change_webhook"):
            address = reverse("spane_django:inbound", args=[obj.path])
            command = curl(obj, request.build_absolute_uri(address))
            boxes.insert(0, (_("Call it from a shell"), block(command)))
        return {**super().page(request, obj), "payloads": boxes}

    def carry_out(
        self, request: HttpRequest, verb: Verb, keys: Sequence[Any], *, back: str
    ) -> HttpResponse:
        if verb is not ROTATE:
            return super().carry_out(request, verb, keys, back=back)
        if len(keys) != 1:
            raise BadRequest("one secret is shown at a time")
        get_object_or_404(self.get_queryset(request), pk=keys[0])
        try:
            webhook, secret = _rotate(
                keys[0], Order(by=request.user, now=current_time(), reason="")
            )
        except SpaneError as error:
            self.message_user(request, str(error), messages.WARNING)
            return HttpResponseRedirect(back)
        self._log(request, ROTATE, keys, "")
        return self._rotated(request, webhook, secret, back)

    def _rotated(
        self, request: HttpRequest, webhook: Webhook, secret: str, back: str
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": ROTATE.label,
            "webhook": webhook,
            "secret": secret,
            "until": instant(webhook.old_secret_until),
            "back": back,
        }
        request.current_app = self.site
        page = "admin/spane_django/webhook/rotated.html"
        response = TemplateResponse(request, page, context)
        add_never_cache_headers(response)
        return response

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
        is_started = delivery.status == WebhookDelivery.Status.STARTED
        return chip("completed" if is_started else "failed", delivery.get_status_display())

    @admin.display(description=_("execution"))
    def started(self, delivery: WebhookDelivery) -> SafeString | None:
        if delivery.execution_id is None:
            return None
        shown = code(short_id(delivery.execution_id), str(delivery.execution_id))
        return link(page_of(Execution, delivery.execution_id, self.site), shown)

    @admin.display(description=_("reason"))
    def why(self, delivery: WebhookDelivery) -> str:
        return brief(delivery.reason)

    @admin.display(description=_("received"))
    def received(self, delivery: WebhookDelivery) -> SafeString | None:
        return instant(delivery.received_at)

    @admin.display(description=_("received"))
    def lately(self, delivery: WebhookDelivery) -> SafeString | None:
        return lately(delivery.received_at)
