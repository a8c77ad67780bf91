"""What all commands have in common: help that teaches, output for people or programs, exit codes.

Exit codes: 0 it is done, or all is well; 1 a problem was found, or nothing could be changed;
2 it was called the wrong way.  People get tables and sentences; ``--json`` gives one JSON
document on standard output and nothing else there.  Errors go to standard error and say what
to do.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import textwrap
from typing import Any

from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    DjangoHelpFormatter,
)
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.migrations.executor import MigrationExecutor
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ..core.errors import Faulty, SpaneError
from ..engine.db import alias

# Wide enough for an id beside an error; a file or a pipe has no width of its own.
_WIDTH_WITHOUT_TERMINAL = 180

_HELP_WIDTH = 80

_COLOURS = {
    "pending": "cyan",
    "ready": "cyan",
    "running": "blue",
    "waiting": "magenta",
    "paused": "yellow",
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
    "skipped": "bright_black",
    "error": "red",
    "warning": "yellow",
    "ok": "green",
}


class WrongUse(CommandError):
    """The command was called the wrong way: exit code 2."""

    def __init__(self, message: str) -> None:
        super().__init__(message, returncode=2)


class _Help(argparse.RawDescriptionHelpFormatter, DjangoHelpFormatter):
    """Django's order of options, and examples that keep their lines."""


class SpaneCommand(BaseCommand):
    """A command of this package.

    A subclass defines ``help``, ``examples`` (lines of a shell), ``add_arguments`` and `ask`.
    """

    # Faults of workflows or settings must not keep an operator from looking and acting.
    requires_system_checks: Any = []
    examples = ""
    has_json = False

    console: Console

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs.setdefault("formatter_class", _Help)
        kwargs.setdefault("epilog", f"examples:\n{self.examples}" if self.examples else None)
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.description = textwrap.fill(self.help, _HELP_WIDTH)
        if self.has_json:
            parser.add_argument("--json", action="store_true", help="Print one JSON document.")
        return parser

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.ending = ""
        self.console = _console(self.stdout, options)
        try:
            code = self.ask(**options)
        except Faulty as error:
            raise CommandError(
                "\n  ".join([error.headline + ":", *map(str, error.faults)])
            ) from error
        except SpaneError as error:
            raise CommandError(str(error)) from error
        except Error as error:
            raise CommandError(_database_fault(error)) from error
        except KeyboardInterrupt:
            self.warn("interrupted: what was done is done")
            sys.exit(130)
        except BrokenPipeError:
            # Whoever read has seen enough; what is still buffered has nowhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return
        if code:
            sys.exit(code)

    def ask(self, **options: Any) -> int | None:
        """Do it; return the exit code, None meaning 0."""
        raise NotImplementedError

    def say(self, *parts: str | Text) -> None:
        """Write a line for people."""
        self.console.print(*parts)

    def warn(self, line: str) -> None:
        """Write a line beside the output, to standard error."""
        self.stderr.write(line)

    def write_json(self, document: Any) -> None:
        """Write the one JSON document."""
        text = json.dumps(document, indent=2, ensure_ascii=False, cls=DjangoJSONEncoder)
        self.stdout.write(text + "\n")

    def progress(self) -> Progress:
        """Return a bar for what takes long; without a terminal it stays invisible."""
        return Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeRemainingColumn(), console=Console(stderr=True),
            disable=not sys.stderr.isatty(), transient=True,
        )  # fmt: skip

    def confirm(self, question: str, *, yes: bool) -> bool:
        """Ask before something that changes much; ``--yes`` is the answer of scripts.

        Raises:
            WrongUse: nobody is there to answer.
        """
        if yes:
            return True
        if not sys.stdin.isatty():
            raise WrongUse(f"{question} There is nobody to ask: add --yes.")
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")

    def log_to_terminal(self, verbosity: int) -> None:
        """Show the package's log on standard error, unless the project shows it already."""
        logger = logging.getLogger("spane_django")
        if logger.hasHandlers():
            return
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
        levels = {0: logging.ERROR, 1: logging.INFO}
        logger.setLevel(levels.get(verbosity, logging.DEBUG))


def table(*columns: str) -> Table:
    """Return an empty table for people."""
    made = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def add_row(made: Table, *cells: object) -> None:
    """Add a row whose texts are shown as they are, whatever brackets they hold."""
    made.add_row(*(cell if isinstance(cell, Text) else Text(_said(cell)) for cell in cells))


def coloured(status: str) -> Text:
    """Return a status in its colour."""
    return Text(status, style=_COLOURS.get(status, ""))


def unapplied_migrations() -> list[str]:
    """Return the migrations that the database still lacks, as ``app.name``."""
    executor = MigrationExecutor(connections[alias()])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def require_migrations() -> None:
    """Refuse to go on with a database that lacks tables.

    Raises:
        CommandError: it does.
    """
    missing = unapplied_migrations()
    if missing:
        raise CommandError(
            f"{len(missing)} migrations have not been applied ({', '.join(missing[:3])}"
            f"{', …' if len(missing) > 3 else ''}).  Run: manage.py migrate{_database_option()}"
        )


def _database_option() -> str:
    return "" if alias() == DEFAULT_DB_ALIAS else f" --database {alias()}"


def _database_fault(error: Error) -> str:
    text = str(error)
    if "no such table" in text or "does not exist" in text or "no such column" in text:
        return f"The database lacks a table or a column: {text}\nRun: manage.py migrate"
    return f"The database does not answer as it should: {text}\nRun: manage.py spane_doctor"


def _console(stream: Any, options: dict[str, Any]) -> Console:
    is_terminal = bool(stream.isatty())
    return Console(
        file=stream,
        width=None if is_terminal else _WIDTH_WITHOUT_TERMINAL,
        no_color=options.get("no_color") or None,
        force_terminal=True if options.get("force_color") else None,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
    )


def _said(cell: object) -> str:
    return "" if cell is None else str(cell)
