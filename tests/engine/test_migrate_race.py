"""Executions are moved back and forth while workers run them."""

from __future__ import annotations

from itertools import pairwise
from threading import Event

import pytest

from spane_django.engine.migrate import Unmovable, migrate
from spane_django.models import Execution, NodeRun
from tests.engine.helpers import SECOND, Machine
from tests.engine.threads import in_threads, until

pytestmark = pytest.mark.django_db(transaction=True)

NODES = [f"n{index}" for index in range(6)]
CHAIN = {one: [other] for one, other in pairwise(NODES)}
WIDE = {**CHAIN, "n0": ["n1", "side"]}


def test_every_node_runs_once_however_often_its_execution_is_moved(machine: Machine, does):
    ran: list[tuple[str, str]] = []
    for node in (*NODES, "side"):
        does[node] = lambda ctx: ran.append((str(ctx.execution_id), ctx.node_id))
    machine.publish(CHAIN)
    keys = [machine.start() for _ in range(5)]
    machine.publish(WIDE)
    workers = [Machine() for _ in range(2)]
    moves = []
    over = Event()

    def work(worker: Machine) -> None:
        until(lambda: bool(moves))
        claims = worker.claim(room=1)
        while claims or Execution.objects.unfinished().exists():
            # What was due at a move is due a little later.
            worker.now += SECOND
            claims = worker.settle(worker.run(claims), want=worker.want(room=1)).claims
        over.set()

    def move() -> None:
        while not over.is_set():
            for key in keys:
                number = 3 - Execution.objects.values_list("version__number", flat=True).get(pk=key)
                try:
                    moves.append(migrate(key, number, now=machine.now))
                except Unmovable:
                    continue

    in_threads([*(lambda worker=worker: work(worker) for worker in workers), move])

    assert moves
    assert len(ran) == len(set(ran))
    assert set(Execution.objects.values_list("status", "active_nodes")) == {("completed", 0)}
    ended = NodeRun.objects.filter(status="completed")
    assert ended.filter(node_id__in=NODES).count() == len(keys) * len(NODES)
