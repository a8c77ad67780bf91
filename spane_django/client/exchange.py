"""One call from first to last try, without sending anything: what to send, when to wait.

:func:`exchange` is a generator.  It yields a `Send` or a number of seconds to wait, is sent the
response (or the error of the transport), and returns what the call comes to.  `sync` and
`asynchronous` do what it says, each in its way, so that both behave the same.

What is tried again: calls that change nothing, or the same when they come twice (those with an
``Idempotency-Key``, too), when the server was not reached, was busy or failed for the moment;
any call that the server has refused for its rate, or that cannot have reached it.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import NoneType
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx

from .answers import Fault
from .errors import ApiError, ClientError, Unreachable, Unreadable, error_class
from .reading import read

T = TypeVar("T")

FOR_THE_MOMENT = frozenset({429, 502, 503, 504})
_SAFE = frozenset({"GET", "PUT", "DELETE"})
IDEMPOTENCY_KEY = "Idempotency-Key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """How often and how patiently calls are tried.

    Attributes:
        most: Tries in all, the first included.
        first_wait: Seconds before the second; each further wait is twice the one before, and
            none is longer than `longest_wait`.
        longest_wait: A server that wants more patience (``Retry-After``) is given up.
    """

    most: int = 4
    first_wait: float = 0.5
    longest_wait: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """What a route is asked.

    Attributes:
        path: As the OpenAPI document has it: ``/api/executions/{executionId}``.
        answer: What the body of the answer is.
        ids: What stands in the path's braces.
        body: None: there is none.
        fine: Statuses beside 2xx whose body is an answer, too.
    """

    method: str
    path: str
    answer: type[T]
    ids: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    fine: tuple[int, ...] = ()

    @property
    def url(self) -> str:
        """The path with its ids; those may hold anything."""
        ids = {name: quote(value, safe="") for name, value in self.ids.items()}
        return self.path.format(**ids)

    @property
    def is_repeatable(self) -> bool:
        """Whether it does no harm twice."""
        return self.method in _SAFE or IDEMPOTENCY_KEY in self.headers


@dataclass(frozen=True, slots=True)
class Send:
    """An order to send a call; it is answered with a response or an error of httpx."""

    call: Call[Any]


Steps = Generator["Send | float", "httpx.Response | httpx.TransportError | None", T]


def exchange(call: Call[T], tries: Tries) -> Steps[T]:
    """Yield what to do about a call; return its answer.

    Raises:
        ApiError: it was refused, at last.
        Unreachable: nobody answered, at last.
    """
    wait = tries.first_wait
    for left in reversed(range(tries.most)):
        result = yield Send(call)
        if isinstance(result, httpx.Response) and _is_fine(call, result):
            return _answer(call, result)
        error = _error(result)
        asked = error.retry_after if isinstance(error, ApiError) else None
        if not left or not _may_repeat(call, result) or (asked or 0.0) > tries.longest_wait:
            raise error
        # Half of it by chance, so that those who were refused together do not return together.
        yield wait * random.uniform(0.5, 1.0) if asked is None else asked
        wait = min(wait * 2, tries.longest_wait)
    raise AssertionError("unreachable")


def page_call(call: Call[Any], cursor: str | None) -> Call[dict[str, Any]]:
    """Return the call for a page of what a call lists."""
    query = {**call.query, "cursor": cursor} if cursor else call.query
    return replace(call, answer=dict[str, Any], query=query)


def items_of(call: Call[T], page: Mapping[str, Any]) -> list[T]:
    """Return what is on a page of what a call lists."""
    kind: Any = list[call.answer]  # type: ignore[name-defined]  # a class at run time
    items: list[T] = read(kind, page.get("results"))
    return items


def headers_of(token: str | None, tenant: str | None) -> dict[str, str]:
    """Return the headers of all calls."""
    found = {"Authorization": f"Bearer {token}"} if token else {}
    return found | ({"Spane-Tenant": tenant} if tenant else {})


def request_of(call: Call[Any]) -> dict[str, Any]:
    """Return what httpx is told of a call."""
    body = {} if call.body is None else {"json": call.body}
    query = {name: value for name, value in call.query.items() if value is not None}
    return {"params": query, "headers": dict(call.headers), **body}


def error_of(response: httpx.Response) -> ApiError:
    """Return what a refusal says, whoever on the way has refused."""
    try:
        told = response.json()["error"]
        code, message = str(told["code"]), str(told["message"])
        details = read(list[Fault], told["details"])
    except (ValueError, KeyError, TypeError, Unreadable):
        code, message, details = "http", response.reason_phrase or "no reason given", []
    return error_class(response.status_code)(
        response.status_code,
        code,
        message,
        details=details,
        retry_after=_retry_after(response.headers.get("Retry-After")),
    )


def _is_fine(call: Call[Any], response: httpx.Response) -> bool:
    return response.is_success or response.status_code in call.fine


def _answer(call: Call[T], response: httpx.Response) -> T:
    if call.answer is NoneType:
        return None  # type: ignore[return-value]  # T is None
    if call.answer is str:
        return response.text  # type: ignore[return-value]  # T is str
    try:
        value = response.json()
    except ValueError as error:
        raise Unreadable(f"the answer to {call.method} {call.path} is no JSON") from error
    answer: T = read(call.answer, value)
    return answer


def _error(result: httpx.Response | httpx.TransportError | None) -> ClientError:
    if isinstance(result, httpx.Response):
        return error_of(result)
    error = Unreachable(f"{type(result).__name__}: {result}")
    error.__cause__ = result
    return error


def _may_repeat(call: Call[Any], result: httpx.Response | httpx.TransportError | None) -> bool:
    if isinstance(result, httpx.Response):
        if result.status_code == httpx.codes.TOO_MANY_REQUESTS:
            return True
        return call.is_repeatable and result.status_code in FOR_THE_MOMENT
    never_sent = isinstance(result, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    return never_sent or call.is_repeatable


def _retry_after(given: str | None) -> float | None:
    if given is None:
        return None
    if given.strip().isdigit():
        return float(given)
    try:
        until = parsedate_to_datetime(given)
    except ValueError:
        return None
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
