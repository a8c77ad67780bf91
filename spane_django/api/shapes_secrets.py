"""What secrets look like over the wire, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class UseShape(serializers.Serializer[Any]):
    """A workflow whose current version names the secret."""

    workflowId = serializers.CharField()
    version = serializers.IntegerField()
    paths = serializers.ListField(
        child=serializers.CharField(), help_text="Where in the definition."
    )


class SecretShape(serializers.Serializer[Any]):
    """A secret without its value, which nothing shows again."""

    name = serializers.CharField()
    tenant = serializers.CharField(allow_blank=True, help_text="Empty: shared by all tenants.")
    description = serializers.CharField(allow_blank=True)
    createdAt = serializers.DateTimeField()
    updatedAt = serializers.DateTimeField()
    valueSetAt = serializers.DateTimeField(help_text="When the value was last replaced.")
    usedBy = UseShape(many=True)
