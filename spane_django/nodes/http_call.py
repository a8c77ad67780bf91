"""How an ``http`` node's request is sent: once, within the node's time, redirects included.

It is ``async``, so a worker has hundreds of calls under way at once.  Each has a client of its
own: a pool would belong to one event loop and keep connections past the check of their address.
Requests that change something carry an ``Idempotency-Key``, the same for every attempt.
"""

from __future__ import annotations

import asyncio

import httpx

from ..clock import machine_time
from ..core.json import Json
from ..core.outcome import NodeError, Permanent
from ..core.running import RUNNING
from .base import Context
from .http_guard import GuardedTransport, http_policy
from .http_request import Call, call_from
from .http_response import answer

DEFAULT_SECONDS = 30.0  # for a node without a timeout
MAX_REDIRECTS = 5

_HARMLESS = {"accept", "accept-encoding", "content-type", "idempotency-key"}


async def fetch(ctx: Context) -> Json:
    """Call the service that the node's config describes; answer what `http_response` makes of it.

    Raises:
        Permanent: the config describes no request, or trying again would change nothing.
        NodeError: the retry policy may try again.
    """
    running = RUNNING.get()
    call = call_from(
        ctx.config,
        idempotency_key=ctx.idempotency_key,
        traceparent=running.traceparent if running else None,
    )
    seconds = _seconds_left(ctx)
    try:
        async with asyncio.timeout(seconds), _client() as client:
            return await answer(call, await _send(client, call))
    except TimeoutError:
        raise NodeError(f"{call.name}: no complete response within {seconds:.3g} s") from None
    except (httpx.LocalProtocolError, httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise Permanent(f"{call.name}: the request is not HTTP") from None
    except httpx.HTTPError as error:
        raise NodeError(f"{call.name}: {_reason(error)}") from None


def _seconds_left(ctx: Context) -> float:
    if ctx.deadline is None:
        return DEFAULT_SECONDS
    return max(0.0, (ctx.deadline - machine_time()).total_seconds())


def _client() -> httpx.AsyncClient:
    # The one clock is the deadline above: httpx would start anew with every chunk.
    transport = GuardedTransport(http_policy())
    return httpx.AsyncClient(transport=transport, timeout=None, trust_env=False)  # noqa: S113


async def _send(client: httpx.AsyncClient, call: Call) -> httpx.Response:
    request = client.build_request(
        call.method, call.url, headers=call.headers, content=call.content
    )
    for _ in range(MAX_REDIRECTS + 1):
        response = await client.send(request, stream=True)
        if response.next_request is None or not call.follows_redirects:
            return response
        await response.aclose()
        request = _without_secrets(response.next_request, request.url, call)
    raise Permanent(f"{call.name}: more than {MAX_REDIRECTS} redirects")


def _without_secrets(request: httpx.Request, origin: httpx.URL, call: Call) -> httpx.Request:
    """Take the config's headers off a redirect to another origin: any of them may be a key."""
    if (request.url.scheme, request.url.netloc) != (origin.scheme, origin.netloc):
        for name in call.headers.keys() - _HARMLESS:
            request.headers.pop(name, None)
        request.headers["host"] = request.url.netloc.decode("ascii")
    return request


def _reason(error: httpx.HTTPError) -> str:
    # Only the text of connection errors is known to hold neither headers nor addresses.
    if isinstance(error, httpx.ConnectError):
        return f"cannot connect: {error}"
    return f"the connection failed ({type(error).__name__})"
