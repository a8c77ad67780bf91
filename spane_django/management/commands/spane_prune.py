"""`spane_prune`: delete finished executions past their keep, and files that belong to none."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ...clock import now
from ...core.statuses import ExecutionStatus
from ...engine.audit import record
from ...engine.payloads import delete_files, orphans
from ...engine.prune import FINAL, outlived, prunable, prune, prune_signals, size
from ...models import Signal
from ...models.execution import ExecutionQuerySet
from ..base import SpaneCommand, WrongUse
from ..parsing import duration
from ..selecting import add_tenant, tenant_in

_STATUSES = [status.value for status in FINAL]


class Command(SpaneCommand):
    help = (
        "Deletes executions that ended long ago, with their nodes, logs, dead letters, files and "
        "whatever they started, in batches, oldest first. Without --older-than, each is kept as "
        "long as its workflow (keepDays) or the setting KEEP_DAYS says; the scheduler does that "
        "hourly by itself. Executions that have not ended are never touched. Interrupted, it "
        "goes on where it was when called again."
    )
    examples = """\
  manage.py spane_prune --dry-run                              what has outlived its keep
  manage.py spane_prune --older-than 30d --dry-run
  manage.py spane_prune --older-than 7d --status completed     keep what failed
  manage.py spane_prune --older-than 90d                       nightly, from cron
  manage.py spane_prune --orphans                              files of starts that never were"""
    has_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than", type=duration, metavar="DURATION",
            help="Counted from their end: 12h, 30d, 8w. By default what has outlived its keep.",
        )  # fmt: skip
        parser.add_argument(
            "--status", action="append", choices=_STATUSES,
            help="Only these; may be repeated. By default all that have ended.",
        )  # fmt: skip
        parser.add_argument("--workflow", metavar="ID", help="Only executions of this workflow.")
        parser.add_argument(
            "--batch", type=int, default=500, metavar="N",
            help="Executions deleted in one transaction; 500.",
        )  # fmt: skip
        parser.add_argument(
            "--orphans", action="store_true",
            help="Delete the files of the payload storage that belong to no execution, two days "
            "old or older, and nothing else.",
        )  # fmt: skip
        add_tenant(parser)
        parser.add_argument(
            "--dry-run", action="store_true", help="Say what would happen, and change nothing."
        )

    def ask(self, **options: Any) -> int | None:
        if options["batch"] < 1:
            raise WrongUse("--batch takes 1 or more.")
        if options["orphans"]:
            if _is_narrowed(options):
                raise WrongUse("--orphans takes files: it goes with --dry-run alone.")
            return self._files(is_dry=options["dry_run"], as_json=options["json"])
        chosen = _chosen(options)
        total = size(chosen)
        is_dry = options["dry_run"]
        pruned = 0 if is_dry else self._prune(chosen, total, options["batch"])
        done: dict[str, Any] = {"prunable": total, "pruned": pruned, "dryRun": is_dry}
        said = f"{total if is_dry else pruned:,} executions"
        if not _is_narrowed(options):
            done["signals"] = signals = _signals(is_dry=is_dry)
            said += f" and {signals:,} expired signals"
        self._tell(done, said, as_json=options["json"])
        return 0

    def _prune(self, chosen: ExecutionQuerySet, total: int, batch: int) -> int:
        pruned = 0
        with self.progress() as progress:
            task = progress.add_task("prune", total=total)
            for number in prune(chosen, batch=batch):
                pruned += number
                progress.advance(task, number)
        if pruned:
            record("prune", now=now(), after={"executions": pruned})
        return pruned

    def _files(self, *, is_dry: bool, as_json: bool) -> int:
        found = 0
        for names in orphans(now=now()):
            found += len(names)
            if not is_dry:
                delete_files(names)
        done = {"orphans": found, "deleted": 0 if is_dry else found, "dryRun": is_dry}
        self._tell(done, f"{found:,} files", as_json=as_json)
        return 0

    def _tell(self, done: dict[str, Any], said: str, *, as_json: bool) -> None:
        if as_json:
            self.write_json(done)
        else:
            self.say(f"would delete {said}" if done["dryRun"] else f"deleted {said}")


def _chosen(options: dict[str, Any]) -> ExecutionQuerySet:
    statuses = [ExecutionStatus(status) for status in options["status"] or _STATUSES]
    workflow, tenant = options["workflow"], tenant_in(options)
    if options["older_than"] is None:
        return outlived(now=now(), statuses=statuses, workflow=workflow, tenant=tenant)
    before = now() - options["older_than"]
    return prunable(before=before, statuses=statuses, workflow=workflow, tenant=tenant)


def _is_narrowed(options: dict[str, Any]) -> bool:
    given = (options[name] is not None for name in ("older_than", "status", "workflow"))
    return bool(options["tenant"]) or any(given)


def _signals(*, is_dry: bool) -> int:
    if is_dry:
        return Signal.objects.untaken().filter(expires_at__lt=now()).count()
    return sum(prune_signals(now=now()))
