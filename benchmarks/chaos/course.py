"""The course of a run: the plan is carried out by the clock, then everything is let settle.

One thread walks through the plan and keeps the processes alive; starts and verbs run on threads
of the load, faults mend themselves.  Nothing waits for anything, so that a database that is down
holds up nobody but those who ask it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from heapq import merge
from typing import Any

from django.db import Error, connections

from spane_django.models import Execution

from .faults import Faults
from .history import SCHEMA
from .load import Journal, Load, prepare
from .plan import Act, Fault, Plan, Start
from .plant import Plant
from .sampling import Sampler
from .shapes import MOST_NODES

Show = Callable[[float, str], None]

_LOOK_SECONDS = 0.4


class Course:
    """One run on one plant."""

    def __init__(self, plant: Plant, definitions: list[dict[str, Any]]) -> None:
        logging.getLogger("spane_django").setLevel(logging.ERROR)
        prepare(definitions, SCHEMA)
        self.plant = plant
        self.admin = plant.postgres.url("127.0.0.1")
        self.journal = Journal()
        started = [one["id"] for one in definitions if one["id"][-1].isdigit()]
        self.load = Load(started, self.journal)
        self.faults = Faults(plant, self.admin)
        self.sampler = Sampler(self.admin, MOST_NODES)
        self.seconds = self.settle_seconds = 0.0
        self._looked = 0.0

    def rage(self, plan: Plan, show: Show) -> None:
        """Carry the plan out."""
        self.plant.look()
        began = time.monotonic()
        for due in _in_order(plan):
            while (now := time.monotonic() - began) < due.at:
                self._look()
                time.sleep(min(0.05, due.at - now))
            self._do(due)
            show(now, f"{len(self.journal.started)} started, {len(self.faults.strikes)} faults")
        self.faults.mend()
        self.seconds = time.monotonic() - began

    def settle(self, show: Show, patience: float) -> int:
        """Let everything end; return how many executions have not.

        Args:
            patience: Seconds without any end after which what is left is taken for stuck.
        """
        began = changed = time.monotonic()
        left = -1
        while time.monotonic() < changed + patience:
            self._look()
            now_left = self._unfinished()
            if now_left == 0:
                break
            if now_left != left:
                left, changed = now_left, time.monotonic()
            show(self.seconds, f"{left} executions have not ended")
            time.sleep(0.3)
        self.settle_seconds = time.monotonic() - began
        self.load.close()
        self.sampler.close()
        return self._unfinished()

    def _do(self, due: Start | Act | Fault) -> None:
        if isinstance(due, Start):
            self.load.start(due)
        elif isinstance(due, Act):
            self.load.act(due)
        else:
            self.faults.strike(due)

    def _look(self) -> None:
        if time.monotonic() > self._looked + _LOOK_SECONDS:
            self._looked = time.monotonic()
            self.plant.look()
            self.load.look()

    def _unfinished(self) -> int:
        try:
            self.load.resume_all()
            return Execution.objects.unfinished().count()
        except Error:
            connections.close_all()
            return -1


def _in_order(plan: Plan) -> Iterator[Start | Act | Fault]:
    return merge(plan.starts, plan.acts, plan.faults, key=lambda due: due.at)
