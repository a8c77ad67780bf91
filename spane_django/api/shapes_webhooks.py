"""What webhooks and deliveries look like on the wire, for the document."""

from __future__ import annotations

from rest_framework import serializers

from ..models import Webhook, WebhookDelivery
from ..triggers.webhook_config import METHODS
from .shapes import AnyJson, Shape


class SignatureShape(Shape):
    """How senders sign."""

    kind = serializers.ChoiceField(Webhook.Signature.values)
    header = serializers.CharField(required=False)
    algorithm = serializers.CharField(required=False)
    encoding = serializers.CharField(required=False)
    prefix = serializers.CharField(required=False)
    timestampHeader = serializers.CharField(required=False)
    text = serializers.CharField(required=False)


class ResponseShape(Shape):
    """What senders are answered."""

    mode = serializers.ChoiceField(["accepted", "wait", "custom"], required=False)
    waitSeconds = serializers.FloatField(required=False)
    status = AnyJson(required=False, help_text="A number, or a template that finds one.")
    headers = serializers.DictField(child=serializers.CharField(), required=False)
    body = AnyJson(required=False)


class WebhookShape(Shape):
    """An address that starts a workflow."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    workflowId = serializers.CharField()
    path = serializers.CharField(
        help_text="Cut short for those who may not change an unsigned webhook: it is a secret."
    )
    url = serializers.CharField(allow_null=True, help_text="Null where the path is cut short.")
    methods = serializers.ListField(child=serializers.ChoiceField(METHODS))
    enabled = serializers.BooleanField()
    signature = SignatureShape()
    toleranceSeconds = serializers.IntegerField()
    networks = serializers.ListField(child=serializers.CharField())
    input = AnyJson(allow_null=True, help_text="Expressions over the request; null: all of it.")
    dedupeKey = serializers.CharField(allow_blank=True)
    response = ResponseShape()
    declared = serializers.BooleanField(help_text="By the workflow's definition.")
    retired = serializers.BooleanField(help_text="The current version does not declare it.")
    createdAt = serializers.DateTimeField()
    oldSecretUntil = serializers.DateTimeField(allow_null=True)
    curl = serializers.CharField(allow_null=True, help_text="A command that calls it.")
    secret = serializers.CharField(
        required=False, help_text="Only when it was just made here: it is not shown again."
    )


class ReceiptShape(Shape):
    """What the sender of a delivery is told."""

    deliveryId = serializers.UUIDField()
    executionId = serializers.UUIDField(
        allow_null=True, help_text="Null: it is kept, and starts nothing yet."
    )


class DeliveryShape(Shape):
    """A request that a webhook took in."""

    id = serializers.UUIDField()
    webhookId = serializers.IntegerField()
    receivedAt = serializers.DateTimeField()
    address = serializers.CharField(allow_blank=True)
    status = serializers.ChoiceField(WebhookDelivery.Status.values)
    reason = serializers.CharField(allow_blank=True, help_text="Why it has started nothing.")
    executionId = serializers.UUIDField(allow_null=True)
    repeats = serializers.IntegerField(help_text="How often it was sent again.")
    redeliveryOf = serializers.UUIDField(allow_null=True)


class WholeDeliveryShape(DeliveryShape):
    """A delivery with what was sent."""

    request = AnyJson(allow_null=True, help_text="Null for those who may not see payloads.")
    payloadsHidden = serializers.BooleanField()
