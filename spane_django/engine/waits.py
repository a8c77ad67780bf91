"""Waiting: what is written beside a node run that waits, in the transaction that settles it.

One line of `_REGISTER` per kind of wait; the time alone needs nothing beside the row itself.
When what a node waits for has happened, its row becomes due and the node runs again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ..core.outcome import AskApproval, StartChildren, Wait, WaitFor
from .approvals import ask
from .children import insert_children
from .claim import Claim
from .delivery import Awaited, deliver
from .ending import Todo
from .rows import NewExecution

# More than any number of children that may fail.
ANY_NUMBER = 2_147_483_647


@dataclass(slots=True)
class Waiting:
    """A node run that has just been settled as waiting."""

    claim: Claim
    wait: Wait
    tenant: str = ""
    children: list[NewExecution] = field(default_factory=list)


def register(waits: Sequence[Waiting], *, now: datetime) -> Todo:
    """Write what belongs to waits; return what is to be done after the commit."""
    todo = Todo()
    for item in waits:
        write = _REGISTER.get(type(item.wait))
        if write is not None:
            write(item, todo, now=now)
    return todo


def signal_of_wait(claim: Claim, wait: Wait | None) -> tuple[str, str]:
    """Return the name and the key of the signal that a wait is for; ("", "") if for none."""
    if not isinstance(wait, WaitFor):
        return "", ""
    return wait.signal, str(claim.execution_id) if wait.key is None else wait.key


def failures_tolerated(wait: Wait | None) -> int | None:
    """Return how many children may fail before a wait ends early; None: it has no children."""
    if not isinstance(wait, StartChildren):
        return None
    tolerated = wait.failures_tolerated
    # A config may write the number as 5.0, or larger than any column.
    return ANY_NUMBER if tolerated is None else min(int(tolerated), ANY_NUMBER)


def _start_children(item: Waiting, todo: Todo, *, now: datetime) -> None:
    todo.queues |= insert_children(item.children, now=now)
    todo.slots |= {child.slot for child in item.children if child.slot.startswith("workflow:")}


def _await_signal(item: Waiting, todo: Todo, *, now: datetime) -> None:
    name, key = signal_of_wait(item.claim, item.wait)
    awaited = Awaited(name, key, item.tenant)
    todo.queues |= deliver(awaited, now=now)
    todo.signals.add(awaited)


def _ask(item: Waiting, todo: Todo, *, now: datetime) -> None:
    if isinstance(item.wait, AskApproval):
        ask(item.claim, item.wait, now=now)


_REGISTER: dict[type[Wait], Callable[..., None]] = {
    StartChildren: _start_children,
    WaitFor: _await_signal,
    AskApproval: _ask,
}
