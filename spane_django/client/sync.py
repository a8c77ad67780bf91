"""The client of programs with threads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, TypeVar

import httpx

from .answers import Event, Execution
from .errors import ApiError
from .exchange import (
    Call,
    Send,
    Tries,
    error_of,
    exchange,
    headers_of,
    items_of,
    page_call,
    request_of,
)
from .listening import Ear, cursor_of
from .methods import Methods
from .routes_executions import execution

T = TypeVar("T")


class Client(Methods):
    """Calls the API.  Close it, or use it as a context manager; it may be shared by threads.

    Args:
        url: Where the project has the routes: ``https://flows.example.com``.
        token: An API token; None: ``http`` brings its own authentication.
        tenant: The tenant that the calls are for, where the token's user has several.
        timeout: How long one try may take, in seconds.
        tries: How often calls are tried.
        http: A client of httpx to send with, for proxies, certificates or tests; its address and
            its headers are kept.
    """

    def __init__(
        self,
        url: str = "",
        token: str | None = None,
        *,
        tenant: str | None = None,
        timeout: float = 30.0,
        tries: Tries | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        self._tries = tries or Tries()
        self._http = http or httpx.Client(base_url=url, timeout=timeout)
        self._http.headers.update(headers_of(token, tenant))

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, call: Call[T]) -> T:
        """Send a call, again and again if need be; return its answer.

        Raises:
            ApiError, Unreachable, Unreadable: it has come to nothing.
        """
        steps = exchange(call, self._tries)
        step = next(steps)
        try:
            while True:
                if isinstance(step, Send):
                    step = steps.send(self._try(step.call))
                else:
                    time.sleep(step)
                    step = steps.send(None)
        except StopIteration as done:
            answer: T = done.value
            return answer

    def pages(self, call: Call[T]) -> Iterator[T]:
        """Yield what is on one page after the other."""
        cursor: str | None = None
        while True:
            page = self.send(page_call(call, cursor))
            yield from items_of(call, page)
            cursor = cursor_of(page.get("next"))
            if cursor is None:
                return

    def events(self, execution_id: str, *, after: str | None = None) -> Iterator[Event]:
        """Yield what happens to an execution until it has ended, coming back if need be.

        Args:
            after: The id of the last event that one knows; None: from the beginning.

        Raises:
            ApiError: one may not, or no longer.
            Unreachable: the server was away for too long.
        """
        return self._follow(Ear(execution_id, after=after))

    def wait(self, execution_id: str, *, timeout: float | None = None) -> Execution:
        """Wait until an execution has ended, and return it.

        Args:
            timeout: How many seconds; None: as long as it takes.

        Raises:
            StillRunning: it has not ended in time.
        """
        for _ in self._follow(Ear(execution_id, timeout=timeout)):
            pass
        return self.send(execution(execution_id))

    def _follow(self, ear: Ear) -> Iterator[Event]:
        while True:
            try:
                yield from self._listen(ear)
            except (httpx.TransportError, ApiError) as error:
                yield from ear.note(self.send(ear.poll(error)))
            if ear.has_ended:
                return
            time.sleep(ear.rest())

    def _listen(self, ear: Ear) -> Iterator[Event]:
        call = ear.call()
        timeout = httpx.Timeout(self._http.timeout.connect, read=ear.left())
        with self._http.stream(
            "GET", call.url, headers=dict(call.headers), timeout=timeout
        ) as heard:
            if heard.is_error:
                heard.read()
                raise error_of(heard)
            ear.has_ended = heard.status_code == httpx.codes.NO_CONTENT
            for line in heard.iter_lines():
                if event := ear.hear(line):
                    yield event
                if ear.has_ended:
                    return
                ear.left()

    def _try(self, call: Call[Any]) -> httpx.Response | httpx.TransportError:
        try:
            return self._http.request(call.method, call.url, **request_of(call))
        except httpx.TransportError as error:
            return error
