"""The shapes of numbers for machines, as the API's document describes them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from .shapes import Shape


class QueueLoadShape(Shape):
    """How far behind the workers of a queue are."""

    latencySeconds = serializers.FloatField(
        help_text="How long the oldest node run that a worker could take has been waiting."
    )
    estimatedSeconds = serializers.FloatField(
        allow_null=True, help_text="How long what is ready takes at the recent pace, if known."
    )
    throughputPerSecond = serializers.FloatField(
        allow_null=True, help_text="Attempts settled, if METRICS is on."
    )
    ready = serializers.IntegerField()
    delayed = serializers.IntegerField()
    active = serializers.IntegerField()
    drains = serializers.IntegerField(help_text="Workers at work.")
    workers = serializers.IntegerField(help_text="Workers at work or listening.")


class AutoscalingShape(Shape):
    """How far behind the workers are."""

    latencySeconds = serializers.FloatField(help_text="Of the queue that is furthest behind.")
    queues: Any = serializers.DictField(child=QueueLoadShape())
