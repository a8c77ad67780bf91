"""`spane_start`: start an execution, and wait for its end if asked to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser

from ...authoring import wait_for
from ...clock import now
from ...core.starting import OnDuplicate
from ...core.statuses import ExecutionStatus
from ...engine.audit import record_start
from ...engine.start import StartOptions, start
from ...models import Execution
from ..base import SpaneCommand, WrongUse, coloured
from ..parsing import duration, json_value
from ..selecting import add_tenant, tenant_in
from ..showing import execution_json, lasting

_BAD_ENDS = (ExecutionStatus.FAILED, ExecutionStatus.CANCELLED)


class Command(SpaneCommand):
    help = (
        "Starts an execution of a published workflow. With --wait it waits for the end and "
        "prints the output; then the exit code is 1 unless the execution has completed."
    )
    examples = """\
  manage.py spane_start onboarding --input '{"email": "user@example.com"}'
  manage.py spane_start onboarding --input @order.json --wait 60
  manage.py spane_start nightly --delay 8h --priority 9
  manage.py spane_start charge --key order-4711      a second call gives the first execution
  manage.py spane_start report --on-duplicate return while one runs, it is given back"""
    has_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("workflow", help="The id of the workflow.")
        parser.add_argument(
            "--input", type=json_value, metavar="JSON",
            help="What the first nodes receive: JSON, @file, or @- for standard input.",
        )  # fmt: skip
        parser.add_argument("--priority", type=int, metavar="1..10", help="Higher goes first.")
        parser.add_argument(
            "--delay", type=duration, metavar="DURATION", help="Start later: 90s, 15m, 8h, 2d."
        )
        parser.add_argument(
            "--timeout", type=duration, metavar="DURATION", help="Fail it if it takes longer."
        )
        parser.add_argument(
            "--key", help="An idempotency key: with it, the same start happens only once."
        )
        parser.add_argument(
            "--share-key",
            metavar="KEY",
            help="Whose it is, such as a tenant; else the workflow says.",
        )
        parser.add_argument(
            "--on-duplicate", choices=[action.value for action in OnDuplicate],
            help="What to do while one like it has not ended; else the workflow says.",
        )  # fmt: skip
        parser.add_argument(
            "--duplicate-key", metavar="KEY", help="What makes it one like others; else its input."
        )
        parser.add_argument(
            "--debounce", type=duration, metavar="DURATION",
            help="Start once nothing like it has come for so long, with the last input.",
        )  # fmt: skip
        add_tenant(parser)
        parser.add_argument(
            "--wait", type=float, metavar="SECONDS", help="Wait at most so long for the end."
        )

    def ask(self, **options: Any) -> int | None:
        wait, delay = options["wait"], options["delay"] or timedelta()
        latest = max(delay, options["debounce"] or delay)
        if wait is not None and wait <= latest.total_seconds():
            raise WrongUse(
                "--wait must be longer than --delay and --debounce, or nothing will have happened."
            )
        at = now()
        execution = start(
            options["workflow"],
            options["input"],
            now=at,
            options=StartOptions(
                priority=options["priority"],
                start_at=at + delay if delay else None,
                timeout=options["timeout"],
                idempotency_key=options["key"],
                key=options["share_key"],
                tenant=tenant_in(options),
                on_duplicate=options["on_duplicate"],
                duplicate_key=options["duplicate_key"],
                debounce=options["debounce"],
            ),
        )
        if execution.created_at == at:
            tenant = tenant_in(options)
            record_start(options["workflow"], [execution.pk], now=at, tenant=tenant)
        if wait is None:
            return self._show(execution, options)
        if not options["json"]:
            self.warn(f"execution {execution.pk} started, waiting at most {wait:g} s")
        return self._show(_at_its_end(execution, wait), options)

    def _show(self, execution: Execution, options: dict[str, Any]) -> int:
        status = ExecutionStatus(execution.status)
        has_waited = options["wait"] is not None
        if options["json"]:
            self.write_json({**execution_json(execution), "output": execution.output})
        elif not has_waited:
            self.say(str(execution.pk))
        else:
            took = execution.finished_at and execution.finished_at - execution.created_at
            self.say(str(execution.pk), coloured(status), f"after {lasting(took)}" if took else "")
            self._show_end(execution)
        is_over = status.is_final and status not in _BAD_ENDS
        return int(has_waited and not is_over)

    def _show_end(self, execution: Execution) -> None:
        status = ExecutionStatus(execution.status)
        if status is ExecutionStatus.COMPLETED:
            self.write_json(execution.output)
        else:
            ended = "did not complete" if status.is_final else "has not ended yet"
            self.warn(f"It {ended}: manage.py spane_show {execution.pk}")


def _at_its_end(execution: Execution, seconds: float) -> Execution:
    """Return the execution as it is when it has ended, or when the time is over."""
    try:
        return wait_for(execution, timeout=seconds)
    except TimeoutError:
        execution.refresh_from_db()
        return execution
