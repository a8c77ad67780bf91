"""`spane_dlq`: the dead letters, nodes that failed for good: look, retry, discard."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ...clock import now
from ...engine.retry import UnknownDeadLetter, discard_dead_letter, retry_dead_letter
from ...models import DeadLetter
from ...models.payloads import Within
from ..base import SpaneCommand, WrongUse
from ..bulk import Bulk
from ..selecting import (
    add_dead_letter_filters,
    check_choice,
    dead_letters_of,
    has_dead_letter_filter,
)
from ..showing import ago, dead_letter_json, dead_letters_table

_VERBS = {"retry": retry_dead_letter, "discard": discard_dead_letter}


class Command(SpaneCommand):
    help = (
        "Lists, shows, retries or discards dead letters: nodes that failed for good. A retried "
        "one runs again with a fresh budget of attempts, and its execution goes on; a discarded "
        "one is dealt with, and its execution stays failed. More than ids is asked about first."
    )
    examples = """\
  manage.py spane_dlq list --since 24h
  manage.py spane_dlq show 17                        with input and traceback
  manage.py spane_dlq retry 17 18
  manage.py spane_dlq retry --workflow onboarding --node send-email --dry-run
  manage.py spane_dlq retry --error ConnectTimeout --yes
  manage.py spane_dlq discard --until 2025-01-31 --yes"""
    has_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["list", "show", *_VERBS])
        parser.add_argument("ids", nargs="*", type=int, metavar="id", help="Dead letters.")
        add_dead_letter_filters(parser)
        parser.add_argument(
            "--all", action="store_true", help="retry, discard: all open ones; list: also resolved."
        )
        parser.add_argument(
            "--limit", type=int, default=20, metavar="N", help="list: at most so many; 20. 0: all."
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="Say what would happen, and change nothing."
        )
        parser.add_argument("--reason", help="Why; it is kept with what was done.")
        parser.add_argument("--yes", "-y", action="store_true", help="Do not ask.")

    def ask(self, **options: Any) -> int | None:
        match options["action"]:
            case "list":
                return self._list(options)
            case "show":
                return self._show(options)
        return self._apply(options)

    def _apply(self, options: dict[str, Any]) -> int:
        verb, ids = options["action"], options["ids"]
        has_filter = has_dead_letter_filter(options)
        check_choice(ids=ids, has_filter=has_filter, takes_all=options["all"])
        chosen = dead_letters_of(options).open().order_by("id")
        keys = list(dict.fromkeys(ids)) or list(chosen.values_list("pk", flat=True))

        def apply(key: int, **arguments: Any) -> DeadLetter:
            return _VERBS[verb](key, **arguments)

        return Bulk(verb=verb, apply=apply, keys=keys, noun="dead letter").run(
            self, options, ask=not ids
        )

    def _list(self, options: dict[str, Any]) -> int | None:
        if options["ids"]:
            raise WrongUse("list takes filters; show takes ids.")
        limit = options["limit"]
        chosen = dead_letters_of(options).defer("input", "traceback")
        chosen = chosen if options["all"] else chosen.open()
        total = chosen.count()
        shown = list(chosen[:limit] if limit > 0 else chosen)
        if options["json"]:
            self.write_json([dead_letter_json(letter) for letter in shown])
        elif not shown:
            self.say("no dead letters")
        else:
            self.console.print(dead_letters_table(shown, now=now()))
            if total > len(shown):
                self.warn(f"{total - len(shown):,} more: --limit 0 shows all")
        return None

    def _show(self, options: dict[str, Any]) -> int | None:
        if not options["ids"]:
            raise WrongUse("show takes one or more ids: manage.py spane_dlq list shows them.")
        letters = DeadLetter.objects.select_related("execution__workflow").in_bulk(options["ids"])
        missing = [str(pk) for pk in options["ids"] if pk not in letters]
        if missing:
            raise UnknownDeadLetter(f"There is no dead letter {', '.join(missing)}.")
        if options["json"]:
            self.write_json([_in_full(letters[pk]) for pk in options["ids"]])
            return None
        for pk in options["ids"]:
            self._tell(letters[pk])
        return None

    def _tell(self, letter: DeadLetter) -> None:
        self.say(
            f"dead letter {letter.pk}: node '{letter.node_id}' ({letter.node_type}) of "
            f"{letter.execution.workflow.key}"
        )
        self.say(f"execution {letter.execution_id}")
        self.say(f"{letter.attempts} attempts, {ago(letter.created_at, now=now())}")
        if letter.resolution:
            self.say(f"{letter.resolution} {ago(letter.resolved_at, now=now())}")
        self.say(f"\n{letter.error_type}: {letter.error_message}")
        if letter.traceback:
            self.say(f"\n{letter.traceback.rstrip()}")
        self.say("\ninput")
        self.write_json(Within()(letter.input))
        if not letter.resolution:
            self.say(f"\nrun it again: manage.py spane_dlq retry {letter.pk}")


def _in_full(letter: DeadLetter) -> dict[str, Any]:
    data = Within()(letter.input)
    return {**dead_letter_json(letter), "input": data, "traceback": letter.traceback}
