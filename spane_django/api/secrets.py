"""Secrets over HTTP: names, dates and who uses them come out; values only go in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from ..clock import now as current_time
from ..core.schema import Schema
from ..engine.advice import Use, uses_of
from ..engine.secrets import (
    MAX_DESCRIPTION,
    UnknownSecret,
    create_secret,
    delete_secret,
    replace_secret,
)
from ..models import Secret
from .auth import user_of
from .base import EngineView
from .openapi import example, extend_schema, object_of, page_of, sent
from .pages import page
from .shapes_secrets import SecretShape
from .wire import body_of

_VALUE: Schema = {
    "type": "string",
    "minLength": 1,
    "writeOnly": True,
    "description": "At most 64 KiB of UTF-8.",
}
_DESCRIPTION: Schema = {"type": "string", "maxLength": MAX_DESCRIPTION}
_NAME: Schema = {
    "type": "string",
    "description": "1 to 100 letters, digits, _ and -, beginning with a letter or _.",
}

_CREATE = object_of({"name": _NAME, "value": _VALUE, "description": _DESCRIPTION}, "name", "value")
_REPLACE = {**object_of({"value": _VALUE, "description": _DESCRIPTION}), "minProperties": 1}


_EXAMPLE = {
    "name": "stripe",
    "tenant": "",
    "description": "restricted key of the shop",
    "createdAt": "2030-01-01T12:00:00Z",
    "updatedAt": "2030-01-01T12:00:00Z",
    "valueSetAt": "2030-01-01T12:00:00Z",
    "usedBy": [{"workflowId": "charge", "version": 3, "paths": ["nodes[0].config"]}],
}


class SecretsView(EngineView):
    """Lists secrets with who uses them, or stores a new one."""

    permissions = {"GET": "spane_django.view_secret", "POST": "spane_django.add_secret"}
    is_paged = True

    @extend_schema(
        summary="List secrets",
        responses={200: page_of(SecretShape)},
        examples=[example("A page", {"results": [_EXAMPLE], "next": None, "previous": None})],
    )
    def get(self, request: Request) -> Response:
        found = self.scope.within(_without_values())
        response = page(request, found, lambda secret: secret, ordering=("name", "tenant"))
        response.data["results"] = list(self._presented(response.data["results"]))
        return response

    @extend_schema(
        summary="Store a secret",
        request=_CREATE,
        responses={201: SecretShape},
        examples=[
            sent("A key", {"name": "stripe", "value": "rk_live_…"}),
            example("Stored", {**_EXAMPLE, "usedBy": []}, on=201),
        ],
    )
    def post(self, request: Request) -> Response:
        body, tenant = body_of(request, _CREATE), self.tenant
        secret = create_secret(**body, tenant=tenant, now=current_time(), by=user_of(request))
        (shown,) = self._presented([secret])
        location = reverse("spane_django:secret", args=[secret.name])
        return Response(shown, status=201, headers={"Location": location})

    def _presented(self, secrets: list[Secret]) -> Iterable[dict[str, Any]]:
        uses = uses_of(secrets, scope=self.scope)
        return (present_secret(secret, uses[secret.pk]) for secret in secrets)


class SecretView(EngineView):
    """Tells of a secret, gives it another value, or deletes it."""

    permissions = {
        "GET": "spane_django.view_secret",
        "PUT": "spane_django.change_secret",
        "DELETE": "spane_django.delete_secret",
    }

    @extend_schema(
        summary="Read about a secret",
        responses={200: SecretShape},
        examples=[example("A secret", _EXAMPLE)],
    )
    def get(self, request: Request, name: str) -> Response:
        return self._answer(name)

    @extend_schema(
        summary="Replace a secret",
        description="What is left out stays as it is. Nodes that start from now on get the value.",
        request=_REPLACE,
        responses={200: SecretShape},
        examples=[
            sent("A new value", {"value": "rk_live_…"}),
            example("Replaced", _EXAMPLE),
        ],
    )
    def put(self, request: Request, name: str) -> Response:
        body, tenant = body_of(request, _REPLACE), self.tenant
        replace_secret(name, **body, tenant=tenant, now=current_time(), by=user_of(request))
        return self._answer(name)

    @extend_schema(
        summary="Delete a secret",
        description="Nodes that name it fail from now on.",
        responses={204: None},
    )
    def delete(self, request: Request, name: str) -> Response:
        delete_secret(name, tenant=self.tenant, now=current_time(), by=user_of(request))
        return Response(status=204)

    def _answer(self, name: str) -> Response:
        found = self.scope.within(_without_values()).filter(name=name, tenant=self.tenant).first()
        if found is None:
            raise UnknownSecret(f"there is no secret '{name[:100]}'")
        return Response(present_secret(found, uses_of([found], scope=self.scope)[found.pk]))


def present_secret(secret: Secret, uses: Iterable[Use]) -> dict[str, Any]:
    """Return a secret as it goes over the wire: all but the value."""
    return {
        "name": secret.name,
        "tenant": secret.tenant,
        "description": secret.description,
        "createdAt": secret.created_at,
        "updatedAt": secret.updated_at,
        "valueSetAt": secret.rotated_at,
        "usedBy": [
            {"workflowId": use.workflow, "version": use.version, "paths": use.paths} for use in uses
        ],
    }


def _without_values() -> QuerySet[Secret]:
    return Secret.objects.defer("sealed")
