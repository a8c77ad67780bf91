"""How many workers help: a simulation of 1 to 1,000 of them, with costs measured here.

    python benchmarks/simulate.py [--database-cores N …] [--node-ms X …]

First one worker is measured on this machine with chains of 10: the processor time of the worker
and of PostgreSQL per node, the nodes and round trips of a transaction, how long one commit takes
the log.  Then a discrete-event model runs that many workers against one PostgreSQL:

* a worker runs its batch (processor time of its own core, and what the nodes themselves take,
  eight at once), then settles and claims the next one in a transaction;
* a transaction takes a round trip of the network per statement, queues for one of the database's
  cores for its processor time, and waits for the log: one flush at a time, which takes all
  transactions along that wait for it (group commit);
* executions are many, so that two workers seldom want the same one: locks are left out.  One very
  wide execution is bounded by its lock instead, see docs/scaling.md.

``limit`` is what is busiest: the workers themselves, the database's cores, or the log.
"""

from __future__ import annotations

import argparse
import heapq
import random
from collections import deque
from dataclasses import dataclass, field

from baselines import floor
from common import stage, until_completed, workers
from output import parser, progress, say, say_machine
from processes import children, cpu_seconds, parent
from queries import WORK, counted
from shapes import chain, publish_shape

WORKERS = (1, 2, 10, 30, 100, 300, 1_000)
EXECUTIONS = 1_000
NETWORK_MS = 0.25  # a round trip between machines of one data centre
CONCURRENCY = 8
SIMULATED_SECONDS = 20.0


@dataclass(frozen=True)
class Costs:
    """What was measured of one worker.

    Attributes:
        worker_ms: Processor time of the worker per node.
        database_ms: Processor time of PostgreSQL per node.
        batch: Nodes per transaction that writes, which is a flush of the log.
        statements: Round trips per such transaction, reads in between among them.
        flush_ms: What a flush of the log takes.
        rate: Nodes per second that the one worker did: what the model is checked against.
    """

    worker_ms: float
    database_ms: float
    batch: float
    statements: float
    flush_ms: float
    rate: float


@dataclass
class Model:
    """One PostgreSQL and its workers; times are in milliseconds."""

    costs: Costs
    workers: int
    cores: int
    node_ms: float
    network_ms: float = NETWORK_MS
    now: float = 0.0
    settled: int = 0
    cpu_busy: float = 0.0
    log_busy: float = 0.0
    free_cores: int = 0
    at_cores: deque[int] = field(default_factory=deque)
    at_log: list[int] = field(default_factory=list)
    is_flushing: bool = False
    events: list[tuple[float, int, str, tuple[int, ...]]] = field(default_factory=list)

    def run(self, milliseconds: float) -> Model:
        """Let so much time pass."""
        self.free_cores = self.cores
        for worker in range(self.workers):
            self._after(random.uniform(0, self._batch_ms()), "ready", worker)
        while self.events and self.events[0][0] < milliseconds:
            self.now, _, what, who = heapq.heappop(self.events)
            getattr(self, f"_{what}")(who)
        return self

    @property
    def usage(self) -> dict[str, float]:
        """How busy each is, as a fraction."""
        rate = self.settled / max(self.now, 1e-9)
        return {
            "workers": rate * self.costs.worker_ms / self.workers,
            "database cores": self.cpu_busy / (self.now * self.cores),
            "log": self.log_busy / self.now,
        }

    def _batch_ms(self) -> float:
        nodes = self.costs.batch
        return nodes * self.costs.worker_ms + nodes * self.node_ms / CONCURRENCY

    def _after(self, delay: float, what: str, *who: int) -> None:
        heapq.heappush(self.events, (self.now + delay, len(self.events), what, who))

    def _ready(self, who: tuple[int, ...]) -> None:
        """A worker has a batch to settle: the network, then the database's cores."""
        self._after(self.costs.statements * self.network_ms, "arrived", *who)

    def _arrived(self, who: tuple[int, ...]) -> None:
        self.at_cores.extend(who)
        self._use_cores()

    def _use_cores(self) -> None:
        while self.free_cores and self.at_cores:
            self.free_cores -= 1
            took = random.expovariate(1 / (self.costs.batch * self.costs.database_ms))
            self.cpu_busy += took
            self._after(took, "computed", self.at_cores.popleft())

    def _computed(self, who: tuple[int, ...]) -> None:
        self.free_cores += 1
        self._use_cores()
        self.at_log.extend(who)
        self._flush()

    def _flush(self) -> None:
        if self.is_flushing or not self.at_log:
            return
        self.is_flushing = True
        self.log_busy += self.costs.flush_ms
        self._after(self.costs.flush_ms, "flushed", *self.at_log)
        self.at_log.clear()

    def _flushed(self, who: tuple[int, ...]) -> None:
        self.is_flushing = False
        self._flush()
        self.settled += round(self.costs.batch * len(who))
        for worker in who:
            self._after(self._batch_ms(), "ready", worker)


def main() -> None:
    options = _options()
    say_machine()
    random.seed(1)
    with progress(1 + len(options.database_cores) * len(options.node_ms)) as step:
        step("measuring one worker")
        with stage():
            costs = _measured()
        for name, value in vars(costs).items():
            unit = "ms" if name.endswith("_ms") else "per transaction"
            say(f"measured_{name}", value, "nodes/s" if name == "rate" else unit)
        # On one machine there is no network between the two.
        here = Model(costs, 1, 2, 0.0, network_ms=0.0).run(SIMULATED_SECONDS * 1_000)
        say("modelled_rate", here.settled / here.now * 1_000, "nodes/s", baseline=costs.rate)
        for cores in options.database_cores:
            for node_ms in options.node_ms:
                step(f"{cores} cores, nodes of {node_ms} ms")
                _simulate(costs, cores, node_ms)


def _simulate(costs: Costs, cores: int, node_ms: float) -> None:
    alone = 0.0
    for count in WORKERS:
        model = Model(costs, count, cores, node_ms).run(SIMULATED_SECONDS * 1_000)
        rate = model.settled / model.now * 1_000
        alone = alone or rate
        limit, used = max(model.usage.items(), key=lambda item: item[1])
        say(
            f"{count}_workers", rate, "nodes/s", baseline=alone, limit=limit, limit_used=used,
            database_cores=cores, node_ms=node_ms, connections=count,
        )  # fmt: skip


def _measured() -> Costs:
    """Measure one worker at chains of 10, after a round that is not counted."""
    from django.db import connection
    from django.utils import timezone

    from spane_django.engine.start import start_many

    publish_shape("measured", chain(10))
    flush, statements = floor(), _statements()
    with workers(1) as processes:
        for _ in range(2):
            flushes, server = _flushes(), _server_seconds()
            worker = cpu_seconds(processes[0].pid)
            ids = start_many("measured", [{"n": 1}] * EXECUTIONS, now=timezone.now())
            # Asking costs PostgreSQL, too: seldom, and with nothing else beside it.
            until_completed(ids, pause=0.5)
        nodes = EXECUTIONS * 10
        batch = nodes / (_flushes() - flushes)
        connection.close()
        return Costs(
            worker_ms=(cpu_seconds(processes[0].pid) - worker) * 1_000 / nodes,
            database_ms=(_server_seconds() - server) * 1_000 / nodes,
            batch=batch,
            statements=2 + statements * batch,
            flush_ms=flush,
            rate=_rate(),
        )


def _statements() -> float:
    """Return the statements per node, but for BEGIN and COMMIT."""
    edges, executions = WORK["chain"]
    return sum(counted("chain")[0].values()) / (len(edges) * executions)


def _rate() -> float:
    """Return nodes per second of the last round, by what the rows tell."""
    from spane_django.models import Execution

    newest = Execution.objects.order_by("-id").values_list("created_at", "finished_at")
    times = list(newest[:EXECUTIONS])
    took = max(end for _, end in times) - min(start for start, _ in times)
    return EXECUTIONS * 10 / took.total_seconds()


def _flushes() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT wal_sync FROM pg_stat_wal")
        found: int = cursor.fetchone()[0]
    return found


def _server_seconds() -> float:
    """Return the processor time of PostgreSQL's processes, as far as they live."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    server = parent(backend)
    return sum(cpu_seconds(pid) for pid in children(server))


def _options() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--database-cores", type=int, nargs="+", default=[2, 8, 32], metavar="N")
    made.add_argument("--node-ms", type=float, nargs="+", default=[0.0, 10.0], metavar="X")
    return made.parse_args()


if __name__ == "__main__":
    main()
