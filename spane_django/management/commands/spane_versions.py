"""`spane_versions`: list, compare, publish, go back, archive, and move executions."""

from __future__ import annotations

import argparse
from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser

from ...clock import now
from ...core.diff import diff
from ...engine import drafts
from ...engine.migrate import migrate, movable, preview
from ...engine.moves import Move
from ...engine.naming import named, of_workflow
from ...engine.start import UnknownWorkflow
from ...models import Execution, WorkflowVersion
from ..base import SpaneCommand, WrongUse
from ..bulk import Bulk
from ..selecting import add_tenant, ids_of, tenant_in
from ..versions import diff_lines, move_json, moves_table, version_json, versions_table

# Of many previewed moves people are shown the first; --json shows all.
_MOST_SHOWN = 20
_PREVIEWED_AT_ONCE = 200

# How many numbers of versions an action takes.
_NUMBERS = {
    "list": (0,),
    "diff": (2,),
    "publish": (0,),
    "discard": (0,),
    "activate": (1,),
    "archive": (0, 1),
    "migrate": (1,),
}


class Command(SpaneCommand):
    help = (
        "Lists the versions of a workflow, tells how two of them differ, publishes or discards "
        "its draft, makes an earlier version current again, archives one (without a number: the "
        "whole workflow), or moves executions to another version where what has begun maps. "
        "Exit code 1: nothing changed, or some executions were refused; of diff: they differ."
    )
    examples = """\
  manage.py spane_versions list onboarding
  manage.py spane_versions diff onboarding 2 3
  manage.py spane_versions activate onboarding 2 --reason "v3 sends mails twice"
  manage.py spane_versions archive onboarding 1
  manage.py spane_versions migrate onboarding 3 --dry-run         what would happen
  manage.py spane_versions migrate onboarding 3 --from 2 --rename mail=send-mail --yes"""
    has_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=list(_NUMBERS))
        parser.add_argument("workflow", help="The workflow's id.")
        parser.add_argument("numbers", nargs="*", type=int, metavar="N", help="Versions.")
        parser.add_argument(
            "--from", type=int, dest="from_number", metavar="N",
            help="migrate: only executions of this version; all other versions by default.",
        )  # fmt: skip
        parser.add_argument(
            "--execution", action="append", default=[], metavar="ID",
            help="migrate: only this execution; may be repeated, and may have failed.",
        )  # fmt: skip
        parser.add_argument(
            "--rename", action="append", type=_pair, default=[], metavar="OLD=NEW",
            help="migrate: a node that has another id there; may be repeated.",
        )  # fmt: skip
        add_tenant(parser)
        parser.add_argument("--reason", help="Why; it is kept in the audit trail.")
        parser.add_argument(
            "--dry-run", action="store_true", help="migrate: say what would happen, change nothing."
        )
        parser.add_argument("--yes", "-y", action="store_true", help="Do not ask.")

    def ask(self, **options: Any) -> int | None:
        action, numbers = options["action"], options["numbers"]
        if len(numbers) not in _NUMBERS[action]:
            wanted = " or ".join(map(str, _NUMBERS[action]))
            raise WrongUse(f"{action} takes {wanted} version numbers, not {len(numbers)}.")
        if action != "migrate" and (options["execution"] or options["rename"]):
            raise WrongUse("--execution and --rename are for migrate.")
        self._tenant = tenant_in(options)
        verb = getattr(self, f"_{action}")
        code: int | None = verb(options["workflow"], *numbers, options=options)
        return code

    def _list(self, key: str, *, options: dict[str, Any]) -> None:
        workflow = named(key, self._tenant).first()
        if workflow is None:
            raise UnknownWorkflow(f"There is no workflow '{key}': manage.py spane_list workflows")
        own = WorkflowVersion.objects.whole().filter(workflow=workflow).order_by("-number")
        versions = own.defer("definition").select_related("published_by")
        if options["json"]:
            self.write_json([version_json(version, workflow) for version in versions])
        else:
            self.console.print(versions_table(versions, workflow, now=now()))

    def _diff(self, key: str, one: int, other: int, *, options: dict[str, Any]) -> int:
        before = drafts.find_version(key, one, tenant=self._tenant)
        after = drafts.find_version(key, other, tenant=self._tenant)
        found = diff(before.definition, after.definition)
        if options["json"]:
            self.write_json({"from": one, "to": other, **found.as_json()})
            return int(bool(found))
        for line in diff_lines(found):
            self.say(line)
        if not found:
            self.say("they do not differ")
        return int(bool(found))

    def _publish(self, key: str, *, options: dict[str, Any]) -> None:
        self._tell(drafts.publish_draft(key, now=now(), tenant=self._tenant), "published", options)

    def _discard(self, key: str, *, options: dict[str, Any]) -> None:
        draft = drafts.find_draft(key, tenant=self._tenant)
        drafts.discard_draft(key, now=now(), tenant=self._tenant)
        self._tell(draft, "discarded", options)

    def _activate(self, key: str, number: int, *, options: dict[str, Any]) -> None:
        reason = options["reason"] or ""
        version = drafts.activate(key, number, now=now(), reason=reason, tenant=self._tenant)
        self._tell(version, "is current", options)

    def _archive(
        self, key: str, number: int | None = None, *, options: dict[str, Any]
    ) -> int | None:
        reason = options["reason"] or ""
        if number is not None:
            version = drafts.archive(key, number, now=now(), reason=reason, tenant=self._tenant)
            self._tell(version, "archived", options)
            return None
        if not self.confirm(f"Archive workflow {key} as a whole?", yes=options["yes"]):
            self.say("nothing changed")
            return 1
        drafts.archive_workflow(key, now=now(), reason=reason, tenant=self._tenant)
        if options["json"]:
            self.write_json({"workflowId": key, "status": "archived"})
        else:
            self.say(f"{key} archived")
        return None

    def _migrate(self, key: str, number: int, *, options: dict[str, Any]) -> int:
        drafts.find_version(key, number, tenant=self._tenant)
        rename = dict(options["rename"])
        keys = _executions(key, number, options, self._tenant)
        if options["dry_run"]:
            return self._preview(keys, number, rename, options)

        def apply(execution_id: UUID, **arguments: Any) -> Execution:
            return migrate(execution_id, number, rename=rename, **arguments)

        bulk = Bulk(verb="migrate", apply=apply, keys=keys, noun="execution")
        return bulk.run(self, options, ask=not options["execution"])

    def _preview(
        self, keys: list[UUID], number: int, rename: dict[str, str], options: dict[str, Any]
    ) -> int:
        moves: list[Move] = []
        for begin in range(0, len(keys), _PREVIEWED_AT_ONCE):
            moves += preview(keys[begin : begin + _PREVIEWED_AT_ONCE], number, rename=rename)
        possible = sum(move.is_possible for move in moves)
        if options["json"]:
            self.write_json([move_json(move) for move in moves])
        else:
            if moves:
                self.console.print(moves_table(moves[:_MOST_SHOWN]))
            if len(moves) > _MOST_SHOWN:
                self.say(f"… and {len(moves) - _MOST_SHOWN:,} more; --json lists them all")
            self.say(f"{possible:,} of {len(moves):,} executions can be moved to v{number}")
        return int(not possible)

    def _tell(self, version: WorkflowVersion, what: str, options: dict[str, Any]) -> None:
        if options["json"]:
            shown = {"workflowId": version.workflow.key, "version": version.number}
            self.write_json({**shown, "status": version.status})
        else:
            self.say(f"{version} {what}")


def _executions(key: str, number: int, options: dict[str, Any], tenant: str) -> list[UUID]:
    if not options["execution"]:
        movables = movable(key, number, from_number=options["from_number"], tenant=tenant)
        return list(movables.values_list("pk", flat=True))
    if options["from_number"] is not None:
        raise WrongUse("Give --execution or --from, not both.")
    keys = ids_of(options["execution"])
    found = Execution.objects.filter(of_workflow(key, tenant), pk__in=keys)
    own = set(found.values_list("pk", flat=True))
    foreign = [str(pk) for pk in keys if pk not in own]
    if foreign:
        raise WrongUse(f"{foreign[0]} is an execution of another workflow than {key}.")
    return keys


def _pair(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise argparse.ArgumentTypeError(f"'{text}' is no mapping: write old-id=new-id")
    return old, new
