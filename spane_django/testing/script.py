"""What a test says about nodes: which are stubbed, which fail, and how they were called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..authoring import Step
from ..nodes.base import Context
from .doubles import Call, Doubles, Kind, Trouble, aim_at, answering


class Script:
    """What is to happen when nodes run, in place of what their code would do."""

    def __init__(self, doubles: Doubles) -> None:
        self._doubles = doubles

    def stub(
        self,
        node: str | Step | None = None,
        returns: Any = None,
        *,
        does: Callable[[Context], Any] | None = None,
        type: str | None = None,
        workflow: str | None = None,
    ) -> None:
        """Let an answer, or a function, stand in for the code of nodes.

        Args:
            node: The node's id, or a step such as ``fulfilment["ship"]``.
            returns: What the nodes answer: data, or an answer such as ``Result`` or ``Delay``.
            does: Called with the context instead; what it returns or raises counts.
            type: All nodes of this type, or only those if ``node`` is given as well.
            workflow: Only nodes of the workflow with this id.
        """
        self._doubles.stub(aim_at(node, type, workflow), does or answering(returns))

    def fail(
        self,
        node: str | Step | None = None,
        error: BaseException | None = None,
        *,
        times: int | None = None,
        type: str | None = None,
        workflow: str | None = None,
    ) -> None:
        """Let nodes fail by an exception, which retry policies judge as ever.

        Args:
            error: What they raise; None: a RuntimeError.
            times: How many runs fail before the stub or the node's own code is back; None: all.

        The other arguments are those of :meth:`stub`.
        """
        raised = error or RuntimeError("the test lets this node fail")
        aim = aim_at(node, type, workflow)
        self._doubles.trouble(Trouble(aim=aim, kind=Kind.FAILS, times=times, error=raised))

    def time_out(
        self,
        node: str | Step | None = None,
        *,
        times: int | None = None,
        type: str | None = None,
        workflow: str | None = None,
    ) -> None:
        """Let nodes outrun their timeout; their code is not called.

        The arguments are those of :meth:`fail`.
        """
        error = TimeoutError("the test lets this node time out")
        aim = aim_at(node, type, workflow)
        self._doubles.trouble(Trouble(aim=aim, kind=Kind.TIMES_OUT, times=times, error=error))

    def lose_worker(
        self,
        node: str | Step | None = None,
        *,
        times: int | None = 1,
        type: str | None = None,
        workflow: str | None = None,
    ) -> None:
        """Let the worker die once nodes have done their work, before that is recorded.

        They run again: what they do outside must bear to be done twice.  The arguments are
        those of :meth:`fail`.
        """
        aim = aim_at(node, type, workflow)
        self._doubles.trouble(Trouble(aim=aim, kind=Kind.LOSES_ITS_WORKER, times=times))

    def calls(
        self,
        node: str | Step | None = None,
        *,
        type: str | None = None,
        workflow: str | None = None,
    ) -> list[Call]:
        """Return how often nodes were run and with what, doubles and real code alike.

        The arguments are those of :meth:`stub`.
        """
        aim = aim_at(node, type, workflow)
        return [
            call
            for call in self._doubles.calls
            if aim.hits(node=call.node_id, type=call.node_type, workflow=call.workflow_id)
        ]
