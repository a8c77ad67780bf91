"""Nodes that take a little while and leave a trace of every run in a table of the test."""

import hashlib
import time

from django.db import connection

from spane_django.nodes.base import Context, node


@node("storm-work")
def work(ctx: Context) -> dict[str, object]:
    """Compute for some milliseconds and note that it ran."""
    until = time.monotonic() + 0.01
    digest = str(ctx.execution_id).encode()
    while time.monotonic() < until:
        digest = hashlib.sha256(digest).digest()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO storm_runs (execution_id, node_id) VALUES (%s, %s)",
            [ctx.execution_id, ctx.node_id],
        )
    return {"node": ctx.node_id, "seen": sorted(ctx.input) if ctx.input else []}
