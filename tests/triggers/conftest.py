"""What the tests of triggers share: a workflow, and a sender that signs what it sends."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.test import Client

from spane_django.clock import now
from spane_django.core.signatures import sign
from spane_django.engine.publish import publish
from spane_django.models import Execution, Webhook, WebhookDelivery
from spane_django.triggers.webhooks import create, scheme_of
from tests.triggers.stage import does, machine, spane, tables, trigger

__all__ = ["does", "machine", "spane", "tables", "trigger"]

FLOW: dict[str, Any] = {
    "id": "flow",
    "name": "Flow",
    "entryNodeId": "a",
    "nodes": [{"id": "a", "type": "log", "config": {"message": "in"}, "inputs": [], "outputs": []}],
}


@dataclass
class Hook:
    """A webhook and what its senders know."""

    webhook: Webhook
    secret: str
    client: Client = field(default_factory=lambda: Client(enforce_csrf_checks=True))

    @property
    def url(self) -> str:
        return f"/api/webhooks/{self.webhook.path}"

    def signed(self, data: bytes, secret: str = "", **when: Any) -> dict[str, str]:
        """Return the headers of a signature."""
        scheme = scheme_of(self.webhook)
        if scheme is None:
            return {}
        return sign(scheme, data, secret or self.secret, now=when.get("at") or now())

    def send(self, body: Any = None, *, method: str = "POST", **more: Any) -> Any:
        """Send a body, signed: bytes as they are, anything else as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {**self.signed(data), **more.pop("headers", {})}
        kind = more.pop("content_type", "application/json")
        url = self.url + more.pop("query", "")
        return self.client.generic(method, url, data, kind, headers=headers, **more)

    def delivery(self) -> WebhookDelivery:
        """Return the only delivery."""
        return self.webhook.deliveries.get()


MakeHook = Callable[..., Hook]


@pytest.fixture(autouse=True)
def _quiet(wakes: list[str]) -> None:
    """Keep every wake from Redis."""


@pytest.fixture
def flow(db: None) -> None:
    """A workflow that anything may start."""
    publish(FLOW, now=now())


@pytest.fixture
def hook(flow: None) -> MakeHook:
    """Make a webhook of the workflow."""

    def make(kind: str = "none", *, tenant: str = "", **given: Any) -> Hook:
        signature = given.pop("signature", {"kind": kind})
        asked = {"workflowId": "flow", "signature": signature, **given}
        webhook, secret = create(asked, now=now(), tenant=tenant)
        return Hook(webhook, secret or given.get("secret", ""))

    return make


def inputs() -> list[Any]:
    """Return the inputs of all executions, the oldest first."""
    return list(Execution.objects.order_by("id").values_list("input", flat=True))
