"""How many node runs a drain claims at once: plain ones need threads, ``async`` ones none."""

from __future__ import annotations

import asyncio

import pytest

from spane_django.dispatch.drain import Drain
from spane_django.dispatch.window import Window
from spane_django.engine import claim as claiming
from spane_django.engine.run import utc_now
from spane_django.engine.start import start_many
from spane_django.nodes.base import Context, node
from tests import wakes as sent_wakes
from tests.engine.test_gates_of_drains import Silence, begin
from tests.engine.threads import in_threads

pytestmark = pytest.mark.django_db(transaction=True)

COUNT = 400


@node("waits-asynchronously")
async def waits(ctx: Context) -> None:
    await asyncio.sleep(0.05)


def test_async_nodes_are_claimed_by_the_hundred_however_few_threads_there_are(
    settings, monkeypatch
):
    settings.SPANE = {**settings.SPANE, "CONCURRENCY": 1, "ASYNC_CONCURRENCY": COUNT}
    claimed: list[int] = []
    take = claiming.take

    def noting(*args, **kwargs):
        claims = take(*args, **kwargs)
        claimed.append(len(claims))
        return claims

    monkeypatch.setattr("spane_django.engine.settle.take", noting)
    begin({"a": []}, 0, nodes={"a": {"type": "waits-asynchronously"}})
    start_many("w", [None] * COUNT, now=utc_now())

    def drain() -> None:
        Drain("spane", make_bell=lambda ring: Silence(), wake=sent_wakes.wake, linger=0.0).run()

    in_threads([drain])

    assert sum(claimed) == COUNT
    assert max(claimed) > COUNT / 4


def test_slow_plain_nodes_among_async_ones_are_not_claimed_ahead():
    window = Window(8, 200)

    for number in range(1_000):
        window.claimed(is_plain=number % 4 == 0)
        if number % 4 == 0:
            window.observe(10.0)

    assert 8 < window.room(0) < 8 * 4 * 1.5
    assert window.room(8) == 0


def test_quick_plain_nodes_are_claimed_by_the_batch():
    window = Window(8, 200)

    for _ in range(100):
        window.claimed(is_plain=True)
        window.observe(0.001)

    assert (window.room(0), window.room(150), window.room(300)) == (200, 50, 0)
