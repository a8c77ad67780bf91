"""What workflows and their versions look like on the wire, for the document."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ..models import WorkflowVersion
from .openapi import FaultShape
from .shapes import AnyJson, Shape


class DefinitionShape(Shape):
    """A definition as it was registered; what else was in it is there, too."""

    id = serializers.CharField()
    name = serializers.CharField()
    nodes = serializers.ListField(child=serializers.DictField())


class RegisteredShape(Shape):
    """A version that is current."""

    workflowId = serializers.CharField()
    version = serializers.IntegerField()


class ImportedShape(Shape):
    """What has been imported, or would be."""

    dryRun = serializers.BooleanField()
    results = RegisteredShape(many=True)


class CheckedShape(Shape):
    """What is wrong with a definition."""

    valid = serializers.BooleanField()
    details = FaultShape(many=True)
    warnings = FaultShape(many=True, help_text="What is allowed and should be looked at.")


class VersionShape(Shape):
    """A version without its definition."""

    workflowId = serializers.CharField()
    version = serializers.IntegerField()
    status = serializers.ChoiceField(WorkflowVersion.Status.values)
    isCurrent = serializers.BooleanField()
    createdAt = serializers.DateTimeField()
    publishedAt = serializers.DateTimeField(allow_null=True)
    publishedBy = serializers.CharField(allow_null=True)


class WholeVersionShape(VersionShape):
    """A version with its definition."""

    definition = AnyJson()


class SavedDraftShape(Shape):
    """A draft and what is wrong with it."""

    workflowId = serializers.CharField()
    version = serializers.IntegerField()
    valid = serializers.BooleanField()
    details = FaultShape(many=True)


class DraftShape(SavedDraftShape):
    """A draft with its definition."""

    definition = AnyJson()


class ChangeShape(Shape):
    """One thing that differs; without `before` it is new, without `after` it is gone."""

    path = serializers.CharField()
    before = AnyJson(required=False)
    after = AnyJson(required=False)


class ChangedNodeShape(Shape):
    """A node that differs."""

    id = serializers.CharField()
    changes = ChangeShape(many=True)


class NodesDiffShape(Shape):
    """Nodes that one version has and the other has not, or has otherwise."""

    added = serializers.ListField(child=serializers.DictField())
    removed = serializers.ListField(child=serializers.DictField())
    changed = ChangedNodeShape(many=True)


class EdgeShape(Shape):
    """An edge between two nodes."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {"from": serializers.CharField(), "to": serializers.CharField()}


class EdgesDiffShape(Shape):
    """Edges that one version has and the other has not."""

    added = EdgeShape(many=True)
    removed = EdgeShape(many=True)


class DiffShape(Shape):
    """What would change from one version to another."""

    to = serializers.IntegerField()
    nodes = NodesDiffShape()
    edges = EdgesDiffShape()
    options = ChangeShape(many=True)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {"from": serializers.IntegerField(), **super().get_fields()}


class MoveShape(Shape):
    """What a move to another version would do to an execution, or has done."""

    executionId = serializers.UUIDField()
    details = FaultShape(many=True)
    fromVersion = serializers.IntegerField(required=False)
    possible = serializers.BooleanField(required=False)
    starts = serializers.ListField(child=serializers.CharField(), required=False)
    drops = serializers.ListField(child=serializers.CharField(), required=False)
    moved = serializers.BooleanField(required=False)
    message = serializers.CharField(required=False, allow_blank=True)


class MigrationShape(Shape):
    """Executions that would be moved, or that were."""

    toVersion = serializers.IntegerField()
    applied = serializers.BooleanField()
    next = serializers.UUIDField(allow_null=True, help_text="For `after` of the next call.")
    executions = MoveShape(many=True)
