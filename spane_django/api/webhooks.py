"""Webhooks over HTTP: making and changing them, what came to them, delivering it again.

The path of an unsigned webhook lets its holder start the workflow: it is shown to those who may
change the webhook, and cut short for everybody else.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from ..clock import now as current_time
from ..models import Webhook, WebhookDelivery
from ..triggers.webhook_config import ROTATION, WEBHOOK
from ..triggers.webhook_curl import curl
from ..triggers.webhook_intake import UnknownDelivery, redeliver
from ..triggers.webhooks import UnknownWebhook, change, create, delete, facts_of, rotate
from .auth import may, may_see_payloads, user_of
from .base import EngineView, row_key
from .filters import filtered
from .filtersets import DeliveryFilters, WebhookFilters
from .openapi import extend_schema, page_of
from .pages import page
from .shapes_webhooks import DeliveryShape, WebhookShape, WholeDeliveryShape

_CHANGE = "spane_django.change_webhook"


class _WebhookView(EngineView):
    """A view of webhooks that the request may see."""

    def found(self, given: str) -> Webhook:
        """Return a webhook by its id as it stands in a URL.

        Raises:
            UnknownWebhook: there is none, or it is another tenant's.
        """
        key = row_key(given)
        webhook = None if key is None else self.webhooks().filter(pk=key).first()
        if webhook is None:
            raise UnknownWebhook(f"there is no webhook '{given[:100]}'")
        return webhook

    def webhooks(self) -> QuerySet[Webhook]:
        return self.scope.within(Webhook.objects.all())

    def shown(self, webhook: Webhook, secret: str = "") -> dict[str, Any]:
        """Return a webhook as it goes over the wire, with a secret that was just made."""
        is_told = webhook.is_signed or may(self.request, _CHANGE)
        address = reverse("spane_django:inbound", args=[webhook.path])
        url = self.request.build_absolute_uri(address) if is_told else None
        shown = {
            "id": webhook.pk,
            **facts_of(webhook),
            "path": webhook.path if is_told else webhook.shown_path,
            "url": url,
            "declared": bool(webhook.declared),
            "retired": webhook.is_retired,
            "createdAt": webhook.created_at,
            "oldSecretUntil": webhook.old_secret_until,
            "curl": curl(webhook, url) if url else None,
        }
        return {**shown, "secret": secret} if secret else shown


class WebhooksView(_WebhookView):
    """Lists webhooks, and makes new ones."""

    permissions = {"GET": "spane_django.view_webhook", "POST": "spane_django.add_webhook"}
    filterset_class = WebhookFilters
    is_paged = True

    @extend_schema(summary="List webhooks", responses=page_of(WebhookShape))
    def get(self, request: Request) -> Response:
        chosen = filtered(request, WebhookFilters, self.webhooks())
        return page(request, chosen, self.shown, ordering=("-id",))

    @extend_schema(
        summary="Make a webhook",
        request={**WEBHOOK, "required": ["workflowId"]},
        responses={201: WebhookShape},
    )
    def post(self, request: Request) -> Response:
        webhook, secret = create(
            request.data, now=current_time(), tenant=self.tenant, by=user_of(request)
        )
        return Response(self.shown(webhook, secret), status=201)


class WebhookView(_WebhookView):
    """Shows, changes or deletes a webhook."""

    permissions = {
        "GET": "spane_django.view_webhook",
        "PATCH": _CHANGE,
        "DELETE": "spane_django.delete_webhook",
    }

    @extend_schema(summary="Show a webhook", responses=WebhookShape)
    def get(self, request: Request, webhook_id: str) -> Response:
        return Response(self.shown(self.found(webhook_id)))

    @extend_schema(summary="Change a webhook", request=WEBHOOK, responses=WebhookShape)
    def patch(self, request: Request, webhook_id: str) -> Response:
        found = self.found(webhook_id)
        webhook, secret = change(found.pk, request.data, now=current_time(), by=user_of(request))
        return Response(self.shown(webhook, secret))

    @extend_schema(summary="Delete a webhook and its deliveries", responses={204: None})
    def delete(self, request: Request, webhook_id: str) -> Response:
        delete(self.found(webhook_id).pk, now=current_time(), by=user_of(request))
        return Response(status=204)


class RotateWebhookView(_WebhookView):
    """Gives a webhook a new secret; the old one stays good for a while."""

    permissions = {"POST": _CHANGE}

    @extend_schema(summary="Rotate a signing secret", request=ROTATION, responses=WebhookShape)
    def post(self, request: Request, webhook_id: str) -> Response:
        found, given = self.found(webhook_id), request.data
        webhook, secret = rotate(found.pk, given, now=current_time(), by=user_of(request))
        return Response(self.shown(webhook, secret))


class _DeliveryView(_WebhookView):
    """A view of deliveries that the request may see."""

    def delivery(self, given: str) -> WebhookDelivery:
        """Return a delivery by its id as it stands in a URL.

        Raises:
            UnknownDelivery: there is none, or it is another tenant's.
        """
        unknown = UnknownDelivery(f"there is no delivery '{given[:100]}'")
        try:
            wanted = WebhookDelivery.objects.filter(pk=UUID(given))
        except ValueError:
            raise unknown from None
        found = self.scope.within(wanted).first()
        if found is None:
            raise unknown
        return found

    def shown_delivery(self, delivery: WebhookDelivery) -> dict[str, Any]:
        """Return a delivery as lists have it."""
        return {
            "id": delivery.pk,
            "webhookId": delivery.webhook_id,
            "receivedAt": delivery.received_at,
            "address": delivery.address,
            "status": delivery.status,
            "reason": delivery.reason,
            "executionId": delivery.execution_id,
            "repeats": delivery.repeats,
            "redeliveryOf": delivery.redelivery_of,
        }

    def shown_whole(self, delivery: WebhookDelivery) -> dict[str, Any]:
        """Return a delivery with what was sent, to those who may see it."""
        shows = may_see_payloads(self.request)
        shown = self.shown_delivery(delivery)
        return {
            **shown,
            "request": delivery.request if shows else None,
            "payloadsHidden": not shows,
        }


class DeliveriesView(_DeliveryView):
    """Lists what came to a webhook, newest first."""

    permissions = {"GET": "spane_django.view_webhookdelivery"}
    filterset_class = DeliveryFilters
    is_paged = True

    @extend_schema(summary="List the deliveries of a webhook", responses=page_of(DeliveryShape))
    def get(self, request: Request, webhook_id: str) -> Response:
        every = self.found(webhook_id).deliveries.defer("request")
        chosen = filtered(request, DeliveryFilters, every)
        return page(request, chosen, self.shown_delivery, ordering=("-id",))


class DeliveryView(_DeliveryView):
    """Shows a delivery with what was sent."""

    permissions = {"GET": "spane_django.view_webhookdelivery"}

    @extend_schema(summary="Show a delivery", responses=WholeDeliveryShape)
    def get(self, request: Request, delivery_id: str) -> Response:
        return Response(self.shown_whole(self.delivery(delivery_id)))


class RedeliverView(_DeliveryView):
    """Delivers once more what was sent, as the webhook is configured now."""

    permissions = {"POST": "spane_django.redeliver_webhook"}

    @extend_schema(summary="Deliver again", responses={202: WholeDeliveryShape})
    def post(self, request: Request, delivery_id: str) -> Response:
        found = self.delivery(delivery_id)
        delivery = redeliver(found.pk, now=current_time(), by=user_of(request))
        return Response(self.shown_whole(delivery), status=202)
