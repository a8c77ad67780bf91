"""Faults: each kind of the plan, carried out on the plant, and mended when its time is over.

A fault that lasts does not hold up the next one, so that several overlap as they do in bad
nights.  `Strike` says what was hit and when: recovery is measured from there.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import psycopg
import redis

from .plan import Fault
from .plant import LEASE_SECONDS, Plant, send

_GARBAGE = 60


@dataclass(slots=True)
class Strike:
    """What a fault did.

    Attributes:
        at: When, by the machine's clock.
        pids: The processes that hold nothing any more, once their lease is over.
        seconds: How long it was to last.
        note: What went wrong with doing it; "".
    """

    kind: str
    at: float
    target: str = ""
    seconds: float = 0.0
    pids: list[int] = field(default_factory=list)
    note: str = ""


class Faults:
    """Carries faults out.

    Args:
        admin: The URL under which this process reaches the database.
    """

    def __init__(self, plant: Plant, admin: str) -> None:
        self._plant = plant
        self._admin = admin
        self._repairs: list[threading.Thread] = []
        self._restarts: list[Future[None]] = []
        # One thread each, which lives as long as they may: a server dies with the thread that
        # has started it, and is restarted by one at a time.
        self._postgres = ThreadPoolExecutor(1, thread_name_prefix="chaos-postgres")
        self._redis = ThreadPoolExecutor(1, thread_name_prefix="chaos-redis")
        self._mending = threading.Event()
        self.strikes: list[Strike] = []
        self._do: dict[str, Callable[[Fault, Strike], None]] = {
            "kill worker": self._kill_worker,
            "kill work horse": self._kill_horse,
            "kill scheduler": self._kill_scheduler,
            "freeze worker": self._freeze_worker,
            "freeze worker past its lease": self._freeze_worker,
            "freeze scheduler": self._freeze_scheduler,
            "empty Redis": self._empty_redis,
            "restart Redis": self._restart_redis,
            "restart PostgreSQL": lambda fault, strike: self._restart("fast", fault),
            "crash PostgreSQL": lambda fault, strike: self._restart("immediate", fault),
            "terminate connections": self._terminate,
            "fill the queue": self._fill,
            "skew the clock": self._skew,
            "cut off from PostgreSQL": lambda *hit: self._cut(*hit, "postgres"),
            "cut off from Redis": lambda *hit: self._cut(*hit, "redis"),
            "cut off from both": lambda *hit: self._cut(*hit, "postgres", "redis"),
        }

    def strike(self, fault: Fault) -> None:
        """Do what a fault says.  One that cannot be done now is noted and left."""
        done = Strike(fault.kind, time.time(), seconds=fault.seconds)
        try:
            self._do[fault.kind](fault, done)
        except (psycopg.Error, redis.RedisError, OSError, RuntimeError) as error:
            done.note = f"{type(error).__name__}: {error}"
        self.strikes.append(done)

    def mend(self) -> None:
        """Let everything that still lasts be over."""
        self._mending.set()
        for repair in self._repairs:
            repair.join()
        for restart in self._restarts:
            restart.result()

    def _later(self, seconds: float, repair: Callable[[], Any]) -> None:
        def work() -> None:
            self._mending.wait(seconds)
            repair()

        thread = threading.Thread(target=work, name="chaos-repair")
        thread.start()
        self._repairs.append(thread)

    def _worker(self, fault: Fault) -> str:
        return _picked(self._plant.workers(), fault.pick)

    def _kill_worker(self, fault: Fault, strike: Strike) -> None:
        strike.target = self._worker(fault)
        strike.pids = self._plant.kill(strike.target)

    def _kill_horse(self, fault: Fault, strike: Strike) -> None:
        strike.target = self._worker(fault)
        horses = self._plant.processes[strike.target].pids()[:-1]
        strike.pids = send(horses, signal.SIGKILL)

    def _kill_scheduler(self, fault: Fault, strike: Strike) -> None:
        strike.target = _picked(self._plant.schedulers(), fault.pick)
        self._plant.kill(strike.target)

    def _freeze_worker(self, fault: Fault, strike: Strike) -> None:
        strike.target = self._worker(fault)
        strike.pids = self._freeze(strike.target, fault.seconds)
        if fault.seconds < LEASE_SECONDS:
            strike.pids = []

    def _freeze_scheduler(self, fault: Fault, strike: Strike) -> None:
        strike.target = _picked(self._plant.schedulers(), fault.pick)
        self._freeze(strike.target, 3 * fault.seconds)

    def _freeze(self, name: str, seconds: float) -> list[int]:
        with self._plant.lock:
            process = self._plant.processes[name]
            frozen = send(process.pids(), signal.SIGSTOP)
            process.frozen_until = time.monotonic() + seconds
        self._later(seconds, lambda: send(frozen, signal.SIGCONT))
        return frozen

    def _empty_redis(self, fault: Fault, strike: Strike) -> None:
        self._plant.redis.client.flushall()

    def _restart_redis(self, fault: Fault, strike: Strike) -> None:
        self._restarts.append(self._redis.submit(self._plant.redis.restart, fault.seconds))

    def _restart(self, mode: str, fault: Fault) -> None:
        restart = self._plant.postgres.restart
        self._restarts.append(self._postgres.submit(restart, mode, fault.seconds))

    def _terminate(self, fault: Fault, strike: Strike) -> None:
        """End connections of workers and schedulers, those amid a statement first of all."""
        busy = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid IN ("
            " SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND pid <> pg_backend_pid() AND application_name <> 'chaos'"
            " ORDER BY (state IN ('active', 'idle in transaction')) DESC, random() LIMIT 4)"
        )
        with psycopg.connect(self._admin, autocommit=True, connect_timeout=2) as database:
            for _ in range(5):
                database.execute(busy)
                time.sleep(0.02)

    def _fill(self, fault: Fault, strike: Strike) -> None:
        """Put jobs into the queue that are none, and jobs that fail."""
        client = self._plant.redis.client
        for number in range(_GARBAGE):
            client.lpush("rq:queue:spane", f"garbage-{number}")
            client.hset(f"rq:job:broken-{number}", mapping={"data": b"\x80garbage"})
            client.lpush("rq:queue:spane", f"broken-{number}")

    def _skew(self, fault: Fault, strike: Strike) -> None:
        """Start a worker again with a wrong clock; its next death mends it."""
        strike.target = self._worker(fault)
        strike.pids = self._plant.kill(strike.target, skew=fault.seconds)

    def _cut(self, fault: Fault, strike: Strike, *services: str) -> None:
        strike.target = self._worker(fault)
        process, net = self._plant.processes[strike.target], self._plant.net
        host = process.host or 0
        for service in services:
            net.cut(host, service)

        def heal() -> None:
            for service in services:
                with contextlib.suppress(RuntimeError):
                    net.heal(host, service)

        if "postgres" in services:
            strike.pids = process.pids()
        self._later(fault.seconds, heal)


def _picked(names: list[str], pick: float) -> str:
    return names[int(pick * len(names))]
