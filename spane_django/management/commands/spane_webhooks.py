"""`spane_webhooks`: make, list and call webhooks, look at what came to them, deliver it again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser
from django.urls import reverse
from rich.text import Text

from ...clock import now
from ...models import Webhook, WebhookDelivery
from ...triggers.webhook_config import DEDUPE_KEYS
from ...triggers.webhook_curl import curl
from ...triggers.webhook_intake import redeliver
from ...triggers.webhooks import UnknownWebhook, create, facts_of
from ..base import SpaneCommand, WrongUse, add_row, table
from ..parsing import json_value
from ..showing import ago

# The words of deliveries in the colours of executions.
_COLOURS = {"started": "green", "refused": "red"}


class Command(SpaneCommand):
    help = (
        "Makes and lists webhooks, shows how to call one, lists what came to it and delivers it "
        "again. The signing secret is printed once, when it is made."
    )
    examples = """\
  manage.py spane_webhooks list
  manage.py spane_webhooks create orders --signature github --path github/orders
  manage.py spane_webhooks create orders --set '{"input": "body"}'
  manage.py spane_webhooks show 3                 with a command that calls it
  manage.py spane_webhooks deliveries 3
  manage.py spane_webhooks redeliver 0199c0de-7a11-7000-8000-000000000000"""
    has_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["list", "create", "show", "deliveries", "redeliver"])
        parser.add_argument("ids", nargs="*", metavar="id", help="What the action is about.")
        kinds = ["none", "hmac", *DEDUPE_KEYS]
        parser.add_argument("--signature", choices=kinds, help="create: how senders sign; none.")
        parser.add_argument("--path", help="create: the path, or how it begins if none is signed.")
        parser.add_argument(
            "--set", type=json_value, metavar="JSON", default={},
            help="create: whatever else the API takes, as JSON, @file or @-.",
        )  # fmt: skip
        parser.add_argument(
            "--host", default="http://127.0.0.1:8000", help="Where the project answers."
        )
        parser.add_argument("--limit", type=int, default=20, help="deliveries: at most so many.")

    def ask(self, **options: Any) -> int | None:
        if not options["ids"] and options["action"] != "list":
            raise WrongUse(f"{options['action']} takes an id.")
        verbs = {
            "list": self._list,
            "create": self._create,
            "show": self._show,
            "deliveries": self._deliveries,
            "redeliver": self._redeliver,
        }
        verbs[options["action"]](options)
        return None

    def _list(self, options: dict[str, Any]) -> None:
        webhooks = list(Webhook.objects.order_by("id"))
        if options["json"]:
            self.write_json([{"id": webhook.pk, **facts_of(webhook)} for webhook in webhooks])
            return
        made = table("ID", "NAME", "WORKFLOW", "SIGNATURE", "METHODS", "PATH", "")
        for webhook in webhooks:
            state = Text("" if webhook.is_enabled else "disabled", style="yellow")
            methods = ",".join(webhook.methods)
            add_row(
                made, webhook.pk, webhook.name, webhook.workflow_key, webhook.signature, methods,
                webhook.shown_path, state,
            )  # fmt: skip
        self.console.print(made if webhooks else "no webhooks")

    def _create(self, options: dict[str, Any]) -> None:
        given = {"workflowId": options["ids"][0], **options["set"]}
        if options["signature"]:
            given["signature"] = {**given.get("signature", {}), "kind": options["signature"]}
        if options["path"]:
            given["path"] = options["path"]
        webhook, secret = create(given, now=now())
        self._tell(webhook, options, {"secret": secret} if secret else {})

    def _show(self, options: dict[str, Any]) -> None:
        self._tell(_found(options["ids"][0]), options, {})

    def _tell(self, webhook: Webhook, options: dict[str, Any], more: dict[str, str]) -> None:
        url = options["host"].rstrip("/") + reverse("spane_django:inbound", args=[webhook.path])
        facts = {"id": webhook.pk, **facts_of(webhook), "path": webhook.path, "url": url, **more}
        if options["json"]:
            self.write_json({**facts, "curl": curl(webhook, url)})
            return
        self.say(f"webhook {webhook.pk} starts {webhook.workflow_key}")
        if more:
            self.say(f"\nsigning secret, not shown again: {more['secret']}")
        self.say(f"\n{curl(webhook, url)}")

    def _deliveries(self, options: dict[str, Any]) -> None:
        found = _found(options["ids"][0]).deliveries.defer("request").order_by("-id")
        rows = list(found[: max(options["limit"], 1)])
        if options["json"]:
            self.write_json([_delivery_json(row) for row in rows])
            return
        made = table("DELIVERY", "STATUS", "EXECUTION", "RECEIVED", "REPEATS", "REASON")
        for row in rows:
            add_row(
                made, row.pk, Text(row.status, style=_COLOURS[row.status]), row.execution_id,
                ago(row.received_at, now=now()), row.repeats, row.reason[:100],
            )  # fmt: skip
        self.console.print(made if rows else "no deliveries")

    def _redeliver(self, options: dict[str, Any]) -> None:
        for text in options["ids"]:
            delivery = redeliver(_uuid(text), now=now())
            if options["json"]:
                self.write_json(_delivery_json(delivery))
            else:
                self.say(f"delivered again: execution {delivery.execution_id}")


def _delivery_json(delivery: WebhookDelivery) -> dict[str, Any]:
    return {
        "id": delivery.pk,
        "status": delivery.status,
        "executionId": delivery.execution_id,
        "receivedAt": delivery.received_at,
        "repeats": delivery.repeats,
        "reason": delivery.reason,
    }


def _found(text: str) -> Webhook:
    is_number = text.isascii() and text.isdigit() and len(text) <= 18
    webhook = Webhook.objects.filter(pk=int(text)).first() if is_number else None
    if webhook is None:
        raise UnknownWebhook(f"There is no webhook {text}: manage.py spane_webhooks list")
    return webhook


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise WrongUse(f"'{text}' is no delivery: manage.py spane_webhooks deliveries") from None
