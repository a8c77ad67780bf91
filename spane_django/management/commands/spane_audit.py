"""`spane_audit`: what was done to executions, workflows and limits, by whom and why."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import QuerySet

from ...clock import now
from ...models import AuditEntry
from ..base import SpaneCommand, WrongUse, add_row, table
from ..parsing import execution_of, instant
from ..showing import ago

# How much of a change a table shows; the whole of it is in --json.
_EXCERPT = 80


class Command(SpaneCommand):
    help = (
        "Lists the audit trail, newest first: who did what to what, what it was before and is "
        "after, and why."
    )
    examples = """\
  manage.py spane_audit                                    the newest entries
  manage.py spane_audit --execution 0199c0de7a11           what was done to one execution
  manage.py spane_audit --verb complete --since 7d         what was completed by hand
  manage.py spane_audit --user ada --json"""
    has_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--execution", metavar="ID", help="Only entries of this execution.")
        parser.add_argument("--verb", help="Only this verb, such as cancel.")
        parser.add_argument("--user", metavar="NAME", help="Only what this user did.")
        parser.add_argument(
            "--target", help="Only what was done to this: a node, a workflow, a gate."
        )
        parser.add_argument(
            "--since", type=instant, metavar="TIME",
            help="Only entries at or after: 2025-01-31T12:00, or 2h for two hours ago.",
        )  # fmt: skip
        parser.add_argument("--until", type=instant, metavar="TIME", help="Only entries before.")
        parser.add_argument(
            "--limit", type=int, default=50, metavar="N", help="At most so many; 50. 0: all."
        )

    def ask(self, **options: Any) -> int | None:
        limit = options["limit"]
        if limit < 0:
            raise WrongUse("--limit takes 0 (all) or more.")
        chosen = _entries(options)
        # One more than is shown tells whether there are more, without counting all of them.
        entries = list(chosen[: limit + 1] if limit else chosen)
        shown = entries[:limit] if limit else entries
        if options["json"]:
            self.write_json([_entry_json(entry) for entry in shown])
        elif not shown:
            self.say("no entries")
        else:
            self._tell(shown)
            if len(entries) > len(shown):
                self.warn(f"there are more: --limit {limit * 5} shows more of them, --limit 0 all")
        return None

    def _tell(self, entries: list[AuditEntry]) -> None:
        made, at = table("when", "who", "what", "execution", "target", "change", "why"), now()
        for entry in entries:
            execution = str(entry.execution_id)[:13] if entry.execution_id else ""
            who = entry.username or "-"
            change = _change(entry)
            when = ago(entry.at, now=at)
            add_row(made, when, who, entry.verb, execution, entry.target, change, entry.reason)
        self.console.print(made)


def _entries(options: dict[str, Any]) -> QuerySet[AuditEntry]:
    execution = options["execution"]
    filters = {
        "execution_id": execution and execution_of(execution).pk,
        "verb": options["verb"],
        "username": options["user"],
        "target": options["target"],
        "at__gte": options["since"],
        "at__lt": options["until"],
    }
    chosen = {name: value for name, value in filters.items() if value}
    return AuditEntry.objects.filter(**chosen).order_by("-id")


def _change(entry: AuditEntry) -> str:
    """Return what has changed, briefly: ``failed → ready`` where that is all."""
    before, after = entry.before or {}, entry.after or {}
    if "status" in before and "status" in after:
        return f"{before['status']} → {after['status']}"
    told = json.dumps(after or before, ensure_ascii=False) if after or before else ""
    return told if len(told) <= _EXCERPT else told[: _EXCERPT - 1] + "…"


def _entry_json(entry: AuditEntry) -> dict[str, Any]:
    return {
        "at": entry.at,
        "user": entry.username or None,
        "verb": entry.verb,
        "executionId": entry.execution_id,
        "target": entry.target or None,
        "before": entry.before,
        "after": entry.after,
        "reason": entry.reason,
    }
