"""A node that says when it runs and goes on when it may."""

from __future__ import annotations

import os
import time
from pathlib import Path

from spane_django.nodes.base import Context, node

PATIENCE_SECONDS = 60.0


@node("hold")
def hold(ctx: Context) -> dict[str, object]:
    """Leave a file that names this process, then wait for the file ``go`` beside it."""
    directory = Path(os.environ["HOLD_DIR"])
    (directory / f"{ctx.execution_id}.{ctx.node_id}").write_text(str(os.getpid()))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (directory / "go").exists():
        if time.monotonic() > deadline:
            raise TimeoutError("nobody let this node go")
        time.sleep(0.01)
    return {"pid": os.getpid()}
