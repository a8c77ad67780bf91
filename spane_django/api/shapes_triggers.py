"""What event triggers and emitted events look like on the wire, for the document."""

from __future__ import annotations

from rest_framework import serializers

from .shapes import AnyJson, Shape


class EventTriggerShape(Shape):
    """A workflow that an event starts."""

    id = serializers.IntegerField()
    event = serializers.CharField(help_text="A name, or a pattern: `order.*`.")
    workflowId = serializers.CharField()
    when = serializers.CharField(allow_null=True, help_text="An expression over the payload.")
    map = AnyJson(allow_null=True, help_text="Expressions that give the input; null: the payload.")
    enabled = serializers.BooleanField()
    declared = serializers.BooleanField(help_text="By the definition of the workflow.")
    createdAt = serializers.DateTimeField()
    failures = serializers.IntegerField(help_text="How often it could not start the workflow.")
    lastError = serializers.CharField(allow_blank=True)
    failedAt = serializers.DateTimeField(allow_null=True)


class RefusalShape(Shape):
    """A trigger that applied and started nothing."""

    triggerId = serializers.IntegerField()
    workflowId = serializers.CharField()
    message = serializers.CharField()


class EmissionShape(Shape):
    """What an event has led to."""

    event = serializers.CharField()
    executionIds = serializers.ListField(child=serializers.UUIDField())
    refused = RefusalShape(many=True)


class ListedTriggerShape(Shape):
    """Something that starts a workflow by itself."""

    type = serializers.ChoiceField(["event", "workflow", "model", "webhook", "schedule"])
    id = serializers.IntegerField(allow_null=True)
    says = serializers.CharField(help_text="When it starts the workflow, for people.")
    workflowId = serializers.CharField()
    enabled = serializers.BooleanField()
    declared = serializers.BooleanField(help_text="By the definition or in code.")


class WorkflowTriggersShape(Shape):
    """All that starts a workflow by itself."""

    results = ListedTriggerShape(many=True)
