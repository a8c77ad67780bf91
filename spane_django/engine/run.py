"""Running: the one place where a node's code is called.

Whatever that code does, an answer comes back: data, an answer of `core.outcome`, or a failure
made of the exception.  If the database stayed away while the engine read for the node, the attempt
is lost, as with its worker.  The traceback that is kept is bounded and holds no local variables,
and nothing that is kept holds a secret that the node has opened (see `opened`).
Nothing here writes to the engine's tables; a node that asks for other nodes' results or for the
execution's input reads them on its own thread's connection.
"""

from __future__ import annotations

import inspect
import traceback
from asyncio import to_thread
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from ..clock import machine_time
from ..conf import settings
from ..core.json import UnstorableValue, encode, printable
from ..core.outcome import Delay, Failure, Lost, Outcome, Permanent, Result, Wait
from ..core.running import RUNNING
from ..core.waiting import check_wait
from ..nodes.base import Context, Node, registry
from ..nodes.checks import config_faults
from . import tracing
from .ahead import pure_successors, run_ahead
from .claim import Claim
from .context import Journal, context_of
from .db import DatabaseLost, drop_broken_connections, is_passing
from .finished import Finished
from .inputs import Received
from .payloads import is_large, store, stored
from .transactional import in_one_transaction, transaction_lost
from .versions import PreparedNode, prepared

TRACEBACK_CHARACTERS = 8_000
MESSAGE_CHARACTERS = 4_000
TYPE_CHARACTERS = 200  # as the columns hold

Clock = Callable[[], datetime]
Hide = Callable[[str], str]


class Interrupted(BaseException):
    """Raised in a node's thread when its attempt has been given up."""


class InvalidConfig(Permanent):
    """The node's config does not fit its type."""


class Cancellation:
    """Whether a result is no longer wanted: said once, asked from other threads."""

    __slots__ = ("is_wanted",)

    def __init__(self) -> None:
        self.is_wanted = True

    def set(self) -> None:
        """Say that it is not."""
        self.is_wanted = False

    def is_set(self) -> bool:
        """Say whether it is not."""
        return not self.is_wanted


@dataclass(slots=True, kw_only=True)
class Work:
    """A claimed node run with all that its node needs.

    Attributes:
        cancelled: Set when the result is no longer wanted.
        traceparent: The attempt's place in its trace; None where nothing is traced.
    """

    claim: Claim
    received: Received
    node: PreparedNode
    cancelled: Cancellation = field(default_factory=Cancellation)
    traceparent: str | None = None

    @property
    def workflow_id(self) -> str:
        """The workflow's id."""
        return prepared(self.claim.version_id).workflow_key

    @property
    def is_async(self) -> bool:
        """Whether the node's code is a coroutine function, to be run by :func:`run_async`."""
        return is_async(self.node.type)


def utc_now() -> datetime:
    """Return the current instant."""
    return machine_time()


@lru_cache(maxsize=512)
def is_async(node_type: str) -> bool:
    """Say whether a node type is ``async``; an unknown one is not."""
    return node_type in registry and inspect.iscoroutinefunction(registry.get(node_type).execute)


@lru_cache(maxsize=512)
def is_transactional(node_type: str) -> bool:
    """Say whether a node type commits its writes with its result; an unknown one does not."""
    return node_type in registry and registry.get(node_type).is_transactional


def run(work: Work, *, clock: Clock = utc_now, runs_ahead: bool = True) -> Finished:
    """Run a plain node on this thread and return how its attempt ended.  Never raises.

    A transactional one is settled already if it succeeded.

    Args:
        runs_ahead: Whether to run pure successors as well; they wait for a claim if not.
    """
    if is_transactional(work.node.type):
        journal, began = Journal(work.claim, clock), clock()
        return in_one_transaction(
            lambda: _attempt(work, journal, clock),
            lambda error: _failed(work, journal, error, began, clock),
        )
    finished = _attempt(work, Journal(work.claim, clock), clock)
    if not runs_ahead:
        return finished
    if pure_successors(work.claim.version_id, work.claim.node_id) and _has_time(work, finished):
        finished.ahead = list(run_ahead(finished, _runner(work, clock)))
    return finished


def _failed(
    work: Work, journal: Journal, error: BaseException, began: datetime, clock: Clock
) -> Finished:
    failure, now = failure_of(error, journal.secrets.hide), clock()
    outcome = transaction_lost(failure.message) if is_passing(error) else failure
    return Finished(claim=work.claim, outcome=outcome, started_at=began, finished_at=now)


def _attempt(work: Work, journal: Journal, clock: Clock) -> Finished:
    token, span, finished = RUNNING.set(work), tracing.begin(work), None
    try:
        finished = _call(work, journal, clock)
    finally:
        if span is not None:
            tracing.end(span, finished)
        RUNNING.reset(token)
    return finished


def _call(work: Work, journal: Journal, clock: Clock) -> Finished:
    started_at = clock()
    drop_broken_connections()
    try:
        node, ctx = _prepare(work, journal, started_at)
        outcome, output = _kept(*_accept(node.execute(ctx), work, journal), now=started_at)
    except BaseException as error:
        outcome, output = _broken_off(error, journal.secrets.hide), "null"
    finally:
        journal.secrets.close()
        drop_broken_connections()
    return _finished(work, journal, outcome, output, started_at=started_at, clock=clock)


def _has_time(work: Work, finished: Finished) -> bool:
    """Say whether successors may run within what the attempt's timeout leaves, well within."""
    if work.node.timeout is None or finished.started_at is None:
        return True
    return finished.finished_at - finished.started_at < work.node.timeout / 2


def _runner(work: Work, clock: Clock) -> Callable[[Claim, Received], Finished]:
    def run_one(claim: Claim, received: Received) -> Finished:
        node = prepared(claim.version_id).nodes[claim.node_id]
        received.traceparent = work.received.traceparent
        ahead = Work(claim=claim, received=received, node=node, cancelled=work.cancelled)
        return _attempt(ahead, Journal(claim, clock), clock)

    return run_one


async def run_async(work: Work, *, clock: Clock = utc_now) -> Finished:
    """Run an ``async`` node on this event loop and return how its attempt ended.  Never raises.

    What Python lets through to the loop would end it for all nodes (SystemExit), or leave the
    attempt without an end (a CancelledError of the node's own).
    """
    token, span, finished = RUNNING.set(work), tracing.begin(work), None
    try:
        finished = await _call_async(work, clock)
    finally:
        if span is not None:
            tracing.end(span, finished)
        RUNNING.reset(token)
    return finished


async def _call_async(work: Work, clock: Clock) -> Finished:
    started_at = clock()
    journal = Journal(work.claim, clock)
    try:
        node, ctx = _prepare(work, journal, started_at)
        outcome, output = _accept(await node.execute(ctx), work, journal)
        if is_large(output):
            outcome, output = await to_thread(_kept, outcome, output, now=started_at)
        else:
            outcome, output = _kept(outcome, output, now=started_at)
    except BaseException as error:
        outcome, output = _broken_off(error, journal.secrets.hide), "null"
    finally:
        journal.secrets.close()
    return _finished(work, journal, outcome, output, started_at=started_at, clock=clock)


def timed_out(work: Work, *, started_at: datetime, now: datetime) -> Finished:
    """Return the end of an attempt that outran its timeout, whether or not its code has."""
    timeout = work.node.timeout
    milliseconds = timeout.total_seconds() * 1_000 if timeout else 0
    failure = Failure(
        message=f"Node execution timed out after {milliseconds:g}ms",
        type="NodeTimeout",
        exception_types=("NodeTimeout", "TimeoutError"),
    )
    return Finished(claim=work.claim, outcome=failure, started_at=started_at, finished_at=now)


def failure_of(error: BaseException, hide: Hide = str) -> Failure:
    """Return an exception as a failure: type, message and a bounded traceback, no locals.

    Args:
        hide: Takes out what must not be seen.
    """
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    return _storable(
        Failure(
            message=_said(error) or type(error).__name__,
            type=type(error).__name__,
            traceback="".join(lines),
            is_retryable=getattr(error, "is_retryable", True) is not False,
            retry_after=getattr(error, "retry_after", None),
            exception_types=tuple(cls.__name__ for cls in type(error).__mro__),
        ),
        hide,
    )


def _broken_off(error: BaseException, hide: Hide) -> Failure | Lost:
    """Return how an attempt ended that an exception has ended."""
    failure = failure_of(error, hide)
    if isinstance(error, DatabaseLost):
        return Lost(type=failure.type, reason=f"the database stayed away: {failure.message}")
    return failure


def _said(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the node tried to exit the process (status {error.code})"
    try:
        return str(error)
    except Exception:
        return ""


def _prepare(work: Work, journal: Journal, now: datetime) -> tuple[Node, Context]:
    claim = work.claim
    node = _checked_node(claim.version_id, claim.node_id)
    deadline = now + work.node.timeout if work.node.timeout else None
    is_cancelled = work.cancelled.is_set
    ctx = context_of(
        claim, work.received, node, journal, now=now, deadline=deadline, is_cancelled=is_cancelled
    )
    return node, ctx


@lru_cache(maxsize=4_096)
def _checked_node(version_id: int, node_id: str) -> Node:
    """Return the node's type once its config has been seen to fit it."""
    definition = prepared(version_id).nodes[node_id].definition
    node = registry.get(definition.type)
    faults = config_faults(node, definition)
    if faults:
        raise InvalidConfig("; ".join(map(str, faults)))
    return node


def _accept(answer: Any, work: Work, journal: Journal) -> tuple[Outcome, str]:
    """Return a node's answer as an outcome with its data as JSON text, without secrets."""
    if isinstance(answer, Failure):
        return _storable(answer, journal.secrets.hide), "null"
    try:
        outcome, output = _checked(answer)
        return journal.secrets.hide_in_answer(outcome, output, work.node.definition.outputs)
    except UnstorableValue as error:
        message = f"the output of node '{work.claim.node_id}' cannot be stored: {error}"
        if "measures" in str(error):
            message += " (MAX_PAYLOAD_BYTES): keep large data elsewhere and hand on where they are"
        return Failure(message=message, type="UnstorableOutput", is_retryable=False), "null"


def _kept(outcome: Outcome, output: str, *, now: datetime) -> tuple[Outcome, str]:
    """Put what is too large for a row into the file storage."""
    if isinstance(outcome, Wait) and outcome.checkpoint is not None:
        outcome = replace(outcome, checkpoint=stored(outcome.checkpoint, now=now))
    return outcome, store(output, now=now)


def _checked(answer: Any) -> tuple[Outcome, str]:
    if isinstance(answer, Wait):
        return _checked_wait(answer), "null"
    result = answer if isinstance(answer, Result) else Result(answer)
    return _checked_result(result), encode(result.data, limit_bytes=settings.MAX_PAYLOAD_BYTES)


def _storable(failure: Failure, hide: Hide) -> Failure:
    """Return a failure, whoever made it, so that it can be recorded."""
    wait = failure.retry_after
    return replace(
        failure,
        message=printable(hide(str(failure.message)))[:MESSAGE_CHARACTERS],
        type=printable(hide(str(failure.type)))[:TYPE_CHARACTERS],
        traceback=printable(hide(str(failure.traceback)))[-TRACEBACK_CHARACTERS:],
        retry_after=max(wait, timedelta(0)) if isinstance(wait, timedelta) else None,
    )


def _checked_wait(wait: Wait) -> Wait:
    encode(wait.checkpoint, limit_bytes=settings.MAX_PAYLOAD_BYTES)
    check_wait(wait, limit_bytes=settings.MAX_PAYLOAD_BYTES)
    if wait.until is None and not isinstance(wait, Delay):
        return wait
    if not isinstance(wait.until, datetime) or wait.until.tzinfo is None:
        raise UnstorableValue(f"{type(wait).__name__}.until must be an aware datetime")
    try:
        return replace(wait, until=wait.until.astimezone(UTC))
    except OverflowError:
        raise UnstorableValue(f"{type(wait).__name__}.until lies outside of the calendar") from None


def _checked_result(result: Result) -> Result:
    chosen = result.next_nodes
    if chosen is None:
        return result
    if isinstance(chosen, str):
        raise UnstorableValue("next_nodes must be a list of node ids, not one id")
    nodes = list(chosen)
    if not all(isinstance(node, str) for node in nodes):
        raise UnstorableValue("next_nodes must be a list of node ids")
    encode(nodes)
    return replace(result, next_nodes=nodes)


def _finished(
    work: Work,
    journal: Journal,
    outcome: Outcome,
    output: str,
    *,
    started_at: datetime,
    clock: Clock,
) -> Finished:
    return Finished(
        claim=work.claim,
        outcome=outcome,
        output=output,
        started_at=started_at,
        finished_at=clock(),
        lines=journal.kept(),
    )
