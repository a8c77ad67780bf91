"""What operators and people are shown: bulk operations, signals, approvals, numbers, health."""

from __future__ import annotations

from rest_framework import serializers

from ..engine.bulk_verbs import VERBS
from ..models import Approval
from .shapes import EXECUTION_STATUSES, AnyJson, Shape


class OperationShape(Shape):
    """An operation on many executions, or what it would be."""

    verb = serializers.ChoiceField(list(VERBS))
    dryRun = serializers.BooleanField()
    count = serializers.IntegerField()
    operationId = serializers.UUIDField(required=False)
    changed = serializers.IntegerField(required=False)
    refused = serializers.IntegerField(required=False)
    refusals = serializers.DictField(
        child=serializers.CharField(), required=False, help_text="Why, by execution: the first."
    )
    createdAt = serializers.DateTimeField(required=False)
    finishedAt = serializers.DateTimeField(required=False, allow_null=True)


class LettersShape(Shape):
    """How many dead letters an operation would concern."""

    verb = serializers.ChoiceField(["retry-letters", "discard-letters"])
    dryRun = serializers.BooleanField()
    count = serializers.IntegerField()


class SignalShape(Shape):
    """A signal that was sent."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    key = serializers.CharField(allow_blank=True, allow_null=True)
    isTaken = serializers.BooleanField(help_text="Somebody waited for it.")
    keptUntil = serializers.DateTimeField()


class DecisionShape(Shape):
    """What somebody said."""

    user = serializers.CharField()
    approved = serializers.BooleanField()
    comment = serializers.CharField(allow_blank=True)
    form = AnyJson()
    at = serializers.DateTimeField()


class ApprovalShape(Shape):
    """What people are asked, and what they answered."""

    id = serializers.IntegerField()
    executionId = serializers.UUIDField()
    workflowId = serializers.CharField()
    nodeId = serializers.CharField()
    title = serializers.CharField(allow_blank=True)
    description = serializers.CharField(allow_blank=True)
    form = AnyJson(help_text="The JSON Schema of the form.")
    users = serializers.ListField(child=serializers.CharField())
    groups = serializers.ListField(child=serializers.CharField())
    permission = serializers.CharField(allow_null=True)
    quorum = serializers.IntegerField()
    escalation = AnyJson()
    status = serializers.ChoiceField(Approval.Status.values)
    createdAt = serializers.DateTimeField()
    deadlineAt = serializers.DateTimeField(allow_null=True)
    decidedAt = serializers.DateTimeField(allow_null=True)
    decisions = DecisionShape(many=True)
    payloadsHidden = serializers.BooleanField()


class ApprovalInFullShape(ApprovalShape):
    """An approval, and why the one who asks may not decide it."""

    whyNot = serializers.CharField(allow_null=True)


class QueueShape(Shape):
    """The node runs of a queue."""

    waiting = serializers.IntegerField()
    active = serializers.IntegerField()
    delayed = serializers.IntegerField()
    completed = serializers.IntegerField(help_text="Of the newest 20,000 of all queues.")
    failed = serializers.IntegerField(help_text="Of the newest 20,000 of all queues.")
    workers = serializers.IntegerField()
    oldestReadySeconds = serializers.FloatField(allow_null=True)


class StatsShape(Shape):
    """How much there is to do and what has become of the rest."""

    queues = serializers.DictField(child=QueueShape())
    executions = serializers.DictField(
        child=serializers.IntegerField(),
        help_text=f"By status ({', '.join(EXECUTION_STATUSES)}); 100,000 means at least that.",
    )


class CheckShape(Shape):
    """One thing that was looked at, with what was measured."""

    status = serializers.ChoiceField(["pass", "warn", "fail"])
    message = serializers.CharField(allow_blank=True)


class HealthShape(Shape):
    """Whether work is being done."""

    status = serializers.ChoiceField(["healthy", "degraded", "unhealthy"])
    checks = serializers.DictField(child=CheckShape())
    timestamp = serializers.DateTimeField()


class LiveShape(Shape):
    """The process answers."""

    status = serializers.ChoiceField(["alive"])


class ReadyShape(Shape):
    """Whether the process can take requests."""

    status = serializers.ChoiceField(["ready", "unready"])
    database = CheckShape()
