"""`spane_export`: definitions as JSON, to keep, to review, or to bring to another site."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import F

from ...engine.start import UnknownWorkflow
from ...models import WorkflowVersion
from ..base import SpaneCommand, WrongUse


class Command(SpaneCommand):
    help = (
        "Writes the current definitions of workflows as a JSON list, which spane_import, "
        "spane_validate and spane_publish read: to standard output, or with --output to a file, "
        "or with --directory to a file per workflow. Executions are not exported."
    )
    examples = """\
  manage.py spane_export --all > workflows.json
  manage.py spane_export onboarding billing --output some.json
  manage.py spane_export --all --directory workflows/     a file each, for version control
  manage.py spane_export onboarding --draft"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("workflows", nargs="*", metavar="workflow", help="Ids of workflows.")
        parser.add_argument("--all", action="store_true", help="Every workflow that has one.")
        parser.add_argument(
            "--draft", action="store_true", help="Their drafts, not the current versions."
        )
        parser.add_argument("--output", type=Path, metavar="FILE", help="Write to this file.")
        parser.add_argument(
            "--directory", type=Path, metavar="DIR", help="Write to DIR, a file for each workflow."
        )

    def ask(self, **options: Any) -> int | None:
        keys = options["workflows"]
        if bool(keys) == options["all"]:
            raise WrongUse("Give ids of workflows, or --all.")
        if options["output"] and options["directory"]:
            raise WrongUse("Give --output or --directory, not both.")
        found = _definitions(keys, is_draft=options["draft"])
        missing = [key for key in keys if key not in found]
        if missing:
            what = "draft" if options["draft"] else "current version"
            raise UnknownWorkflow(f"There is no {what} of: {', '.join(missing)}.")
        try:
            self._write(found, options)
        except OSError as error:
            raise CommandError(f"It could not be written: {error}") from error
        return None

    def _write(self, found: dict[str, Any], options: dict[str, Any]) -> None:
        if options["directory"]:
            options["directory"].mkdir(parents=True, exist_ok=True)
            for key, definition in found.items():
                _save(options["directory"] / f"{key}.json", definition)
        elif options["output"]:
            _save(options["output"], list(found.values()))
        else:
            self.write_json(list(found.values()))
            return
        self.warn(f"{len(found):,} workflows written")


def _definitions(keys: list[str], *, is_draft: bool) -> dict[str, Any]:
    """Return definitions by the ids of their workflows, in the order of these."""
    versions = WorkflowVersion.objects.whole().select_related("workflow").order_by("workflow__key")
    if keys:
        versions = versions.filter(workflow__key__in=keys)
    if is_draft:
        versions = versions.filter(status=WorkflowVersion.Status.DRAFT)
    else:
        versions = versions.filter(workflow__current_version_id=F("pk"))
    return {version.workflow.key: version.definition for version in versions}


def _save(file: Path, document: Any) -> None:
    text = json.dumps(document, indent=2, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")
