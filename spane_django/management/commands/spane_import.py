"""`spane_import`: definitions that were exported become drafts or current versions here."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...authoring.transfer import Source, take
from ...clock import now
from ...models import WorkflowVersion
from ..base import SpaneCommand
from ..reading import sources
from ..selecting import add_tenant, tenant_in
from .spane_validate import source_json, tell_source


class Command(SpaneCommand):
    help = (
        "Reads what spane_export has written (files, all JSON and YAML files below directories, "
        "'-' for standard input) and publishes it, all or some workflows, or saves it as drafts, "
        "which may have faults. All or nothing: if one cannot be taken, none is."
    )
    examples = """\
  manage.py spane_import workflows.json
  manage.py spane_import workflows.json --only onboarding --only billing
  manage.py spane_import workflows/ --draft            to look at, and publish later
  ssh old manage.py spane_export --all | manage.py spane_import - --dry-run"""
    has_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("paths", nargs="+", metavar="path", help="Files, directories, or -.")
        parser.add_argument(
            "--only", action="append", metavar="ID", help="Only this workflow; may be repeated."
        )
        parser.add_argument("--draft", action="store_true", help="Save as drafts.")
        parser.add_argument(
            "--any-type", action="store_true",
            help="Do not check node types and their configs, which this process may not know.",
        )  # fmt: skip
        add_tenant(parser)
        parser.add_argument(
            "--dry-run", action="store_true", help="Say what would happen, and change nothing."
        )

    def ask(self, **options: Any) -> int | None:
        check_nodes = not options["any_type"]
        found = sources(options["paths"], check_nodes=check_nodes)
        if options["only"]:
            missing = set(options["only"]) - {source.workflow_id for source in found}
            if missing:
                raise CommandError(f"It is in none of them: {', '.join(sorted(missing))}.")
            found = [source for source in found if source.workflow_id in options["only"]]
        as_drafts = options["draft"]
        refused = [source for source in found if source.is_refused(as_drafts=as_drafts)]
        if refused:
            return self._refuse(refused, options)
        versions = take(
            found,
            now=now(),
            as_drafts=as_drafts,
            check_nodes=check_nodes,
            dry_run=options["dry_run"],
            tenant=tenant_in(options),
        )
        self._tell(found, versions, options)
        return 0

    def _refuse(self, refused: list[Source], options: dict[str, Any]) -> int:
        if options["json"]:
            self.write_json([source_json(source) for source in refused])
            return 1
        for source in refused:
            tell_source(self, source)
        raise CommandError("Nothing was imported: correct these faults, or use --draft.")

    def _tell(
        self, found: list[Source], versions: list[WorkflowVersion], options: dict[str, Any]
    ) -> None:
        if options["json"]:
            results = [
                {**source_json(source), "version": version.number, "status": version.status}
                for source, version in zip(found, versions, strict=True)
            ]
            return self.write_json(results)
        would = "would be " if options["dry_run"] else ""
        for source, version in zip(found, versions, strict=True):
            faults = f", {len(source.faults)} faults" if source.faults else ""
            self.say(f"{version} {would}{version.status}{faults}")
        return None
