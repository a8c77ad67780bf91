"""`spane_emit`: say that something has happened."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ...clock import now
from ...triggers.events import Event, emit_by_hand
from ..base import SpaneCommand, WrongUse
from ..parsing import json_value


class Command(SpaneCommand):
    help = (
        "Emits an event: every workflow that listens for it starts. The exit code is 1 if a "
        "trigger applied and could not start its workflow."
    )
    examples = """\
  manage.py spane_emit order.paid --payload '{"id": 7, "total": 120}'
  manage.py spane_emit order.paid --payload @order.json --subject shop.order:7
  manage.py spane_emit stock.counted --key count-42      a second time it starts nothing"""
    has_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("event", help="Its name, such as order.paid.")
        parser.add_argument(
            "--payload", type=json_value, metavar="JSON",
            help="What there is to know: JSON, @file, or @- for standard input.",
        )  # fmt: skip
        parser.add_argument("--subject", metavar="APP.MODEL:ID", default="", help="About what.")
        parser.add_argument("--key", help="An idempotency key: with it, it happens only once.")
        parser.add_argument(
            "--share-key", metavar="KEY", help="Whose the executions are; else the workflows say."
        )
        parser.add_argument("--tenant", default="", help="Whose event it is.")

    def ask(self, **options: Any) -> int | None:
        subject_type, _, subject_id = options["subject"].partition(":")
        if bool(subject_type) != bool(subject_id):
            raise WrongUse("--subject takes app.model:id, such as shop.order:7.")
        event = Event(
            name=options["event"],
            payload=options["payload"],
            tenant=options["tenant"],
            subject=(subject_type.lower(), subject_id),
            key=options["share_key"],
            idempotency_key=options["key"],
        )
        emission = emit_by_hand(event, now=now())
        if options["json"]:
            refused = [
                {"triggerId": one.trigger_id, "workflowId": one.workflow, "message": one.error}
                for one in emission.refused
            ]
            ids = [str(key) for key in emission.executions]
            self.write_json({"event": event.name, "executionIds": ids, "refused": refused})
            return 1 if refused else None
        for key in emission.executions:
            self.say(f"started {key}")
        for one in emission.refused:
            self.warn(f"not started: '{one.workflow}' (trigger {one.trigger_id}): {one.error}")
        if not emission.executions and not emission.refused:
            self.say("Nothing listens for it.")
        return 1 if emission.refused else None
