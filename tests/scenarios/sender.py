"""Who sends to webhooks: it was given the secret that all of them have, and signs what it sends."""

from __future__ import annotations

import json

from django.test import Client

from spane_django.clock import now
from spane_django.core.json import Json
from spane_django.core.signatures import Scheme, sign
from spane_django.models import Execution, Webhook
from spane_django.triggers.webhooks import rotate

SECRET = "known-to-both-of-them"


class Sender:
    """A program somewhere, and the webhooks that were made for it."""

    def __init__(self) -> None:
        self._client = Client(enforce_csrf_checks=True)

    def meet(self) -> None:
        """Agree on the secret with all webhooks that there are."""
        for key in Webhook.objects.values_list("pk", flat=True):
            rotate(key, {"secret": SECRET, "graceSeconds": 0}, now=now())

    def send(self, path: str, method: str, body: Json) -> int:
        """Send a request; return how many executions it has started."""
        before = Execution.objects.count()
        data = json.dumps(body).encode()
        headers = sign(Scheme(header="X-Signature"), data, SECRET, now=now())
        self._client.generic(
            method, f"/api/webhooks/{path}", data, "application/json", headers=headers
        )
        return Execution.objects.count() - before
