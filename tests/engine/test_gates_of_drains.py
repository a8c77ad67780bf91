"""Drains at closed gates: they wait for the gate, neither longer nor by asking all the time."""

from __future__ import annotations

import time
from threading import Event

import pytest

from spane_django.dispatch.drain import Drain
from spane_django.engine import claim as claiming
from spane_django.engine.publish import publish
from spane_django.engine.run import utc_now
from spane_django.engine.start import start
from spane_django.models import Execution, NodeRun
from tests import wakes as sent_wakes
from tests.engine.helpers import definition
from tests.engine.threads import elsewhere, in_threads, until

pytestmark = pytest.mark.django_db(transaction=True)

APART = 0.1  # seconds between starts at the rated gate


class Silence:
    """A bell that never rings."""

    def listen(self, wanted: bool) -> None:
        pass

    def close(self) -> None:
        pass


def drain(linger: float = 0.5) -> None:
    Drain("spane", make_bell=lambda ring: Silence(), wake=sent_wakes.wake, linger=linger).run()


def begin(edges, count: int = 1, **more) -> None:
    publish(definition(edges, **more), now=utc_now())
    for _ in range(count):
        start("w", None, now=utc_now())


@pytest.fixture
def claims(monkeypatch) -> list[float]:
    """When somebody has looked for work."""
    looked: list[float] = []
    take = claiming.take

    def noting(*args, **kwargs):
        looked.append(time.monotonic())
        return take(*args, **kwargs)

    monkeypatch.setattr("spane_django.engine.settle.take", noting)
    return looked


def rated() -> dict:
    rate = {"count": 1, "perMs": APART * 1_000}
    return {"limit": {"rate": rate}}


def test_a_drain_waits_for_a_gate_without_asking_all_the_time(does, claims):
    began: list[float] = []
    does["a"] = lambda ctx: began.append(time.monotonic())
    begin({"a": []}, 5, nodes={"a": rated()})

    in_threads([drain])

    assert len(began) == 5
    assert began[-1] - began[0] >= 3.5 * APART
    assert len(claims) < 20


def test_a_drain_that_is_busy_looks_when_the_gate_opens(does):
    waited: list[float] = []
    done = Event()

    def slow(ctx):
        at = time.monotonic()
        assert done.wait(10)
        waited.append(time.monotonic() - at)

    def quick(ctx):
        if NodeRun.objects.completed().filter(node_id="a").count() == 3:
            done.set()

    does |= {"slow": slow, "a": quick}
    begin({"slow": []}, id="w")
    begin({"a": []}, id="w", nodes={"a": rated()})
    for _ in range(3):
        start("w", None, now=utc_now())

    in_threads([drain])

    # It looks for other work only once a second of its own.
    assert waited[0] < 2.5


def test_a_drain_at_a_full_gate_waits_until_another_worker_makes_room(does, claims):
    begin({"a": []}, 2, nodes={"a": {"limit": {"max": 1}}})
    hold, held = Event(), Event()

    def body(ctx):
        held.set()
        assert hold.wait(10)

    does["a"] = body
    with elsewhere() as do:
        first = do(drain)
        assert held.wait(10)
        second = do(drain)
        until(lambda: len(claims) >= 2)
        time.sleep(0.3)
        looks = len(claims)
        hold.set()
        first.result(20), second.result(20)

    assert looks < 10
    assert set(Execution.objects.values_list("status", flat=True)) == {"completed"}
