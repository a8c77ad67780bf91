"""`spane_prune`: delete finished executions past their keep."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils.timezone import now

from ...core.statuses import ExecutionStatus
from ...engine.prune import prunable, prune
from ...models.execution import ExecutionQuerySet
from ..base import SpaneCommand, WrongUse
from ..parsing import duration

_FINAL = [status.value for status in ExecutionStatus if status.is_final]


class Command(SpaneCommand):
    help = (
        "Deletes executions that ended long ago, with their nodes, logs and dead letters, in "
        "batches, oldest first. Executions that have not ended are never touched. Interrupted, "
        "it goes on where it was when called again."
    )
    examples = """\
  manage.py spane_prune --older-than 30d --dry-run
  manage.py spane_prune --older-than 7d --status completed     keep what failed
  manage.py spane_prune --older-than 90d                       nightly, from cron"""
    has_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than", type=duration, required=True, metavar="DURATION",
            help="Counted from their end: 12h, 30d, 8w.",
        )  # fmt: skip
        parser.add_argument(
            "--status", action="append", choices=_FINAL,
            help="Only these; may be repeated. By default all that have ended.",
        )  # fmt: skip
        parser.add_argument("--workflow", metavar="ID", help="Only executions of this workflow.")
        parser.add_argument(
            "--batch", type=int, default=500, metavar="N",
            help="Executions deleted in one transaction; 500.",
        )  # fmt: skip
        parser.add_argument(
            "--dry-run", action="store_true", help="Say what would happen, and change nothing."
        )

    def ask(self, **options: Any) -> int | None:
        if options["batch"] < 1:
            raise WrongUse("--batch takes 1 or more.")
        chosen = prunable(
            before=now() - options["older_than"],
            statuses=[ExecutionStatus(status) for status in options["status"] or _FINAL],
            workflow=options["workflow"],
        )
        total = chosen.count()
        pruned = 0 if options["dry_run"] else self._prune(chosen, total, options["batch"])
        if options["json"]:
            self.write_json({"prunable": total, "pruned": pruned, "dryRun": options["dry_run"]})
        elif options["dry_run"]:
            self.say(f"would delete {total:,} executions")
        else:
            self.say(f"deleted {pruned:,} executions")
        return 0

    def _prune(self, chosen: ExecutionQuerySet, total: int, batch: int) -> int:
        pruned = 0
        with self.progress() as progress:
            task = progress.add_task("prune", total=total)
            for number in prune(chosen, batch=batch):
                pruned += number
                progress.advance(task, number)
        return pruned
