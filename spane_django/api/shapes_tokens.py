"""Tokens and tenants on the wire, for the document."""

from __future__ import annotations

from rest_framework import serializers

from ..engine.tokens import SCOPES
from .shapes import Shape


class TokenShape(Shape):
    """A token, without its secret."""

    id = serializers.IntegerField()
    name = serializers.CharField(help_text="What uses it.")
    user = serializers.CharField(help_text="As whom it acts.")
    scope = serializers.ChoiceField(
        list(SCOPES), help_text="The most that it may do; each includes those before it."
    )
    tenant = serializers.CharField(allow_null=True, help_text="Null: every tenant of its user.")
    prefix = serializers.CharField(help_text="How its secret begins.")
    createdAt = serializers.DateTimeField()
    expiresAt = serializers.DateTimeField(allow_null=True)
    revokedAt = serializers.DateTimeField(allow_null=True)
    lastUsedAt = serializers.DateTimeField(allow_null=True, help_text="To the minute.")
    oldSecretUntil = serializers.DateTimeField(
        allow_null=True, help_text="How long the secret is good that it had before."
    )


class NewTokenShape(TokenShape):
    """A token with its secret, which is shown this once."""

    token = serializers.CharField()


class TenantShape(Shape):
    """A tenant."""

    key = serializers.CharField()
    name = serializers.CharField()
