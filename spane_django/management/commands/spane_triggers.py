"""`spane_triggers`: list all that starts workflows by itself; add and remove event triggers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser
from rich.text import Text

from ...clock import now
from ...triggers.event_triggers import change, create, delete, facts_of
from ...triggers.listing import Listed, listed
from ..base import SpaneCommand, WrongUse, add_row, table
from ..parsing import json_value

# How many arguments each action takes.
_TAKES = {"list": 0, "add": 2, "remove": 1, "enable": 1, "disable": 1}


class Command(SpaneCommand):
    help = (
        "Lists all that starts workflows by itself: events, ends of other workflows, models, "
        "webhooks, schedules. Adds, removes and switches event triggers."
    )
    examples = """\
  manage.py spane_triggers list
  manage.py spane_triggers list --workflow ship-order
  manage.py spane_triggers add order.paid ship-order
  manage.py spane_triggers add 'order.*' report --when 'total > `100`' --map '{"order": "id"}'
  manage.py spane_triggers disable 3
  manage.py spane_triggers remove 3"""
    has_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", nargs="?", default="list", choices=list(_TAKES))
        parser.add_argument(
            "what", nargs="*", help="add: an event and a workflow; else the id of a trigger."
        )
        parser.add_argument("--workflow", metavar="ID", help="list: of this workflow alone.")
        parser.add_argument("--when", metavar="EXPRESSION", help="add: over the payload.")
        parser.add_argument(
            "--map", type=json_value, metavar="JSON",
            help="add: expressions over the payload that give the input.",
        )  # fmt: skip
        parser.add_argument("--tenant", default="", help="add: whose events it hears.")

    def ask(self, **options: Any) -> int | None:
        action, what = options["action"], options["what"]
        if len(what) != _TAKES[action]:
            raise WrongUse(f"{action} takes {_TAKES[action]} arguments, not {len(what)}.")
        if action == "list":
            self._list(list(listed(workflow=options["workflow"])), as_json=options["json"])
        elif action == "add":
            self._add(options)
        else:
            self._change(action, _number(what[0]))
        return None

    def _list(self, found: list[Listed], *, as_json: bool) -> None:
        if as_json:
            self.write_json([asdict(one) for one in found])
            return
        if not found:
            self.say("Nothing starts a workflow by itself.")
            return
        made = table("id", "type", "when", "starts", "", "said by", "last failure")
        for one in found:
            source = "definition or code" if one.is_declared else "hand"
            standing = Text("enabled", "green") if one.is_enabled else Text("disabled", "yellow")
            add_row(
                made, one.id, one.type, one.says, one.workflow, standing, source, one.last_error
            )
        self.console.print(made)

    def _add(self, options: dict[str, Any]) -> None:
        event, workflow = options["what"]
        given = {"event": event, "workflowId": workflow}
        given |= {name: options[name] for name in ("when", "map") if options[name] is not None}
        trigger = create(given, now=now(), tenant=options["tenant"])
        if options["json"]:
            self.write_json({"id": trigger.pk, **facts_of(trigger)})
        else:
            self.say(f"Trigger {trigger.pk}: {trigger}.")

    def _change(self, action: str, key: int) -> None:
        if action == "remove":
            delete(key, now=now())
            self.say(f"Trigger {key} is gone.")
            return
        trigger = change(key, {"enabled": action == "enable"}, now=now())
        self.say(f"Trigger {key} is {action}d: {trigger}.")


def _number(given: str) -> int:
    if not (given.isascii() and given.isdigit() and len(given) < 19):
        raise WrongUse(f"'{given}' is no id: manage.py spane_triggers list shows them.")
    return int(given)
