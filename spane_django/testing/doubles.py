"""Doubles: what stands in for the code of nodes, and the record of every call.

A double replaces ``execute`` and nothing else: the config is checked and filled in, the answer
is accepted and stored, retries are counted as ever.  It takes the place of the code for one run
of one node and leaves no trace.

Which one: a trouble that still has turns, the latest first; else the latest stub; else the code
itself.  So ``fail("ship", times=2)`` comes before what ``stub("ship")`` answers, whichever was
said first.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any
from uuid import UUID

from ..authoring import Step
from ..core.json import Json
from ..engine.run import Work
from ..engine.versions import prepared
from ..nodes.base import Context, Node, registry

Body = Callable[[Context], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One run of a node's code, or of its double.

    Attributes:
        input: A copy of ``ctx.input`` as the run found it.
        config: A copy of ``ctx.config``, its templates filled in.
    """

    execution_id: UUID
    workflow_id: str
    node_id: str
    node_type: str
    attempt: int
    input: Json
    config: Any


@dataclass(frozen=True, slots=True)
class Aim:
    """Which nodes are meant; what is None is not looked at."""

    node: str | None
    type: str | None
    workflow: str | None

    def hits(self, *, node: str, type: str, workflow: str) -> bool:
        """Say whether a node is meant."""
        wanted = (self.node, self.type, self.workflow)
        met = zip(wanted, (node, type, workflow), strict=True)
        return all(want is None or want == found for want, found in met)


class Kind(Enum):
    """What goes wrong."""

    FAILS = auto()
    TIMES_OUT = auto()
    LOSES_ITS_WORKER = auto()


class WorkerDied(BaseException):
    """Raised at the end of a node whose worker is to die; nothing of it is recorded."""


@dataclass(slots=True, kw_only=True)
class Trouble:
    """Something that goes wrong.

    Attributes:
        times: How often it still will; None: always.
    """

    aim: Aim
    kind: Kind
    times: int | None
    error: BaseException | None = None


class Doubles:
    """The doubles of a test and the calls that it has seen."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._stubs: list[tuple[Aim, Body]] = []
        self._troubles: list[Trouble] = []

    def stub(self, aim: Aim, body: Body) -> None:
        """Let ``body`` stand in for the code of nodes."""
        self._stubs.append((aim, body))

    def trouble(self, trouble: Trouble) -> None:
        """Let something go wrong."""
        if trouble.times is not None and trouble.times < 1:
            raise ValueError(f"times is {trouble.times}: give 1 or more, or None for always")
        self._troubles.append(trouble)

    def next_trouble(self, work: Work) -> Trouble | None:
        """Return what goes wrong this time, and count it."""
        for trouble in reversed(self._troubles):
            if trouble.times != 0 and trouble.aim.hits(**_names(work)):
                if trouble.times is not None:
                    trouble.times -= 1
                return trouble
        return None

    @contextmanager
    def in_place(self, work: Work, trouble: Trouble | None) -> Iterator[None]:
        """Let the node's code be what the test wants it to be, and note the call."""
        if work.node.type not in registry:
            yield
            return
        node = registry.get(work.node.type)
        dies = trouble is not None and trouble.kind is Kind.LOSES_ITS_WORKER
        node.execute = self._execute(node, self._body(work, node, trouble), dies=dies)  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            del node.execute

    def _body(self, work: Work, node: Node, trouble: Trouble | None) -> Body:
        if trouble is not None and trouble.error is not None:
            return _raising(trouble.error)
        for aim, body in reversed(self._stubs):
            if aim.hits(**_names(work)):
                return body
        return node.execute

    def _execute(self, node: Node, body: Body, *, dies: bool) -> Body:
        """Return what is called in place of ``node.execute``: ``async`` if that is."""

        async def execute_async(ctx: Context) -> Any:
            self._note(ctx)
            answer = body(ctx)
            return _survived(await answer if inspect.isawaitable(answer) else answer, dies)

        def execute(ctx: Context) -> Any:
            self._note(ctx)
            return _survived(body(ctx), dies)

        return execute_async if inspect.iscoroutinefunction(node.execute) else execute

    def _note(self, ctx: Context) -> None:
        self.calls.append(
            Call(
                execution_id=ctx.execution_id,
                workflow_id=ctx.workflow_id,
                node_id=ctx.node_id,
                node_type=ctx.node_type,
                attempt=ctx.attempt,
                input=deepcopy(ctx.input),
                config=deepcopy(ctx.config),
            )
        )


def aim_at(node: str | Step | None, type: str | None, workflow: str | None) -> Aim:
    """Return which nodes are meant.

    Args:
        node: A node's id, or a step of a `Workflow`, which names its workflow as well.

    Raises:
        ValueError: nothing says which.
    """
    if isinstance(node, Step):
        return Aim(node.id, type, node.workflow.id)
    if node is None and type is None:
        raise ValueError('say which nodes: by id, stub("ship"), or by type, stub(type="http")')
    return Aim(node, type, workflow)


def answering(answer: Any) -> Body:
    """Return a body that answers the same each time."""
    return lambda ctx: answer


def _survived(answer: Any, dies: bool) -> Any:
    """Return the answer, unless the worker dies before it can be recorded."""
    if dies:
        raise WorkerDied
    return answer


def _raising(error: BaseException) -> Body:
    def body(ctx: Context) -> Any:
        raise error.with_traceback(None)

    return body


def _names(work: Work) -> dict[str, str]:
    workflow = prepared(work.claim.version_id).workflow_key
    return {"node": work.claim.node_id, "type": work.node.type, "workflow": workflow}
