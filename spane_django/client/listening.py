"""Server-Sent Events without sending anything: from lines to events, and what to ask next.

A stream may end at any time (a proxy, a deploy, a server without ASGI, which answers in pieces):
whoever listens comes back with the id of the last event, and nothing is missed.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .answers import Event, Events
from .errors import ApiError, StillRunning, Unreadable
from .exchange import FOR_THE_MOMENT, Call
from .routes_executions import news

ACCEPT = "text/event-stream"
# A stream that says nothing for so long, in seconds, is broken: the server sends comments.
SILENCE = 45.0
# How long to wait before coming back, in seconds, unless the server says.
PAUSE = 2.0


class Ear:
    """What has been heard of an execution.

    Args:
        after: The id of the last event that is known; None: of none.
        timeout: For how many seconds to listen at most; None: until the end.

    Attributes:
        has_ended: Whether there will be no more.
    """

    def __init__(
        self, execution_id: str, *, after: str | None = None, timeout: float | None = None
    ) -> None:
        self._execution_id = execution_id
        self._last_id = after
        self._until = None if timeout is None else time.monotonic() + timeout
        self._pause = PAUSE
        self._fields: dict[str, str] = {}
        self.has_ended = False

    def call(self) -> Call[Any]:
        """Return the call that goes on where it was."""
        headers = {"Accept": ACCEPT}
        if self._last_id is not None:
            headers["Last-Event-ID"] = self._last_id
        self._fields = {}
        return replace(news(self._execution_id), headers=headers)

    def poll(self, error: Exception) -> Call[Events]:
        """Return the call that does without a stream, as patiently as any.

        Raises:
            Exception: the error that the stream has met, if polling would meet it, too.
        """
        if isinstance(error, ApiError) and error.status not in FOR_THE_MOMENT:
            raise error
        self.left()
        return news(self._execution_id, after=self._last_id)

    def note(self, events: Events) -> list[Event]:
        """Take what was polled; return its events."""
        self._last_id = events.cursor
        self.has_ended = events.has_ended
        return events.results

    def left(self, most: float = SILENCE) -> float:
        """Return how long to wait for the next sign of life, in seconds.

        Raises:
            StillRunning: not at all: one has listened long enough.
        """
        if self._until is None:
            return most
        left = self._until - time.monotonic()
        if left <= 0:
            raise StillRunning(f"execution {self._execution_id} has not ended in time")
        return min(most, left)

    def rest(self) -> float:
        """Return how long to wait before coming back, in seconds."""
        return self.left(self._pause)

    def hear(self, line: str) -> Event | None:
        """Take a line; return the event that it completes."""
        if line:
            name, _, value = line.partition(":")
            self._fields[name] = value.removeprefix(" ")
            if name == "retry" and value.strip().isdigit():
                self._pause = int(value) / 1_000
            return None
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return None
        try:
            data = json.loads(fields["data"])
            event = Event(id=fields["id"], event=fields["event"], data=data)
        except (ValueError, KeyError) as error:
            raise Unreadable(f"an event is not as expected: {error!r}") from error
        self._last_id = event.id
        self.has_ended = event.event == "end"
        return event


def cursor_of(url: str | None) -> str | None:
    """Return the cursor of a page's link.

    Nothing else of it counts, so that the token is never sent to where a link leads.
    """
    if url is None:
        return None
    return next(iter(parse_qs(urlsplit(url).query).get("cursor", [])), None)
