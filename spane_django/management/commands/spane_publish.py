"""`spane_publish`: make definitions the current versions of their workflows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from ...authoring.transfer import Source
from ...clock import now
from ...engine.db import alias, atomic
from ...engine.publish import publish
from ...models import WorkflowVersion
from ..base import SpaneCommand, WrongUse
from ..reading import project_sources, sources
from ..selecting import add_tenant, tenant_in
from .spane_validate import source_json, tell_source


class Command(SpaneCommand):
    help = (
        "Publishes definitions: JSON files, all JSON files below directories, '-' for standard "
        "input; or, with --all, the Python workflows of the installed apps. Unchanged ones stay "
        "as they are, changed ones get the next version; executions that run keep theirs. All "
        "or nothing: one fault, and nothing is published. Safe to call on every deployment."
    )
    examples = """\
  manage.py spane_publish --all                   on every deployment
  manage.py spane_publish order.json workflows/   a file, and a directory
  manage.py spane_publish --all --dry-run         what would change"""
    has_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("paths", nargs="*", metavar="path", help="Files, directories, or -.")
        parser.add_argument(
            "--all", action="store_true", help="The Python workflows of the installed apps."
        )
        parser.add_argument(
            "--any-type", action="store_true",
            help="Do not check node types and their configs, which this process may not know.",
        )  # fmt: skip
        add_tenant(parser)
        parser.add_argument(
            "--dry-run", action="store_true", help="Say what would happen, and change nothing."
        )

    def ask(self, **options: Any) -> int | None:
        if bool(options["paths"]) == options["all"]:
            raise WrongUse("Give files or directories, or --all for the project's own workflows.")
        check_nodes = not options["any_type"]
        found = (
            project_sources()
            if options["all"]
            else sources(options["paths"], check_nodes=check_nodes)
        )
        if any(source.faults for source in found):
            return self._refuse(found, options)
        at, tenant = now(), tenant_in(options)
        with atomic():
            published = [
                publish(item.raw, now=at, check_nodes=check_nodes, tenant=tenant) for item in found
            ]
            if options["dry_run"]:
                transaction.set_rollback(True, using=alias())
        self._tell(found, published, options, at=at)
        return 0

    def _refuse(self, found: list[Source], options: dict[str, Any]) -> int:
        faulty = [source for source in found if source.faults]
        if options["json"]:
            self.write_json([source_json(source) for source in faulty])
            return 1
        for source in faulty:
            tell_source(self, source)
        raise CommandError("Nothing was published: correct these faults.")

    def _tell(
        self,
        found: list[Source],
        published: list[WorkflowVersion],
        options: dict[str, Any],
        *,
        at: datetime,
    ) -> None:
        results = [
            {
                "source": source.name,
                "workflowId": source.workflow_id,
                "version": version.number,
                "isNew": version.published_at == at,
            }
            for source, version in zip(found, published, strict=True)
        ]
        if options["json"]:
            return self.write_json(results)
        for result in results:
            what = "published" if result["isNew"] else "unchanged"
            what = f"would be {what}" if options["dry_run"] else what
            self.say(f"{result['workflowId']} v{result['version']} {what}")
        if not results:
            self.say("no installed app has workflows in its workflows.py")
        return None
