"""Server-Sent Events: how readings become a stream that any ``EventSource`` understands.

A stream looks at the rows a quarter of a second after something has happened, and more and more
seldom, down to once a second, while nothing does; never so often that looking takes more than a
fifth of the time.  Every quarter of a minute without an event it sends a comment, so that
proxies keep the connection and a client that has gone is noticed.  Once a minute it asks again
whether the client may listen.

It ends by itself: behind ``end``; when the client may listen no more; when the database does not
answer.  The client comes back with ``Last-Event-ID`` and misses nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from django.db import Error, connections
from rest_framework.utils.encoders import JSONEncoder

from ..core.errors import SpaneError
from ..observability.listeners import TooManyListeners, give_back_thread, in_reader, seat
from ..observability.stream import Event, Follower

CONTENT_TYPE = "text/event-stream"
# Seconds.
QUICK, SLOW = 0.25, 1.0
KEEP_ALIVE = 15.0
ASK_AGAIN = 60.0
# How long a browser waits before it comes back, in milliseconds.
RETRY = 2_000

_LEAST_REST = 4  # times as long as looking took
_HEADERS = {
    "Cache-Control": "no-cache, no-transform",
    # nginx would collect the events; a compressing middleware would keep them back.
    "X-Accel-Buffering": "no",
    "Content-Encoding": "identity",
}

Present = Callable[[Event], tuple[str, dict[str, Any]]]
logger = logging.getLogger("spane_django.api")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """One listener's stream.

    Attributes:
        present: Returns the name and the data of an event.
        may_go_on: Says whether the listener still may; reads the database.
    """

    user_id: object
    follower: Follower
    present: Present
    may_go_on: Callable[[], bool]


def headers() -> dict[str, str]:
    """Return the headers of a stream, without which proxies hold events back."""
    return dict(_HEADERS)


def written(events: Iterable[Event], present: Present) -> bytes:
    """Return events as text."""
    return b"".join(_frame(event, *present(event)) for event in events)


def opening(*, at_once: bool = False) -> bytes:
    """Return how a stream begins: when the browser is to come back after its end."""
    return f"retry: {0 if at_once else RETRY}\n\n".encode()


async def stream(listening: Listening) -> AsyncIterator[bytes]:
    """Yield the text of a stream until it ends or the client has gone."""
    give_back_thread()
    yield opening()
    with suppress(TooManyListeners), seat(listening.user_id):
        try:
            async for text in _told(listening):
                yield text
        except (SpaneError, Error) as error:
            # The execution has been pruned, or the database is away: the client asks again.
            logger.info("a stream of events has ended: %s", error)
            await in_reader(connections.close_all)


async def _told(listening: Listening) -> AsyncIterator[bytes]:
    sent = asked = time.monotonic()
    pause = QUICK
    while True:
        look = await in_reader(partial(_look, listening))
        if look.text:
            yield look.text
            sent, pause = time.monotonic(), QUICK
        if look.has_ended:
            return
        if look.has_more:
            continue
        if time.monotonic() - sent >= KEEP_ALIVE:
            yield b": still here\n\n"
            sent = time.monotonic()
        if time.monotonic() - asked >= ASK_AGAIN:
            if not await in_reader(listening.may_go_on):
                yield b": not allowed any more\n\n"
                return
            asked = time.monotonic()
        await asyncio.sleep(max(pause, _LEAST_REST * look.seconds))
        pause = min(pause * 2, SLOW)


class _Look(NamedTuple):
    text: bytes
    has_more: bool
    has_ended: bool
    seconds: float


def _look(listening: Listening) -> _Look:
    began = time.monotonic()
    reading = listening.follower.read()
    text = written(reading.events, listening.present)
    return _Look(text, reading.has_more, reading.has_ended, time.monotonic() - began)


def _frame(event: Event, name: str, data: dict[str, Any]) -> bytes:
    # JSON holds no line break, so that one line of data is enough.
    text = json.dumps(data, cls=JSONEncoder, ensure_ascii=False, separators=(",", ":"))
    return f"id: {event.cursor}\nevent: {name}\ndata: {text}\n\n".encode()
