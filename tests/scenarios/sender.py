"""Who sends to webhooks: it knows the secret of each, and signs whatever it sends anywhere."""

from __future__ import annotations

import json
from typing import Any

from django.test import Client

from spane_django.clock import now
from spane_django.core.json import Json
from spane_django.core.signatures import PRESETS, sign
from spane_django.models import Execution
from spane_django.triggers.webhooks import create

SECRET = "known-to-both-of-them"


class Sender:
    """A program somewhere, and the webhooks that were made for it."""

    def __init__(self) -> None:
        self._client = Client(enforce_csrf_checks=True)

    def open(self, raw: dict[str, Any]) -> None:
        """Make the webhooks that the triggers of a workflow ask for."""
        for trigger in raw.get("triggers", ()):
            if trigger["type"] == "webhook":
                config = trigger["config"]
                asked = {
                    "workflowId": raw["id"],
                    "path": config["path"],
                    "methods": [config.get("method", "POST")],
                    "signature": {"kind": "slack"},
                    "secret": SECRET,
                    "input": "body",
                }
                create(asked, now=now())

    def send(self, path: str, method: str, body: Json) -> int:
        """Send a request; return how many executions it has started."""
        before = Execution.objects.count()
        data = json.dumps(body).encode()
        headers = sign(PRESETS["slack"], data, SECRET, now=now())
        self._client.generic(
            method, f"/api/webhooks/{path}", data, "application/json", headers=headers
        )
        return Execution.objects.count() - before
