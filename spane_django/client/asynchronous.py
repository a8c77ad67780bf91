"""The client of programs with an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
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


class AsyncClient(Methods):
    """Calls the API; the methods are those of `Client`, to be awaited.

    Close it, or use it as an asynchronous context manager.

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
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._tries = tries or Tries()
        self._http = http or httpx.AsyncClient(base_url=url, timeout=timeout)
        self._http.headers.update(headers_of(token, tenant))

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, call: Call[T]) -> T:
        """Send a call, again and again if need be; return its answer.

        Raises:
            ApiError, Unreachable, Unreadable: it has come to nothing.
        """
        steps = exchange(call, self._tries)
        step = next(steps)
        try:
            while True:
                if isinstance(step, Send):
                    step = steps.send(await self._try(step.call))
                else:
                    await asyncio.sleep(step)
                    step = steps.send(None)
        except StopIteration as done:
            answer: T = done.value
            return answer

    async def pages(self, call: Call[T]) -> AsyncIterator[T]:
        """Yield what is on one page after the other."""
        cursor: str | None = None
        while True:
            page = await self.send(page_call(call, cursor))
            for item in items_of(call, page):
                yield item
            cursor = cursor_of(page.get("next"))
            if cursor is None:
                return

    def events(self, execution_id: str, *, after: str | None = None) -> AsyncIterator[Event]:
        """Yield what happens to an execution until it has ended, coming back if need be.

        Args:
            after: The id of the last event that one knows; None: from the beginning.

        Raises:
            ApiError: one may not, or no longer.
            Unreachable: the server was away for too long.
        """
        return self._follow(Ear(execution_id, after=after))

    async def wait(self, execution_id: str, *, timeout: float | None = None) -> Execution:
        """Wait until an execution has ended, and return it.

        Args:
            timeout: How many seconds; None: as long as it takes.

        Raises:
            StillRunning: it has not ended in time.
        """
        async for _ in self._follow(Ear(execution_id, timeout=timeout)):
            pass
        return await self.send(execution(execution_id))

    async def _follow(self, ear: Ear) -> AsyncIterator[Event]:
        while True:
            try:
                async for event in self._listen(ear):
                    yield event
            except (httpx.TransportError, ApiError) as error:
                for event in ear.note(await self.send(ear.poll(error))):
                    yield event
            if ear.has_ended:
                return
            await asyncio.sleep(ear.rest())

    async def _listen(self, ear: Ear) -> AsyncIterator[Event]:
        call = ear.call()
        timeout = httpx.Timeout(self._http.timeout.connect, read=ear.left())
        async with self._http.stream(
            "GET", call.url, headers=dict(call.headers), timeout=timeout
        ) as heard:
            if heard.is_error:
                await heard.aread()
                raise error_of(heard)
            ear.has_ended = heard.status_code == httpx.codes.NO_CONTENT
            async for line in heard.aiter_lines():
                if event := ear.hear(line):
                    yield event
                if ear.has_ended:
                    return
                ear.left()

    async def _try(self, call: Call[Any]) -> httpx.Response | httpx.TransportError:
        try:
            return await self._http.request(call.method, call.url, **request_of(call))
        except httpx.TransportError as error:
            return error
