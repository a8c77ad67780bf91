"""What may go wrong, one class per thing that a caller can do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .answers import Fault


class ClientError(Exception):
    """A call has come to nothing."""


class Unreachable(ClientError):
    """The server did not answer, however often it was asked."""


class Unreadable(ClientError):
    """The server answered what this client does not understand."""


class StillRunning(ClientError):
    """The execution has not ended in the time that one would wait for it."""


class ApiError(ClientError):
    """The server refuses.

    Attributes:
        status: The HTTP status.
        code: A short, stable name of what is wrong, such as ``unknown_execution``.
        details: Every fault with its path into what was sent.
        retry_after: Seconds until another try may succeed, if the server says so.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Sequence[Fault] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(status, code, message)
        self.status, self.code, self.message = status, code, message
        self.details = list(details)
        self.retry_after = retry_after

    def __str__(self) -> str:
        told = "".join(f"\n  {fault.path}: {fault.message}" for fault in self.details)
        return f"{self.status} {self.code}: {self.message}{told}"


class Unauthorized(ApiError):
    """The token is missing, unknown, expired or revoked."""


class Forbidden(ApiError):
    """The token may not do this."""


class NotFound(ApiError):
    """There is no such thing, or it is another tenant's."""


class Conflict(ApiError):
    """It is not possible as things stand: the message says why."""


class Refused(ApiError):
    """What was sent is wrong: see the details."""


class TooManyRequests(ApiError):
    """Too many calls: come again after `retry_after` seconds."""


class ServerError(ApiError):
    """The server failed, or what it needs is away."""


def error_class(status: int) -> type[ApiError]:
    """Return the error of a status."""
    known = {
        400: Refused,
        401: Unauthorized,
        403: Forbidden,
        404: NotFound,
        409: Conflict,
        413: Refused,
        415: Refused,
        422: Refused,
        429: TooManyRequests,
    }
    return known.get(status, ServerError if status >= 500 else ApiError)
