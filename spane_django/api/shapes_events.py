"""The shapes of events as the OpenAPI document has them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

EVENTS = ("execution", "node", "log", "end")


class EventShape(serializers.Serializer[Any]):
    """Something that has happened to an execution."""

    id = serializers.CharField(help_text="With it one goes on behind this event.")
    event = serializers.ChoiceField(EVENTS)
    data = serializers.DictField(  # type: ignore[assignment]  # fields are taken off the class
        help_text="What it tells of, as it is now: the execution, a node, a line of the log."
    )


class EventsShape(serializers.Serializer[Any]):
    """What is new."""

    results = EventShape(many=True)
    cursor = serializers.CharField(help_text="What to send as `after` next time.")
    hasMore = serializers.BooleanField(help_text="There is more already.")
    hasEnded = serializers.BooleanField(
        help_text="The execution has ended and everything is told; a retry may open it again."
    )
