"""`spane_scheduler`: fire timers, wake queues, take back the nodes of dead workers."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import CommandParser
from django.db import OperationalError, connections

from ...dispatch.health import listeners
from ...dispatch.housekeeping import Housekeeping
from ...dispatch.scheduler import ROLE, Scheduler
from ...models import Lease
from ...observability.alerts import Alerts
from ...observability.rollups import Rollups
from ...triggers.clockwork import Clockwork
from ...triggers.webhook_housekeeping import DeliveryHousekeeping
from ..base import SpaneCommand, require_migrations
from ..stopping import stop_signals

_PAUSE_SECONDS = 2.0


class Command(SpaneCommand):
    help = (
        "Runs the scheduler: schedules start workflows, delayed starts, deadlines and retries "
        "happen in time, the nodes of dead workers run again, and what has been kept long enough "
        "is deleted. Run one or several; a lease in the database elects the one that leads, and "
        "another takes over within 15 seconds. Without any, schedules start nothing, and what "
        "else time brings about happens only while workers are busy."
    )
    examples = """\
  manage.py spane_scheduler          run until Ctrl-C or SIGTERM
  manage.py spane_scheduler --once   do everything that is due once, for cron or a test"""
    requires_system_checks = "__all__"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="Take one turn and end.")

    def ask(self, **options: Any) -> int | None:
        self.log_to_terminal(options["verbosity"])
        with stop_signals():
            alerts = Alerts(listeners)
            scheduler = Scheduler(
                duties=[Clockwork(), Housekeeping(), DeliveryHousekeeping(), Rollups(), alerts],
                on_change=self._tell,
            )
            if options["once"]:
                require_migrations()
                return self._once(scheduler, alerts)
            self._check_migrations()
            self.say(f"scheduler {scheduler.holder} stands by")
            scheduler.run()
        self.say("scheduler stopped")
        return 0

    def _once(self, scheduler: Scheduler, alerts: Alerts) -> int:
        try:
            scheduler.turn()
            alerts.finish()
            if scheduler.leads:
                return 0
        finally:
            scheduler.close()
        holder = Lease.objects.filter(name=ROLE).values_list("holder", flat=True).first()
        self.warn(f"nothing done: the scheduler {holder} leads, and does it all")
        return 1

    def _check_migrations(self) -> None:
        """Refuse a database that lacks tables; wait for one that is away."""
        while True:
            try:
                return require_migrations()
            except OperationalError as error:
                self.warn(f"the database does not answer, trying again: {error}")
                connections.close_all()
                time.sleep(_PAUSE_SECONDS)

    def _tell(self, leads: bool) -> None:
        self.say("it leads" if leads else "it no longer leads")
