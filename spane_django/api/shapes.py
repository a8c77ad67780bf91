"""What executions look like on the wire, for the document: what `present` makes of them.

These serializers describe answers and parse nothing.  What may be sent is described by the JSON
Schemas that the views check it with.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ..core.statuses import ExecutionStatus, NodeStatus
from ..models import LogLine
from ..models.execution import Execution
from ..models.history import Attempt, DeadLetter

Shape = serializers.Serializer[Any]

EXECUTION_STATUSES = [status.value for status in ExecutionStatus]
NODE_STATUSES = [status.value for status in NodeStatus]


@extend_schema_field({})
class AnyJson(serializers.JSONField):
    """Any JSON value."""


class ReferenceShape(Shape):
    """An execution that has been started."""

    executionId = serializers.UUIDField()


class StatusShape(Shape):
    """Where an execution stands."""

    executionId = serializers.UUIDField()
    workflowId = serializers.CharField()
    status = serializers.ChoiceField(EXECUTION_STATUSES)
    reason = serializers.CharField(
        allow_blank=True, help_text="Why it was paused, cancelled or failed."
    )
    createdAt = serializers.DateTimeField()
    startAt = serializers.DateTimeField(allow_null=True, help_text="When its delayed start is due.")
    startedAt = serializers.DateTimeField(allow_null=True)
    deadlineAt = serializers.DateTimeField(allow_null=True)
    finishedAt = serializers.DateTimeField(allow_null=True)
    durationMs = serializers.FloatField(allow_null=True)


class ParentShape(Shape):
    """The execution and the node that have started another one."""

    executionId = serializers.UUIDField()
    nodeId = serializers.CharField(allow_null=True)
    relation = serializers.ChoiceField(Execution.Relation.values)
    item = serializers.IntegerField(allow_null=True, help_text="Its place in the list or loop.")


class ListedExecutionShape(StatusShape):
    """An execution as lists have it."""

    version = serializers.IntegerField()
    priority = serializers.IntegerField()
    parent = ParentShape(allow_null=True)


class NodeResultShape(Shape):
    """What became of a node."""

    type = serializers.CharField()
    status = serializers.ChoiceField(NODE_STATUSES)
    success = serializers.BooleanField(
        allow_null=True, help_text="Null while it has not ended, and of what was skipped."
    )
    skipped = serializers.BooleanField()
    data = AnyJson(  # type: ignore[assignment]
        help_text="Its output; null for those who may not see payloads."
    )
    error = serializers.CharField(allow_null=True)
    errorType = serializers.CharField(allow_null=True)
    nextNodes = serializers.ListField(child=serializers.CharField(), allow_null=True)
    reason = serializers.CharField(allow_blank=True)
    attempt = serializers.IntegerField()
    availableAt = serializers.DateTimeField(allow_null=True)
    startedAt = serializers.DateTimeField(allow_null=True)
    finishedAt = serializers.DateTimeField(allow_null=True)


class MetadataShape(Shape):
    """What else is known of an execution."""

    replayedFrom = serializers.UUIDField(required=False)


class ExecutionShape(ListedExecutionShape):
    """An execution with the results of its nodes."""

    input = AnyJson(help_text="Null for those who may not see payloads.")
    output = AnyJson(help_text="What it came to, once it has completed.")
    nodeResults = serializers.DictField(child=NodeResultShape(), help_text="By node id.")
    children = serializers.DictField(
        child=serializers.IntegerField(), help_text="How many it has started, by status."
    )
    metadata = MetadataShape()
    payloadsHidden = serializers.BooleanField()
    dataClearedAt = serializers.DateTimeField(allow_null=True)


class EndedShape(Shape):
    """What an execution came to; of one that was there before, without waiting, its id alone."""

    executionId = serializers.UUIDField()
    output = AnyJson(required=False, help_text="Null for those who may not see payloads.")
    payloadsHidden = serializers.BooleanField(required=False)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Add where it stands, all of it optional."""
        known = StatusShape().get_fields()
        for field in known.values():
            field.required = False
        return {**known, **super().get_fields()}


class BatchShape(Shape):
    """Executions that have been started, in the order of their inputs."""

    executionIds = serializers.ListField(child=serializers.UUIDField())


class NodeRunShape(NodeResultShape):
    """What became of a node of an execution."""

    nodeId = serializers.CharField()


class ExplanationShape(Shape):
    """Why an execution does not move, or what it is doing."""

    sentence = serializers.CharField(help_text="The gist.")
    facts = serializers.ListField(
        child=serializers.CharField(), help_text="What its nodes do or wait for."
    )
    queues = serializers.ListField(
        child=serializers.CharField(), help_text="Those with nodes that a worker could take now."
    )


class LogEntryShape(Shape):
    """A line of a log."""

    timestamp = serializers.DateTimeField()
    level = serializers.ChoiceField(LogLine.Level.values)
    message = serializers.CharField(allow_blank=True)
    nodeId = serializers.CharField(allow_null=True)
    attempt = serializers.IntegerField(allow_null=True)
    data = AnyJson(  # type: ignore[assignment]
        help_text="Null for those who may not see payloads."
    )


class SpanShape(Shape):
    """One attempt of one node."""

    id = serializers.CharField()
    nodeId = serializers.CharField()
    name = serializers.CharField()
    attempt = serializers.IntegerField()
    status = serializers.ChoiceField(sorted({*NODE_STATUSES, *Attempt.Result.values}))
    startTime = serializers.DateTimeField()
    endTime = serializers.DateTimeField(allow_null=True)
    durationMs = serializers.FloatField(allow_null=True)
    waitMs = serializers.FloatField(allow_null=True, help_text="How long the node lay ready.")
    error = serializers.CharField(allow_null=True)


class TraceShape(Shape):
    """A span for every attempt of every node that has begun."""

    traceId = serializers.UUIDField()
    executionId = serializers.UUIDField()
    workflowId = serializers.CharField()
    status = serializers.ChoiceField(EXECUTION_STATUSES)
    startTime = serializers.DateTimeField(allow_null=True)
    endTime = serializers.DateTimeField(allow_null=True)
    durationMs = serializers.FloatField(allow_null=True)
    spans = SpanShape(many=True)


class DeadLetterShape(Shape):
    """A node that failed for good."""

    id = serializers.IntegerField()
    executionId = serializers.UUIDField()
    workflowId = serializers.CharField()
    nodeId = serializers.CharField()
    nodeType = serializers.CharField()
    attempts = serializers.IntegerField()
    errorType = serializers.CharField(allow_blank=True)
    error = serializers.CharField(allow_blank=True)
    traceback = serializers.CharField(allow_null=True, allow_blank=True)
    input = AnyJson()
    createdAt = serializers.DateTimeField()
    resolvedAt = serializers.DateTimeField(allow_null=True)
    resolution = serializers.ChoiceField(DeadLetter.Resolution.values, allow_null=True)
    payloadsHidden = serializers.BooleanField()
