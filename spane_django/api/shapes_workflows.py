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


class WorkflowShape(Shape):
    """A workflow as lists have it."""

    workflowId = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    isEnabled = serializers.BooleanField()
    version = serializers.IntegerField(allow_null=True, help_text="The current one.")
    tenant = serializers.CharField(allow_null=True, help_text="Null: shared by all.")
    createdAt = serializers.DateTimeField()
    publishedAt = serializers.DateTimeField(allow_null=True)


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


class BoxShape(Shape):
    """A node of a picture, with the upper left corner of its box in pixels."""

    id = serializers.CharField()
    type = serializers.CharField()
    layer = serializers.IntegerField(help_text="How many steps the longest path to it has.")
    x = serializers.FloatField()
    y = serializers.FloatField()
    width = serializers.FloatField()
    height = serializers.FloatField()


class LineShape(Shape):
    """An edge of a picture, with the points that its line passes."""

    onError = serializers.BooleanField(help_text="Taken if the node fails for good.")
    points = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField(), min_length=2, max_length=2)
    )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Add names that Python keeps for itself."""
        ends = {"from": serializers.CharField(), "to": serializers.CharField()}
        return {**ends, **super().get_fields()}


class GraphShape(Shape):
    """A picture of a version."""

    workflowId = serializers.CharField()
    version = serializers.IntegerField()
    width = serializers.FloatField()
    height = serializers.FloatField()
    nodes = BoxShape(many=True)
    edges = LineShape(many=True)
    layers = serializers.ListField(child=serializers.ListField(child=serializers.CharField()))


class NodeTypeShape(Shape):
    """A type of nodes."""

    type = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    config = AnyJson(help_text="The JSON Schema of its config; null: it takes any object.")
    queue = serializers.CharField(allow_null=True, help_text="Null: the workflow's.")
    timeoutMs = serializers.FloatField(allow_null=True, help_text="Null: no limit.")
    isPure = serializers.BooleanField(help_text="It promises to have no side effects.")
    isTransactional = serializers.BooleanField(help_text="Its writes commit with its result.")
    isBuiltIn = serializers.BooleanField()
