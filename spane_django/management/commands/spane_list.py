"""`spane_list`: executions or workflows, newest first."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ...clock import now
from ...models import Workflow
from ..base import SpaneCommand, WrongUse
from ..selecting import add_execution_filters, executions_of, has_execution_filter, tenant_in
from ..showing import execution_json, executions_table, workflow_json, workflows_table


class Command(SpaneCommand):
    help = (
        "Lists executions, newest first, or the workflows. What an execution has started, such "
        "as the items of a map, is listed with --parent."
    )
    examples = """\
  manage.py spane_list                                     the newest executions
  manage.py spane_list --status failed --since 24h         what failed since yesterday
  manage.py spane_list --workflow onboarding --limit 100
  manage.py spane_list --parent 0199c0de7a11               what that one has started
  manage.py spane_list workflows --json"""
    has_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "what", nargs="?", choices=["executions", "workflows"], default="executions",
            help="What to list; executions by default.",
        )  # fmt: skip
        add_execution_filters(parser)
        parser.add_argument(
            "--limit", type=int, default=20, metavar="N", help="At most so many; 20. 0: all."
        )

    def ask(self, **options: Any) -> int | None:
        if options["limit"] < 0:
            raise WrongUse("--limit takes 0 (all) or more.")
        if options["what"] == "executions":
            self._executions(options)
            return 0
        if has_execution_filter(options):
            raise WrongUse("The filters are for executions, not for workflows.")
        self._workflows(options)
        return 0

    def _executions(self, options: dict[str, Any]) -> None:
        limit = options["limit"]
        chosen = executions_of(options).defer("input", "version__definition")
        # One more than is shown tells whether there are more, without counting all of them.
        rows = list(chosen[: limit + 1] if limit else chosen.iterator())
        shown = rows[:limit] if limit else rows
        if options["json"]:
            return self.write_json([execution_json(execution) for execution in shown])
        if not shown:
            return self.say("no executions")
        self.console.print(executions_table(shown, now=now()))
        if len(rows) > len(shown):
            self.warn(f"there are more: --limit {limit * 5} shows more of them, --limit 0 all")
        return None

    def _workflows(self, options: dict[str, Any]) -> None:
        limit = options["limit"]
        chosen = Workflow.objects.select_related("current_version").order_by("key", "tenant")
        if tenant := tenant_in(options):
            chosen = chosen.filter(tenant__in=("", tenant))
        rows = list(chosen[:limit] if limit else chosen)
        if options["json"]:
            return self.write_json([workflow_json(workflow) for workflow in rows])
        if not rows:
            return self.say("no workflows are published: manage.py spane_publish --all")
        return self.console.print(workflows_table(rows, now=now()))
