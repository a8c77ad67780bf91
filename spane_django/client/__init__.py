"""A typed client of the API, for other services: it needs httpx, and neither Django nor a database.

    from spane_django.client import Client

    with Client("https://flows.example.com", token="spane_…") as flows:
        started = flows.start("onboarding", {"email": "user@example.com"})
        print(flows.wait(started.execution_id, timeout=60).output)

`AsyncClient` has the same methods, to be awaited; what comes in pages, and events, are iterators
in both.  Calls that can be repeated safely are, when the server is busy or away; a start carries
an ``Idempotency-Key`` and is one of them.  What the API refuses is an exception with its code and
every fault.

The modules `routes_*` say once what the methods are, `answers_*` what they return, `exchange`
when a call is tried again; `sync` and `asynchronous` only send.
"""

from __future__ import annotations

from .answers import (
    Ended,
    Event,
    Execution,
    Fault,
    ListedExecution,
    NodeResult,
    Reference,
    Status,
)
from .answers_operating import Approval, AuditEntry, DeadLetter, Gate
from .answers_workflows import Registered
from .asynchronous import AsyncClient
from .errors import (
    ApiError,
    ClientError,
    Conflict,
    Forbidden,
    NotFound,
    Refused,
    ServerError,
    StillRunning,
    TooManyRequests,
    Unauthorized,
    Unreachable,
)
from .exchange import Tries
from .sync import Client

__all__ = [
    "ApiError",
    "Approval",
    "AsyncClient",
    "AuditEntry",
    "Client",
    "ClientError",
    "Conflict",
    "DeadLetter",
    "Ended",
    "Event",
    "Execution",
    "Fault",
    "Forbidden",
    "Gate",
    "ListedExecution",
    "NodeResult",
    "NotFound",
    "Reference",
    "Refused",
    "Registered",
    "ServerError",
    "Status",
    "StillRunning",
    "TooManyRequests",
    "Tries",
    "Unauthorized",
    "Unreachable",
]
