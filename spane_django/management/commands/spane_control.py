"""`spane_control`: what operators may do to executions, one or thousands."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser

from ...engine.bulk_verbs import VERBS
from ...engine.rerun import From, In
from ...models import Execution
from ..base import SpaneCommand, WrongUse
from ..bulk import Bulk
from ..operations import Wish, continued, run_wish
from ..parsing import execution_of, json_value
from ..selecting import add_execution_filters, check_choice, has_execution_filter, ids_of

# The names of arguments, with the options that give them.
_OPTIONS = {
    "nodeId": "node", "output": "output", "nextNodes": "next", "queue": "queue",
    "priority": "priority", "from": "start", "version": "version_in", "input": "input",
}  # fmt: skip
_FLAGS = {"start": "--from", "version_in": "--in"}
# null is a value.
_NOT_GIVEN = object()


class Command(SpaneCommand):
    help = (
        "Pauses, resumes, cancels, replays (starts anew with the same input), retries (runs again "
        "what failed in) or reruns (from what failed, the start or a node) executions; moves them "
        "to another queue or priority (reassign); and of one node of theirs: makes it due "
        "(retry-now), goes on without it (skip), or completes it with an output. It does so to "
        "those of the ids, or to all that the filters choose. Filters choose only what the verb "
        "can change. More than ids is asked about first; --dry-run says what would happen. Exit "
        "code 1: nothing changed, or some were refused."
    )
    examples = """\
  manage.py spane_control cancel 0199c0de7a11 --reason "wrong address"
  manage.py spane_control pause --workflow onboarding --dry-run
  manage.py spane_control retry --workflow onboarding --since 24h --yes
  manage.py spane_control replay --status failed --since 2025-01-31 --yes --json
  manage.py spane_control complete 0199c0de7a11 --node pay --output '{"paid": true}'
  manage.py spane_control skip --node send-email --error SMTPException --yes
  manage.py spane_control rerun 0199c0de7a11 --from ship --input @order.json
  manage.py spane_control rerun --workflow onboarding --in latest --yes
  manage.py spane_control reassign --workflow reports --queue slow --priority 1 --yes
  manage.py spane_control cancel --continue 0199c0de-7a11-7e5f-8a3c-1f2e3d4c5b6a"""
    has_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", choices=list(VERBS))
        parser.add_argument("ids", nargs="*", metavar="id", help="Executions, or filters instead.")
        add_execution_filters(parser)
        parser.add_argument(
            "--error", metavar="TYPE", help="Only executions of which a node met this error type."
        )
        parser.add_argument("--all", action="store_true", help="All that the verb can change.")
        _add_verb_options(parser)
        parser.add_argument("--reason", help="Why; it is kept with what was done.")
        parser.add_argument(
            "--dry-run", action="store_true", help="Say what would happen, and change nothing."
        )
        parser.add_argument(
            "--continue", dest="operation", metavar="ID",
            help="Go on with a bulk operation that was interrupted.",
        )  # fmt: skip
        parser.add_argument("--yes", "-y", action="store_true", help="Do not ask.")

    def ask(self, **options: Any) -> int | None:
        verb, ids = options["verb"], options["ids"]
        has_filter = has_execution_filter(options) or bool(options["error"])
        if options["operation"]:
            if ids or has_filter or options["all"]:
                raise WrongUse("--continue takes neither ids nor filters: the operation has them.")
            return continued(self, verb, options["operation"], as_json=options["json"])
        check_choice(ids=ids, has_filter=has_filter, takes_all=options["all"])
        arguments = _arguments(verb, options)
        if not ids:
            wish = Wish(verb=verb, selection=_selection(options), arguments=arguments)
            return run_wish(self, wish, options)

        def apply(key: UUID, **who: Any) -> Execution:
            made = VERBS[verb].apply(key, arguments, **who)
            return made if isinstance(made, Execution) else Execution(pk=key)

        bulk = Bulk(verb=verb, apply=apply, keys=ids_of(ids), noun="execution")
        return bulk.run(self, options, ask=False)


def _add_verb_options(parser: CommandParser) -> None:
    given = parser.add_argument_group("what the verbs take")
    given.add_argument("--node", help="retry-now, skip, complete, reassign: this node of them.")
    given.add_argument(
        "--from", dest="start", metavar="WHERE", help="rerun: failed (default), start, or a node."
    )
    given.add_argument(
        "--in", dest="version_in", choices=list(In),
        help="rerun: in the same version (default), or as a new execution in the latest.",
    )  # fmt: skip
    given.add_argument(
        "--input", type=json_value, metavar="JSON", default=_NOT_GIVEN,
        help="rerun: another input, of the execution or of the node; @file reads a file.",
    )  # fmt: skip
    given.add_argument(
        "--output", type=json_value, metavar="JSON", default=_NOT_GIVEN,
        help="complete, rerun: what the node hands on.",
    )  # fmt: skip
    given.add_argument(
        "--next", action="append", metavar="NODE",
        help="complete, rerun: a child that the node chooses; may be repeated.",
    )  # fmt: skip
    given.add_argument("--queue", help="reassign: to this queue.")
    given.add_argument("--priority", type=int, help="reassign: to this priority, 1 to 10.")


def _arguments(verb: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return what the verb takes, in the names of the wire.

    Raises:
        WrongUse: an option is another verb's, or one is missing.
    """
    given = {
        name: options[option] for name, option in _OPTIONS.items() if _is_given(options, option)
    }
    for name in given:
        if name not in VERBS[verb].arguments or (verb == "rerun" and name == "nodeId"):
            raise WrongUse(f"{_flag(name)} is not for {verb}.")
    for name in VERBS[verb].required:
        if name not in given:
            raise WrongUse(f"{verb} needs {_flag(name)}.")
    if "from" in given and given["from"] not in (From.FAILED, From.START):
        given |= {"from": From.NODE.value, "nodeId": given["from"]}
    return given


def _is_given(options: dict[str, Any], option: str) -> bool:
    absent = _NOT_GIVEN if option in ("input", "output") else None
    return options[option] is not absent


def _flag(name: str) -> str:
    option = _OPTIONS[name]
    return _FLAGS.get(option, f"--{option}")


def _selection(options: dict[str, Any]) -> dict[str, Any]:
    """Return the filters as a selection; see `engine.selection`."""
    since, until, parent = options["since"], options["until"], options["parent"]
    filters = {
        "workflow": options["workflow"],
        "status": options["status"],
        "createdSince": since and since.isoformat(),
        "createdUntil": until and until.isoformat(),
        "idempotencyKey": options["key"],
        "parent": parent and str(execution_of(parent).pk),
        "errorType": options["error"],
        "all": options["all"],
    }
    return {name: value for name, value in filters.items() if value}
