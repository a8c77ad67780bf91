"""`spane_validate`: every fault of definitions, before anybody publishes them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ...authoring.transfer import Source
from ...core.schema import Fault
from ..base import SpaneCommand, coloured
from ..reading import project_sources, sources


class Command(SpaneCommand):
    help = (
        "Checks definitions as publishing does, and lists every fault with its path: JSON "
        "or YAML files, all of those below directories, '-' for standard input; without any, the "
        "Python workflows of the installed apps. Writes nothing. Exit code 1: there are faults."
    )
    examples = """\
  manage.py spane_validate                          the project's Python workflows
  manage.py spane_validate order.json workflows/    a file, and a directory
  curl -s … | manage.py spane_validate -            standard input
  manage.py spane_validate order.json --any-type    node types that only workers know"""
    has_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("paths", nargs="*", metavar="path", help="Files, directories, or -.")
        parser.add_argument(
            "--any-type", action="store_true",
            help="Do not check node types and their configs, which this process may not know.",
        )  # fmt: skip

    def ask(self, **options: Any) -> int | None:
        paths = options["paths"]
        found = sources(paths, check_nodes=not options["any_type"]) if paths else project_sources()
        if options["json"]:
            self.write_json([source_json(source) for source in found])
        else:
            self._tell(found)
        return int(any(source.faults for source in found))

    def _tell(self, found: list[Source]) -> None:
        for source in found:
            tell_source(self, source)
        faulty = sum(bool(source.faults) for source in found)
        if not found:
            self.say("no installed app has workflows in its workflows.py")
        else:
            self.say(f"{len(found)} checked, {faulty or 'none'} with faults")


def source_json(source: Source) -> dict[str, Any]:
    """Return a checked definition: where it is, whose it is and what is wrong with it."""
    return {
        "source": source.name,
        "workflowId": source.workflow_id,
        "faults": [_fault_json(fault) for fault in source.faults],
        "warnings": [_fault_json(fault) for fault in source.warnings],
    }


def tell_source(command: SpaneCommand, source: Source) -> None:
    """Show a checked definition and its faults to people."""
    command.say(coloured("error" if source.faults else "ok"), source.name)
    for fault in source.faults:
        command.say(f"    {fault}")
    for warning in source.warnings:
        command.say("    ", coloured("warning"), f"{warning}")


def _fault_json(fault: Fault) -> dict[str, str]:
    return {"path": fault.path, "code": fault.code, "message": fault.message}
