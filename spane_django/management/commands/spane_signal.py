"""`spane_signal`: tell a node that waits for it, now or later, that something has happened."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ...clock import now
from ...engine.signals import signal
from ..base import SpaneCommand
from ..parsing import execution_of, json_value
from ..selecting import add_tenant, tenant_in


class Command(SpaneCommand):
    help = (
        "Sends a signal: to one execution, or by a key to whoever waits for it. One that nobody "
        "waits for yet is kept for the days of the setting SIGNAL_DAYS."
    )
    examples = """\
  manage.py spane_signal paid --key order-4711 --payload '{"cents": 990}'
  manage.py spane_signal documents-complete --execution 0199c0de7a11"""
    has_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="What the wait node calls it.")
        target = parser.add_mutually_exclusive_group()
        target.add_argument("--key", help="Which of the signals of this name.")
        target.add_argument("--execution", metavar="ID", help="The execution that waits for it.")
        add_tenant(parser)
        parser.add_argument(
            "--payload", type=json_value, metavar="JSON",
            help="What the node hands on: JSON, @file, or @- for standard input.",
        )  # fmt: skip

    def ask(self, **options: Any) -> int | None:
        target = options["execution"] and execution_of(options["execution"]).pk
        sent = signal(
            options["name"],
            options["payload"],
            now=now(),
            key=options["key"],
            execution_id=target,
            tenant=tenant_in(options),
        )
        is_taken = sent.node_run_id is not None
        if options["json"]:
            self.write_json(
                {
                    "id": sent.pk,
                    "name": sent.name,
                    "key": sent.key,
                    "isTaken": is_taken,
                    "keptUntil": sent.expires_at,
                }
            )
        elif is_taken:
            self.say("sent, and taken by a node that waited for it")
        else:
            self.say(f"sent; nobody waits for it yet: kept until {sent.expires_at:%Y-%m-%d %H:%M}")
        return None
