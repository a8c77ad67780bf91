"""What a node may answer, and the errors it may raise to say more than "it failed".

A node returns plain data, or one of the answers below.  An exception is a failure that the
retry policy may try again; a *returned* failure is final at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

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
class Wait:
    """Run this node again when its time has come or what it waits for has happened.

    No worker is held meanwhile.  The node starts from its beginning, with ``checkpoint`` in hand
    as ``ctx.checkpoint``.

    Attributes:
        until: The latest instant; None: there is none.
        checkpoint: JSON that the next run finds.
    """

    until: datetime | None = None
    checkpoint: Json = None


@dataclass(frozen=True, slots=True)
class Delay(Wait):
    """Run this node again at ``until``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """An execution that a node starts and waits for.

    Attributes:
        workflow: The workflow's id; "": ``part`` is of the node's own workflow.
        part: The inline body to be run, by the name that the version knows it by.
        item: Its place in the list or the loop.
        follows_parent: Whether it is cancelled, paused and resumed with its parent.
    """

    workflow: str = ""
    part: str = ""
    input: Json = None
    item: int = 0
    follows_parent: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StartChildren(Wait):
    """Start executions, and run this node again when all of them have ended.

    Attributes:
        parallelism: So many of them run at once; None: all.
        failures_tolerated: The node goes on early once more have failed; None: never early.
    """

    children: Sequence[Child] = ()
    parallelism: int | None = None
    failures_tolerated: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitFor(Wait):
    """Run this node again when a signal arrives, which it finds as ``ctx.signal``.

    Attributes:
        key: Which of the signals of this name; None: one that is sent to this execution.
    """

    signal: str
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskApproval(Wait):
    """Ask people, and run this node again when they have decided: see ``ctx.approval``.

    It also runs again, undecided, when ``until`` has come.  Asked again in the same round, the
    open question goes to the people, and gets the deadline, of the new answer; what has been
    decided about it stays.

    Attributes:
        title: The question, in one line; of a longer one the beginning is kept.
        form: A JSON Schema of what must be filled in with an approval; None: nothing.
        users: Names of users who may decide.
        groups: Names of groups whose members may.
        permission: ``app_label.codename`` of those who may.  One of the three must be given.
        quorum: So many must approve; one rejection rejects.
        allows_starter: Whether who started the execution may decide.
        escalation: Whom the node means to ask when ``until`` has come, for people to see:
            ``users``, ``groups``, ``permission``.
    """

    title: str
    description: str = ""
    form: Mapping[str, Any] | None = None
    users: Sequence[str] = ()
    groups: Sequence[str] = ()
    permission: str = ""
    quorum: int = 1
    allows_starter: bool = False
    escalation: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """The attempt was cut short by what befell its worker or the database, not by what it did.

    Attributes:
        type: What it is called where failures are listed.
        reason: What befell.
    """

    type: str = "WorkerLost"
    reason: str = "its worker died while running it"


@dataclass(frozen=True, slots=True)
class Returned:
    """The worker gives the node back unstarted; nothing has happened to it."""


Answer = Result | Failure | Wait
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
