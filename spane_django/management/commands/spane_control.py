"""`spane_control`: pause, resume, cancel, replay or retry executions, one or thousands."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ...core.statuses import ExecutionEvent, ExecutionStatus, execution_sources
from ...engine import control
from ...engine.retry import replay, retry_failed
from ...models.execution import ExecutionQuerySet
from ..base import SpaneCommand
from ..bulk import Bulk
from ..selecting import (
    add_execution_filters,
    check_choice,
    executions_of,
    has_execution_filter,
    ids_of,
)

_VERBS = {
    "pause": control.pause,
    "resume": control.resume,
    "cancel": control.cancel,
    "replay": replay,
    "retry": retry_failed,
}
_EVENTS = {
    "pause": ExecutionEvent.PAUSED,
    "resume": ExecutionEvent.RESUMED,
    "cancel": ExecutionEvent.CANCELLED,
}


class Command(SpaneCommand):
    help = (
        "Pauses, resumes, cancels, replays (starts anew with the same input) or retries (runs "
        "again what failed in) executions: those of the ids, or all that the filters choose. "
        "Filters choose only what the verb can change. More than ids is asked about first; "
        "--dry-run says what would happen. Exit code 1: nothing changed, or some were refused."
    )
    examples = """\
  manage.py spane_control cancel 0199c0de7a11 --reason "wrong address"
  manage.py spane_control pause --workflow onboarding --dry-run
  manage.py spane_control retry --workflow onboarding --since 24h --yes
  manage.py spane_control replay --status failed --since 2025-01-31 --yes --json"""
    has_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", choices=list(_VERBS))
        parser.add_argument("ids", nargs="*", metavar="id", help="Executions, or filters instead.")
        add_execution_filters(parser)
        parser.add_argument("--all", action="store_true", help="All that the verb can change.")
        parser.add_argument("--reason", help="Why; it is kept with the executions.")
        parser.add_argument(
            "--dry-run", action="store_true", help="Say what would happen, and change nothing."
        )
        parser.add_argument("--yes", "-y", action="store_true", help="Do not ask.")

    def ask(self, **options: Any) -> int | None:
        verb, ids = options["verb"], options["ids"]
        check_choice(ids=ids, has_filter=has_execution_filter(options), takes_all=options["all"])
        keys = ids_of(ids) if ids else list(_chosen(verb, options).values_list("pk", flat=True))
        bulk = Bulk(verb=verb, apply=_VERBS[verb], keys=keys, noun="execution")
        return bulk.run(self, options, ask=not ids)


def _chosen(verb: str, options: dict[str, Any]) -> ExecutionQuerySet:
    """Return the executions of the filters that the verb can change."""
    chosen = executions_of(options)
    if verb == "retry":
        return chosen.filter(dead_letters__resolved_at=None, dead_letters__isnull=False).distinct()
    if verb == "replay":
        return chosen.filter(status__in=[status for status in ExecutionStatus if status.is_final])
    return chosen.filter(status__in=execution_sources(_EVENTS[verb]))
