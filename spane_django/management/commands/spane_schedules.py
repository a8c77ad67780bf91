"""`spane_schedules`: list schedules with their next runs, make, pause, resume, run, backfill."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from rich.text import Text

from ...clock import now
from ...core.misfire import Misfire
from ...models import Schedule
from ...triggers import schedules
from ...triggers.backfill import backfill, preview
from ...triggers.declared_schedules import instant_faults, instant_of
from ...triggers.fire import run_now
from ...triggers.schedules import Wanted, next_runs
from ...triggers.timing import InvalidTiming, Timing, describe
from ..base import SpaneCommand, WrongUse, add_row, table
from ..parsing import duration, instant, json_value

_RUNS = 5


class Command(SpaneCommand):
    help = (
        "Lists schedules with their next five runs, makes new ones, pauses, resumes and runs "
        "them, and starts what they have missed in a range. 'spane_scheduler' fires them."
    )
    examples = """\
  manage.py spane_schedules list
  manage.py spane_schedules add report --cron '30 2 * * *' --timezone Europe/Berlin
  manage.py spane_schedules add sync --every 90s --input '{"full": false}'
  manage.py spane_schedules add launch --at 2030-01-31T09:00+01:00
  manage.py spane_schedules pause 7
  manage.py spane_schedules run 7
  manage.py spane_schedules backfill 7 --from 2030-01-01 --until 2030-01-08 --dry-run"""
    has_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        actions = ["list", "add", "pause", "resume", "run", "backfill", "delete"]
        parser.add_argument("action", choices=actions, nargs="?", default="list")
        parser.add_argument("what", nargs="?", help="A schedule's id; add: a workflow's.")
        parser.add_argument("--cron", help="add: five fields, or six with the seconds first.")
        parser.add_argument("--timezone", metavar="ZONE", help="add: of --cron; TIME_ZONE.")
        parser.add_argument("--every", type=duration, metavar="90s", help="add: an interval.")
        parser.add_argument("--at", type=_moment, metavar="TIME", help="add: one time.")
        parser.add_argument("--name", default="", help="add: how it is called.")
        parser.add_argument("--input", type=json_value, metavar="JSON", help="add: JSON, or @file.")
        parser.add_argument(
            "--misfire", choices=[policy.value for policy in Misfire], default=Misfire.ONCE.value,
            help="add: what becomes of missed times; once.",
        )  # fmt: skip
        parser.add_argument("--cap", type=int, default=100, help="add: of missed times; 100.")
        parser.add_argument("--tenant", default="", help="add: who owns it.")
        parser.add_argument("--from", dest="start", type=instant, help="backfill: from then on.")
        parser.add_argument("--until", dest="end", type=instant, help="backfill: before then; now.")
        parser.add_argument("--dry-run", action="store_true", help="backfill: only tell.")

    def ask(self, **options: Any) -> int | None:
        action = options["action"]
        if action == "list":
            self._list(options)
            return None
        if not options["what"]:
            raise WrongUse(f"{action} takes {'a workflow' if action == 'add' else 'an id'}.")
        verbs: dict[str, Callable[[dict[str, Any]], int | None]] = {
            "add": self._add,
            "pause": self._pause,
            "resume": self._resume,
            "run": self._run,
            "backfill": self._backfill,
            "delete": self._delete,
        }
        return verbs[action](options)

    def _list(self, options: dict[str, Any]) -> None:
        found = list(Schedule.objects.whole().order_by("id"))
        if options["json"]:
            self.write_json([_json(schedule) for schedule in found])
            return
        if not found:
            self.say("There are no schedules: manage.py spane_schedules add --help")
            return
        made = table("ID", "NAME", "WORKFLOW", "WHEN", "", "NEXT RUNS (UTC)")
        for schedule in found:
            add_row(
                made, schedule.pk, schedule.task.name, schedule.workflow.key, describe(schedule),
                _standing(schedule), "\n".join(map(_shown, _next(schedule))),
            )  # fmt: skip
        self.console.print(made)

    def _add(self, options: dict[str, Any]) -> None:
        timing = Timing(**{name: options[name] for name in ("cron", "every", "at", "timezone")})
        wanted = Wanted(
            workflow=options["what"],
            timing=timing,
            **{name: options[name] for name in ("name", "input", "misfire", "cap")},
        )
        made = schedules.create(wanted, now=now(), tenant=options["tenant"])
        self._tell(schedules.find(made.pk), options)

    def _pause(self, options: dict[str, Any]) -> None:
        schedules.pause(_key(options["what"]), now=now())
        self._tell(schedules.find(_key(options["what"])), options)

    def _resume(self, options: dict[str, Any]) -> None:
        schedules.resume(_key(options["what"]), now=now())
        self._tell(schedules.find(_key(options["what"])), options)

    def _run(self, options: dict[str, Any]) -> None:
        execution = run_now(schedules.find(_key(options["what"])), now=now())
        if options["json"]:
            self.write_json({"executionId": execution.pk})
        else:
            self.say(str(execution.pk))

    def _delete(self, options: dict[str, Any]) -> None:
        schedules.delete(_key(options["what"]), now=now())
        if not options["json"]:
            self.say(f"schedule {options['what']} is deleted; its executions stay")

    def _backfill(self, options: dict[str, Any]) -> int:
        at = now()
        start, end = options["start"], options["end"] or at
        if start is None:
            raise WrongUse("backfill takes --from, such as --from 2030-01-01 or --from 2d.")
        schedule = schedules.find(_key(options["what"]))
        plan = preview(schedule, start, end, now=at)
        rows = [] if options["dry_run"] else backfill(schedule.pk, start, end, now=at)
        refused = sum(bool(row.error) for row in rows)
        told = {
            "missing": len(plan.missing),
            "known": plan.known,
            "started": len(rows) - refused,
            "refused": refused,
        }
        if options["json"]:
            self.write_json(told)
        elif options["dry_run"]:
            self.say(f"{told['missing']} would be started, {plan.known} have been before")
        else:
            self.say(f"{told['started']} started, {refused} refused, {plan.known} had been before")
        return 1 if refused else 0

    def _tell(self, schedule: Schedule, options: dict[str, Any]) -> None:
        if options["json"]:
            self.write_json(_json(schedule))
            return
        self.say(f"schedule {schedule.pk}, {schedule.task.name}: {describe(schedule)}")
        for run in _next(schedule):
            self.say(f"  {_shown(run)} UTC")


def _moment(text: str) -> datetime:
    """Read one time in ISO 8601, which says its time zone."""
    if list(instant_faults({"at": text})):
        message = f"'{text}' is no time with a time zone: write 2030-01-31T12:00:00Z"
        raise argparse.ArgumentTypeError(message)
    return instant_of(text)


def _key(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        raise WrongUse(f"'{text}' is no id of a schedule: manage.py spane_schedules list")
    return int(text)


def _next(schedule: Schedule) -> list[datetime]:
    try:
        return next_runs(schedule, _RUNS, now=now())
    except InvalidTiming:
        return []


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _standing(schedule: Schedule) -> Text:
    if schedule.is_paused:
        return Text("paused", style="yellow")
    return Text(schedules.problem(schedule), style="red")


def _json(schedule: Schedule) -> dict[str, Any]:
    return {
        "id": schedule.pk,
        "name": schedule.task.name,
        "workflowId": schedule.workflow.key,
        "timing": describe(schedule),
        "enabled": not schedule.is_paused,
        "misfire": schedule.misfire,
        "problem": schedules.problem(schedule),
        "nextRuns": _next(schedule),
    }
