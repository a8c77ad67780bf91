"""Many workers on the same executions at once, every message delivered twice."""

from __future__ import annotations

from random import Random
from threading import Barrier

import pytest

from spane_django.engine.publish import publish
from spane_django.engine.settle import settle
from spane_django.engine.start import StartOptions, start
from spane_django.models import Execution, LogLine, NodeRun
from tests.engine.helpers import Machine, definition, outputs, statuses
from tests.engine.threads import in_threads

pytestmark = pytest.mark.django_db(transaction=True)

WIDTH = 8
WORKERS = 8
DIAMOND = {"r": [f"m{i}" for i in range(WIDTH)], **{f"m{i}": ["j"] for i in range(WIDTH)}}


def test_a_join_fires_once_under_eight_workers_that_hear_everything_twice(machine: Machine, does):
    does["j"] = lambda ctx: ctx.log.info("joined") or sorted(ctx.input)
    machine.publish(DIAMOND)
    keys = [machine.start() for _ in range(20)]
    machine.step()
    middle = machine.run(machine.claim(room=1_000)) * 2
    Random(1).shuffle(middle)
    parts = [middle[index::WORKERS] for index in range(WORKERS)]

    settled = in_threads(
        [lambda part=part: [settle([one], now=machine.now) for one in part] for part in parts]
    )

    assert sum(len(one.lost) for each in settled for one in each) == 20 * WIDTH
    machine.drain()
    assert all(outputs(key)["j"] == sorted(DIAMOND["r"]) for key in keys)
    assert set(Execution.objects.values_list("status", "active_nodes")) == {("completed", 0)}
    assert LogLine.objects.count() == 20
    assert set(NodeRun.objects.values_list("attempt", flat=True)) == {1}


def test_workers_that_claim_run_and_settle_at_once_finish_everything_once(machine: Machine, does):
    ran: list[str] = []
    for node in ("r", *DIAMOND["r"], "j"):
        does[node] = lambda ctx: ran.append(f"{ctx.execution_id} {ctx.node_id}")
    machine.publish(DIAMOND)
    for _ in range(10):
        machine.start()
    workers = [Machine() for _ in range(WORKERS)]

    def work(worker: Machine) -> None:
        claims = worker.claim(room=5)
        while claims or NodeRun.objects.exclude(status="completed").exists():
            settled = worker.settle(worker.run(claims), want=worker.want(room=5))
            claims = settled.claims

    in_threads([lambda worker=worker: work(worker) for worker in workers])

    assert len(ran) == len(set(ran)) == 10 * (WIDTH + 2)
    assert set(Execution.objects.values_list("status", flat=True)) == {"completed"}


def test_two_settles_over_the_same_executions_in_opposite_order_both_commit(machine: Machine):
    machine.publish({"a": ["j"], "b": ["j"]})
    keys = [machine.start() for _ in range(10)]
    finished = machine.run(machine.claim(room=100))
    by_node = {node: [one for one in finished if one.claim.node_id == node] for node in ("a", "b")}
    ready = Barrier(2)

    def work(batch):
        ready.wait(timeout=10)
        return settle(batch, now=machine.now)

    settled = in_threads([lambda: work(by_node["a"]), lambda: work(by_node["b"][::-1])])

    assert [one.lost for one in settled] == [[], []]
    assert all(statuses(key)["j"] == "ready" for key in keys)


def test_starts_with_the_same_idempotency_key_at_once_give_one_execution(machine: Machine):
    machine.publish({"a": []})
    options = StartOptions(idempotency_key="order-7")
    ready = Barrier(WORKERS)

    def work():
        ready.wait(timeout=10)
        return start("w", {"n": 7}, now=machine.now, options=options).pk

    keys = in_threads([work] * WORKERS)

    assert len(set(keys)) == 1
    assert (Execution.objects.count(), NodeRun.objects.count()) == (1, 1)


def test_publishers_at_once_get_numbers_of_their_own(machine: Machine):
    ready = Barrier(4)

    def work(name: str):
        ready.wait(timeout=10)
        return publish(definition({"a": []}, name=name), now=machine.now).number

    numbers = in_threads([lambda name=name: work(name) for name in "ABCD"])

    assert sorted(numbers) == [1, 2, 3, 4]
