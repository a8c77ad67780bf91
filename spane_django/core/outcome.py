"""What a node may answer, and the errors it may raise to say more than "it failed".

A node returns plain data, or one of the answers below.  An exception is a failure that the
retry policy may try again; a *returned* failure is final at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from .json import Json


@dataclass(frozen=True, slots=True)
class Result:
    """The node did its work.

    Attributes:
        data: What the children receive.
        next_nodes: The ids of the children to go on with.  None: all of them.  An empty
            sequence: none, so every child is skipped.  Ids that are no children are ignored.
    """

    data: Json = None
    next_nodes: Sequence[str] | None = None

    @staticmethod
    def failure(message: str, *, type: str = "Failure") -> Failure:
        """Answer that the work cannot be done.  It is final: no retry follows."""
        return Failure(message=message, type=type, is_retryable=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The attempt did not succeed.

    Attributes:
        message: One sentence for the operator.
        type: The name of the exception's class, by which failures are grouped.
        traceback: Where it happened; bounded, without the values of local variables.
        is_retryable: False ends the node at once, whatever its retry policy allows.
        retry_after: Wait this long before the next attempt instead of the policy's backoff.
        exception_types: The class names of the exception and its bases, which the policy's
            ``retry_on`` and ``give_up_on`` are compared with.
    """

    message: str
    type: str = "Failure"
    traceback: str = ""
    is_retryable: bool = True
    retry_after: timedelta | None = None
    exception_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delay:
    """Run this node again at ``until``, with ``checkpoint`` in hand; no worker is held meanwhile.

    It is no failure and uses up no attempt.

    Attributes:
        until: An aware instant; one in the past means as soon as possible.
        checkpoint: JSON that the next run finds as ``ctx.checkpoint``.
    """

    until: datetime
    checkpoint: Json = None


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker that held the claim died before it could answer."""


@dataclass(frozen=True, slots=True)
class Returned:
    """The worker gives the node back unstarted; nothing has happened to it."""


Answer = Result | Failure | Delay
Outcome = Answer | Lost | Returned


class NodeError(Exception):
    """Raised by a node: the attempt failed, and the retry policy decides what follows."""

    is_retryable = True
    retry_after: timedelta | None = None


class Permanent(NodeError):
    """Raised by a node: the failure will not go away, do not retry."""

    is_retryable = False


class RetryAfter(NodeError):
    """Raised by a node: try again, but not before ``seconds`` have passed."""

    def __init__(self, seconds: float, message: str = "") -> None:
        super().__init__(message or f"asked to wait {seconds:g} s before the next attempt")
        self.retry_after = timedelta(seconds=max(0.0, seconds))
