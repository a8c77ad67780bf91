"""Node types whose behaviour a test decides: they run a function of the test by node id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spane_django.nodes.base import Context, Node, registry

Body = Callable[[Context], Any]

bodies: dict[str, Body] = {}


@registry.register
class CallNode(Node):
    """Runs what the test has put into `bodies` under the node's id; by default tells its name."""

    type = "call"

    def execute(self, ctx: Context) -> Any:
        return bodies.get(ctx.node_id, _name)(ctx)


@registry.register
class WriteNode(CallNode):
    """Does so in the transaction of its settlement."""

    type = "write"
    is_transactional = True


def _name(ctx: Context) -> dict[str, str]:
    return {"from": ctx.node_id}
