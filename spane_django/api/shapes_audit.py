"""The shapes of audit entries and gates as the OpenAPI document has them, with examples."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ..core.limits import BreakerStatus

Shape = serializers.Serializer[Any]


class AuditEntryShape(Shape):
    """Who did what to what, what it was before and is after, and why."""

    id = serializers.CharField()
    at = serializers.DateTimeField()
    user = serializers.CharField(allow_null=True, help_text="Null: nobody was logged in.")
    verb = serializers.CharField()
    executionId = serializers.UUIDField(allow_null=True)
    target = serializers.CharField(
        allow_null=True, help_text="What else it was done to: a node, a workflow, a gate."
    )
    before = serializers.DictField(allow_null=True)
    after = serializers.DictField(allow_null=True)
    reason = serializers.CharField(allow_blank=True)
    payloadsHidden = serializers.BooleanField()


class RateShape(Shape):
    """So many starts in so many seconds."""

    count = serializers.IntegerField()
    seconds = serializers.FloatField()


class GateShape(Shape):
    """A limit in use and its breaker."""

    key = serializers.CharField()
    breaker = serializers.ChoiceField([status.value for status in BreakerStatus])
    blockedUntil = serializers.DateTimeField(
        allow_null=True, help_text="Nothing starts before; the year 9999: until somebody closes it."
    )
    running = serializers.IntegerField(help_text="Nodes that run there now.")
    max = serializers.IntegerField(allow_null=True, help_text="Nodes at once; null: any number.")
    rate = RateShape(allow_null=True)
    failureThreshold = serializers.IntegerField(
        allow_null=True, help_text="So many failures in a row open it; null: none do."
    )
    successThreshold = serializers.IntegerField()
    cooldownSeconds = serializers.FloatField()
    failures = serializers.IntegerField()
    successes = serializers.IntegerField()
    updatedAt = serializers.DateTimeField()


AUDIT_PAGE: dict[str, Any] = {
    "results": [
        {
            "id": "4711",
            "at": "2025-08-29T09:30:00Z",
            "user": "ada",
            "verb": "cancel",
            "executionId": "0198f2c4-5f0e-7c3a-9b1e-6d2f4a8c7e10",
            "target": None,
            "before": {"status": "running"},
            "after": {"status": "cancelled"},
            "reason": "wrong address",
            "payloadsHidden": False,
        }
    ],
    "next": None,
    "previous": None,
}
GATE: dict[str, Any] = {
    "key": "type:http",
    "breaker": "open",
    "blockedUntil": "9999-12-31T00:00:00Z",
    "running": 0,
    "max": 20,
    "rate": {"count": 100, "seconds": 60.0},
    "failureThreshold": 5,
    "successThreshold": 1,
    "cooldownSeconds": 30.0,
    "failures": 0,
    "successes": 0,
    "updatedAt": "2025-08-29T09:30:00Z",
}
