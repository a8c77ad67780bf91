"""Logs that say where they come from: every record made inside a node names its attempt.

One line in ``LOGGING`` is enough::

    "formatters": {"json": {"()": "spane_django.observability.logs.JsonLines"}}

writes each record as a line of JSON.  Who keeps a format of their own puts `NodeFilter` on the
handler and may then name ``%(execution_id)s`` and the others in it; outside of nodes they are "".

Nothing of the engine is imported here, as logging is set up before any model may be.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache

from ..core.json import Json
from ..core.redaction import HIDING
from ..core.running import RUNNING

FIELDS = (
    "execution_id", "workflow_id", "node_id", "node_type", "attempt", "tenant", "worker",
    "trace_id",
)  # fmt: skip
"""What a record is told of the attempt that made it."""

_PLAIN_TEXT = logging.Formatter()
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class NodeFilter(logging.Filter):
    """Gives every record the `FIELDS`; lets all of them pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in about_here().items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


class HideSecrets(logging.Filter):
    """Keeps opened secrets out of a log of the process: put it on the handlers of workers.

    It knows what the node that logs, or for which a library logs, has opened: on its own thread,
    or in its own task.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if hide := HIDING.get():
            record.msg, record.args = hide.text(record.getMessage()), None
            if record.exc_info:
                record.exc_text = hide.text(_PLAIN_TEXT.formatException(record.exc_info))
                record.exc_info = None
        return True


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON.

    ``time``, ``level``, ``logger`` and ``message``; of an attempt what is not empty of `FIELDS`;
    ``exception`` with its traceback; and whatever else the record was given as ``extra``.  What
    the attempt has opened of secrets is hidden in all of it.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in about_here().items() if value != ""},
            **dict(_extra(record)),
        }
        if record.exc_text:
            line["exception"] = record.exc_text
        elif record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        text = json.dumps(line, default=str, ensure_ascii=False)
        if hide := HIDING.get():
            text = json.dumps(hide.json(json.loads(text)), ensure_ascii=False)
        return text


def about_here() -> dict[str, Json]:
    """Return the `FIELDS` of the attempt that runs here; outside of nodes all are ""."""
    running = RUNNING.get()
    if running is None:
        return dict.fromkeys(FIELDS, "")
    claim = running.claim
    trace = running.traceparent
    return {
        "execution_id": str(claim.execution_id),
        "workflow_id": running.workflow_id,
        "node_id": claim.node_id,
        "node_type": running.node.type,
        "attempt": claim.attempt,
        "tenant": claim.tenant,
        "worker": _worker(os.getpid()),
        "trace_id": "" if trace is None else trace.split("-")[1],
    }


def _extra(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    for name, value in vars(record).items():
        if name not in _PLAIN and value != "":
            yield name, value


# By process: a fork is another worker.
@lru_cache(maxsize=1)
def _worker(pid: int) -> str:
    """Return the name that workers of this process have in the list of workers."""
    return f"{socket.gethostname()}:{pid}"
