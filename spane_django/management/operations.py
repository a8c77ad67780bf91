"""Driving a bulk operation from a terminal: count, ask, take step after step, tell what happened.

The operation is a row (`engine.bulk`).  Interrupted, what is done stays done; ``--continue`` goes
on where it stopped, and so does the scheduler after a minute.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from rich.progress import Progress, TaskID

from ..clock import now
from ..engine.bulk import advance, begin, find_operation, plan
from ..models import BulkOperation
from .base import SpaneCommand, WrongUse, add_row, table

# How many of the refused rows people are shown.
_MOST_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A verb for executions that a filter chooses; see `engine.bulk`."""

    verb: str
    selection: dict[str, Any]
    arguments: dict[str, Any] = field(default_factory=dict)


def run_wish(command: SpaneCommand, wish: Wish, options: dict[str, Any]) -> int:
    """Count, ask and do it; return the exit code: 0 if all that was chosen has changed.

    Args:
        options: Of the command: ``dry_run``, ``yes``, ``reason``, ``json``.
    """
    count = plan(wish.verb, wish.selection, wish.arguments)
    if options["dry_run"]:
        return _tell_plan(command, wish.verb, count, as_json=options["json"])
    question = f"{wish.verb.capitalize()} {_executions(count)}?"
    if count and not command.confirm(question, yes=options["yes"]):
        command.say("nothing changed")
        return 1
    reason = options["reason"] or ""
    operation = begin(wish.verb, wish.selection, wish.arguments, now=now(), reason=reason)
    return drive(command, operation, as_json=options["json"])


def continued(command: SpaneCommand, verb: str, given: str, *, as_json: bool) -> int:
    """Go on with an operation that was interrupted.

    Raises:
        WrongUse: it is another verb's, or there can be none of this id.
        UnknownOperation: there is none.
    """
    try:
        operation = find_operation(UUID(given))
    except ValueError:
        raise WrongUse(f"'{given}' is no id of a bulk operation.") from None
    if operation.verb != verb:
        raise WrongUse(f"Operation {given} is to {operation.verb}, not to {verb}.")
    return drive(command, operation, as_json=as_json)


def drive(command: SpaneCommand, operation: BulkOperation, *, as_json: bool) -> int:
    """Take steps until nothing is left, and tell what was done."""
    try:
        with command.progress() as progress:
            task = progress.add_task(operation.verb, total=operation.total)
            operation = _steps(operation, progress, task)
    except KeyboardInterrupt:
        again = f"manage.py spane_control {operation.verb} --continue {operation.pk}"
        command.warn(f"go on with: {again}")
        raise
    _tell(command, operation, as_json=as_json)
    return int(bool(operation.refused) or not operation.changed)


def _steps(operation: BulkOperation, progress: Progress, task: TaskID) -> BulkOperation:
    while operation.finished_at is None:
        progress.update(task, completed=operation.changed + operation.refused)
        operation = advance(operation.pk, now=now())
    return operation


def _tell_plan(command: SpaneCommand, verb: str, count: int, *, as_json: bool) -> int:
    if as_json:
        command.write_json({"verb": verb, "dryRun": True, "chosen": count})
    else:
        command.say(f"would {verb} {_executions(count)}")
    return int(not count)


def _tell(command: SpaneCommand, operation: BulkOperation, *, as_json: bool) -> None:
    refusals = operation.refusals.items()
    if as_json:
        command.write_json(
            {
                "verb": operation.verb,
                "operation": operation.pk,
                "chosen": operation.total,
                "changedCount": operation.changed,
                "refusedCount": operation.refused,
                "refused": [{"id": key, "why": why} for key, why in refusals],
            }
        )
        return
    if not operation.total:
        command.say(f"nothing to {operation.verb}: no execution is chosen")
        return
    done, total = operation.changed, _executions(operation.total)
    command.say(f"{operation.verb}: {done:,} of {total}")
    if operation.refused:
        made = table("refused", "why")
        for key, why in list(refusals)[:_MOST_SHOWN]:
            add_row(made, key, why)
        command.console.print(made)
        left = operation.refused - min(len(refusals), _MOST_SHOWN)
        if left:
            command.say(f"… and {left:,} more")


def _executions(count: int) -> str:
    return f"{count:,} execution{'' if count == 1 else 's'}"
