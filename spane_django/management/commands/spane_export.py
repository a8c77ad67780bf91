"""`spane_export`: definitions as JSON or YAML, to keep, to review, or to bring to another site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...authoring.transfer import Form, exported, written
from ...engine.start import UnknownWorkflow
from ...models import WorkflowVersion
from ..base import SpaneCommand, WrongUse
from ..reading import form_of
from ..selecting import add_tenant, tenant_in


class Command(SpaneCommand):
    help = (
        "Writes the current definitions of workflows as a list, JSON or YAML, which spane_import, "
        "spane_validate and spane_publish read: to standard output, or with --output to a file, "
        "or with --directory to a file per workflow. Executions are not exported."
    )
    examples = """\
  manage.py spane_export --all > workflows.json
  manage.py spane_export onboarding billing --output some.json
  manage.py spane_export --all --directory workflows/     a file each, for version control
  manage.py spane_export --all --directory workflows/ --format yaml
  manage.py spane_export onboarding --draft"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("workflows", nargs="*", metavar="workflow", help="Ids of workflows.")
        parser.add_argument("--all", action="store_true", help="Every workflow that has one.")
        parser.add_argument(
            "--draft", action="store_true", help="Their drafts, not the current versions."
        )
        parser.add_argument(
            "--format", type=Form, choices=list(Form), metavar="json|yaml",
            help="How it is written; by default as the name of --output says, else JSON.",
        )  # fmt: skip
        add_tenant(parser)
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
        versions = WorkflowVersion.objects.whole().filter(workflow__tenant=tenant_in(options))
        found = exported(versions, keys, is_draft=options["draft"])
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
        directory, output = options["directory"], options["output"]
        form = options["format"] or (form_of(output) if output else Form.JSON)
        if directory:
            directory.mkdir(parents=True, exist_ok=True)
            for key, definition in found.items():
                _save(directory / f"{key}.{form}", definition, form)
        elif output:
            _save(output, list(found.values()), form)
        else:
            self.stdout.write(written(list(found.values()), form))
            return
        self.warn(f"{len(found):,} workflows written")


def _save(file: Path, document: Any, form: Form) -> None:
    file.write_text(written(document, form), encoding="utf-8")
