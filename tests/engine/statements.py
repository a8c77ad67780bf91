"""Counts what reaches the database, BEGIN and COMMIT included: the driver's own trace of it.

Django's count of queries does not see the engine's hot path, which uses the driver's cursors.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby

from django.db import connection


@contextmanager
def counted() -> Iterator[list[str]]:
    """Yield a list that holds the statements of the block once it has ended."""
    # Whatever Django does to a connection before its first use is not what is counted.
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    found: list[str] = []
    if connection.vendor == "sqlite":
        connection.connection.set_trace_callback(found.append)
        yield found
        connection.connection.set_trace_callback(None)
        # A statement is told again for every step of the triggers that watch transitions.
        found[:] = [statement for statement, _ in groupby(found)]
    else:
        with tempfile.TemporaryFile("w+") as trace:
            connection.connection.pgconn.trace(trace.fileno())
            yield found
            connection.connection.pgconn.untrace()
            trace.seek(0)
            # Time, F for what the front end says, length, kind: Execute runs what was bound, Query
            # is a statement as text.  A text's own line breaks continue on lines without a tab.
            messages = [line.split("\t") for line in trace]
            found += [
                "".join(message[3:])
                for message in messages
                if len(message) > 3 and message[1] == "F" and message[3] in ("Execute", "Query")
            ]
