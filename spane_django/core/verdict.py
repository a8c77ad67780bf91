"""What becomes of a node run when its attempt has ended: the outcome under the node's policy.

The verdict is one event of the node's table with all that the event brings along.  Applying it
is the engine's work; nothing here reads a clock or a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, assert_never

from .json import Json
from .outcome import Failure, Lost, Outcome, Result, Returned, Wait
from .retry import DEFAULT, Retry
from .statuses import NodeEvent

# A hundred years: a node may ask for more, but instants end.
_LONGEST_WAIT = timedelta(days=36_525)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a node's definition and type say about its failures.

    Attributes:
        continues: Whether a final failure becomes data for the children.
        error_nodes: The children that a final failure leads to, with the error as their data;
            none: it leads nowhere.
        usual_nodes: What a success chooses that says nothing itself; None: every child.
        max_losses: So many of its attempts may be lost, with their workers or their transactions,
            before the node is given up.
    """

    retry: Retry = DEFAULT
    continues: bool = False
    error_nodes: tuple[str, ...] = ()
    usual_nodes: tuple[str, ...] | None = None
    max_losses: int = 3


class Budget(NamedTuple):
    """What a node run has used up so far."""

    failures: int = 0
    losses: int = 0


class Verdict(NamedTuple):
    """The event, and what it brings along.

    Attributes:
        budget: What is used up now.
        failure: Why the attempt did not succeed; None if it did.
        data: What a completed node hands on.
        next_nodes: The children that a completed node chose; None: all.
        available_at: When it may run again; None keeps its place in the queue, or waits until
            something happens.
        wait: What a deferred node waits for.
        is_lost: Whether the attempt was lost, with its worker or its transaction.
    """

    event: NodeEvent
    budget: Budget
    failure: Failure | None = None
    data: Json = None
    next_nodes: list[str] | None = None
    available_at: datetime | None = None
    wait: Wait | None = None
    is_lost: bool = False


def judge(
    outcome: Outcome, policy: Policy, budget: Budget, *, now: datetime, chance: float = 0.0
) -> Verdict:
    """Return what becomes of a running node whose attempt ended in ``outcome``.

    Args:
        chance: A random number in [0, 1) for the jitter of a retry.
    """
    match outcome:
        case Result(data=data, next_nodes=chosen):
            nodes = policy.usual_nodes if chosen is None else chosen
            next_nodes = None if nodes is None else list(nodes)
            return Verdict(
                event=NodeEvent.COMPLETED, budget=budget, data=data, next_nodes=next_nodes
            )
        case Wait(until=until):
            return Verdict(
                event=NodeEvent.DEFERRED, budget=budget, available_at=until, wait=outcome
            )
        case Returned():
            return Verdict(event=NodeEvent.RETURNED, budget=budget)
        case Lost():
            return _lost(outcome, policy, budget, now)
        case Failure():
            return _failed(outcome, policy, budget, now=now, chance=chance)
        case _:
            assert_never(outcome)


def _lost(outcome: Lost, policy: Policy, budget: Budget, now: datetime) -> Verdict:
    used = Budget(failures=budget.failures, losses=budget.losses + 1)
    message = f"{outcome.reason} ({used.losses} of {policy.max_losses})"
    failure = Failure(message=message, type=outcome.type)
    if used.losses >= policy.max_losses:
        return _for_good(failure, policy, used, is_lost=True)
    return Verdict(
        event=NodeEvent.LOST, budget=used, failure=failure, available_at=now, is_lost=True
    )


def _failed(
    failure: Failure, policy: Policy, budget: Budget, *, now: datetime, chance: float
) -> Verdict:
    used = Budget(failures=budget.failures + 1, losses=budget.losses)
    if policy.retry.allows(failure, failures=used.failures):
        wait = failure.retry_after
        if wait is None:
            wait = policy.retry.wait(failures=used.failures, chance=chance)
        return Verdict(
            event=NodeEvent.RETRIED,
            budget=used,
            failure=failure,
            available_at=now + min(wait, _LONGEST_WAIT),
        )
    return _for_good(failure, policy, used)


def _for_good(failure: Failure, policy: Policy, used: Budget, *, is_lost: bool = False) -> Verdict:
    if not (policy.continues or policy.error_nodes):
        return Verdict(event=NodeEvent.FAILED, budget=used, failure=failure, is_lost=is_lost)
    told = {"errorType": failure.type, "attempts": used.failures + used.losses}
    return Verdict(
        event=NodeEvent.COMPLETED,
        budget=used,
        failure=failure,
        data={
            "error": failure.message,
            **(told if policy.error_nodes else {}),
            "_metadata": {"continuedOnFail": True, "originalError": failure.message},
        },
        next_nodes=list(policy.error_nodes) or None,
        is_lost=is_lost,
    )
