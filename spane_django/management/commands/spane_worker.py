"""`spane_worker`: run nodes without Redis and without RQ, by polling the database."""

from __future__ import annotations

from threading import Event
from typing import Any

from django.core.management.base import CommandParser

from ...conf import settings
from ...dispatch import poll
from ..base import SpaneCommand, WrongUse, require_migrations
from ..stopping import flag_signals


class Command(SpaneCommand):
    help = (
        "Runs the nodes of a queue by polling the database, for machines without Redis. With "
        "Redis, `manage.py rqworker QUEUE` is the better worker: it asks the database nothing "
        "while it is idle, and a node that crashes Python takes down a forked process only."
    )
    examples = """\
  manage.py spane_worker                 the default queue, a look every 0.5 s
  manage.py spane_worker gpu --every 2   the queue 'gpu', a look every 2 s"""
    requires_system_checks = "__all__"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("queue", nargs="?", help="The queue; by default SPANE['QUEUE'].")
        parser.add_argument(
            "--every", type=float, default=poll.SECONDS, metavar="SECONDS",
            help=f"Between two looks while there is no work; {poll.SECONDS}.",
        )  # fmt: skip

    def ask(self, **options: Any) -> int | None:
        if options["every"] <= 0:
            raise WrongUse(f"--every takes seconds above 0, not {options['every']:g}.")
        self.log_to_terminal(options["verbosity"])
        require_migrations()
        queue = options["queue"] or settings.QUEUE
        stop = Event()
        with flag_signals(stop):
            self.say(f"worker polls queue '{queue}' every {options['every']:g} s")
            is_well = poll.work(queue, should_stop=stop.is_set, seconds=options["every"])
        if is_well:
            self.say("worker stopped")
            return 0
        self.warn("a node that outran its timeout cannot be stopped: start this worker again")
        return 1
