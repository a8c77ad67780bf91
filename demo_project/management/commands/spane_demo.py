"""`spane_demo`: the whole thing at work in one terminal, from a fresh checkout.

The outcome of the executions decides the exit code: 0 if every one ended as it was meant to, be
it in the dead letters.  What the site's processes say goes to a file, so that the terminal is
free for what happens.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import webbrowser
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandParser
from django.db import connection

from demo_project import login, traffic
from demo_project.outcome import Outcome
from demo_project.screen import Screen, table
from demo_project.traffic import Scene
from spane_django import workflows
from spane_django.dispatch.site import PortTaken, Site, SiteOptions
from spane_django.management.base import SpaneCommand, WrongUse

_PORTS = range(8000, 8020)
_PAID = '{"method": "cash"}'
_NAMED = 10  # unexpected executions that are named


class Command(SpaneCommand):
    help = (
        "Runs the demo: migrates, publishes the demo's workflows, starts a web server, a worker "
        "and the scheduler (and a Redis if none answers), starts real executions and shows how "
        "they go. DATABASE_URL and REDIS_URL choose servers. Ctrl-C stops everything."
    )
    examples = """\
  manage.py spane_demo                              stays up, to be looked at in the admin
  manage.py spane_demo --executions 200 --exit      for scripts: a line of JSON, an exit code
  manage.py spane_demo --workers 0                  the workers run elsewhere"""
    requires_system_checks = "__all__"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--executions", type=int, default=200, metavar="N", help="200.")
        parser.add_argument(
            "--workers", type=int, default=1, metavar="N",
            help="How many are started; 1. 0: those that run elsewhere do the work.",
        )  # fmt: skip
        parser.add_argument(
            "--timeout", type=float, default=300.0, metavar="SECONDS",
            help="How long the executions may take; 300.",
        )  # fmt: skip
        parser.add_argument(
            "--exit", action="store_true",
            help="Stop when they have ended; the last line is their outcome as JSON.",
        )  # fmt: skip
        parser.add_argument(
            "--no-browser", action="store_true", help="Do not open the admin in a browser."
        )

    def ask(self, **options: Any) -> int | None:
        if options["executions"] < 1 or options["workers"] < 0:
            raise WrongUse("--executions takes 1 or more, --workers 0 or more.")
        self._prepare()
        site_options = SiteOptions(port=_free_port(), workers=options["workers"])
        log = Path(settings.DATA_DIR) / "demo.log"
        with log.open("w") as stream, Site(site_options, stream=stream) as site:
            self.say(f"Started; what the processes say is in {log}")
            site.wait_until_ready()
            self._welcome(site_options.url, options)
            started = traffic.start(options["executions"])
            outcome = self._watch(site, started, seconds=options["timeout"])
            succeeded = self._conclude(started, outcome)
            if not options["exit"]:
                self._leave_open()
                self.say(f"{site_options.url}admin/ stays up: Ctrl-C stops everything")
                site.run()
        if options["exit"]:
            self.stdout.write(json.dumps(_summary(started, outcome)) + "\n")
        return 0 if succeeded else 1

    def _prepare(self) -> None:
        self.say(f"Database: {connection.display_name} ({connection.settings_dict['NAME']})")
        call_command("migrate", interactive=False, verbosity=0)
        for workflow in workflows().values():
            version = workflow.publish()
            self.say(f"Published: {workflow.name} (version {version.number})")

    def _welcome(self, url: str, options: Mapping[str, Any]) -> None:
        password = login.admin_login()
        who = f"log in as {login.NAME} / {password}" if password else "log in with your own user"
        self.say(f"Admin: {url}admin/ ({who})")
        wants_browser = not (options["exit"] or options["no_browser"])
        if wants_browser and sys.stdout.isatty() and _has_display():
            webbrowser.open(f"{url}admin/")

    def _leave_open(self) -> None:
        waiting = traffic.leave_open()
        self.say(f"{len(waiting)} more orders wait: for a yes or a no, and for a payment:")
        self.say(f"  manage.py spane_approvals list --user {login.NAME}")
        self.say(f"  manage.py spane_signal payment --key {traffic.UNPAID} --payload '{_PAID}'")

    def _watch(self, site: Site, started: Mapping[UUID, Scene], *, seconds: float) -> Outcome:
        deadline = time.monotonic() + seconds
        with Screen(started, self.console) as screen:
            site.run(until=lambda: screen.look() or time.monotonic() > deadline)
        return screen.outcome

    def _conclude(self, started: Mapping[UUID, Scene], outcome: Outcome) -> bool:
        """Say how it went, and return whether everything ended as it was meant to."""
        self.console.print(table(started, outcome))
        self.say(
            f"{outcome.ended} of {len(started)} executions ended, {outcome.nodes} nodes ran in "
            f"{outcome.seconds:.1f} s: {outcome.nodes_per_second:,.0f} nodes/s"
        )
        for execution_id in outcome.unexpected[:_NAMED]:
            self.say(f"Not as expected: manage.py spane_show {execution_id}")
        unfinished = len(started) - outcome.ended
        if unfinished:
            self.say(f"{unfinished} executions had not ended when the demo was stopped")
        return not unfinished and not outcome.unexpected


def _summary(started: Mapping[UUID, Scene], outcome: Outcome) -> dict[str, float]:
    totals = outcome.totals
    return {
        "started": len(started),
        "completed": totals["completed"],
        "failed": totals["failed"],
        "nodes": outcome.nodes,
        "seconds": round(outcome.seconds, 3),
        "nodes_per_second": round(outcome.nodes_per_second, 1),
    }


def _free_port() -> int:
    """Return the first of the preferred ports that nobody listens on, else any free one."""
    for port in (*_PORTS, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            found: int = probe.getsockname()[1]
            return found
    raise PortTaken("there is no free port: stop something that listens")


def _has_display() -> bool:
    # Without one, Python would open a browser for text in this very terminal.
    return sys.platform == "darwin" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())
