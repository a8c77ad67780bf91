"""The seam of tracing: where a tracer is told what begins and ends, if there is one.

Without one nothing happens and nothing is read.  A tracer that fails harms nothing: what it would
have traced goes on untraced.  Traces are carried from start to node to child as the text of the
W3C header ``traceparent``, in the execution's column of that name.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from ..models import Execution

if TYPE_CHECKING:
    from .claim import Claim
    from .finished import Finished
    from .inputs import Received
    from .intake import StartOptions
    from .run import Work

logger = logging.getLogger("spane_django.engine")


class Span(Protocol):
    """An attempt that is being traced."""

    @property
    def traceparent(self) -> str | None:
        """Its place in the trace, for what it calls and starts."""

    def end(self, finished: Finished | None) -> None:
        """Say how it ended; None: nobody knows."""


class Tracer(Protocol):
    """What traces."""

    def start(self, workflow: str, parent: str | None) -> AbstractContextManager[str | None]:
        """Trace a start; give the trace that the new executions belong to.

        Args:
            parent: The trace that the caller says it belongs to; None: the current one.
        """

    def attempt(self, work: Work) -> Span:
        """Trace an attempt, from now until the span is ended on the same thread."""

    def settle(self, finished: Sequence[Finished]) -> AbstractContextManager[object]:
        """Trace a settlement."""


_tracer: Tracer | None = None


def install(tracer: Tracer | None) -> None:
    """Let a tracer know from now on; None: nobody."""
    global _tracer
    _tracer = tracer


@contextmanager
def starting(workflow: str, options: StartOptions) -> Iterator[StartOptions]:
    """Trace what is started in the block; give the options that it is started with."""
    if _tracer is None:
        yield options
        return
    with _tracer.start(workflow, options.traceparent) as traceparent:
        yield replace(options, traceparent=traceparent or options.traceparent)


def begin(work: Work) -> Span | None:
    """Trace an attempt that begins on this thread; None if nothing traces."""
    if _tracer is None:
        return None
    try:
        span = _tracer.attempt(work)
        work.traceparent = span.traceparent
    except Exception:
        logger.warning("an attempt is not traced", exc_info=True)
        return None
    return span


def end(span: Span, finished: Finished | None) -> None:
    """End the trace of an attempt; what it leads to belongs to it."""
    try:
        span.end(finished)
    except Exception:
        logger.warning("an attempt is not traced", exc_info=True)
    if finished is not None:
        finished.traceparent = span.traceparent


def settling(finished: Sequence[Finished]) -> AbstractContextManager[object]:
    """Trace a settlement in the block."""
    return nullcontext() if _tracer is None or not finished else _tracer.settle(finished)


def give(claims: Sequence[Claim], received: Sequence[Received]) -> None:
    """Give what is claimed the traces of its executions, if anything traces."""
    if _tracer is None:
        return
    traced = Execution.objects.filter(
        id__in={claim.execution_id for claim in claims}, traceparent__isnull=False
    )
    known = dict(traced.values_list("id", "traceparent"))
    for claim, one in zip(claims, received, strict=True):
        one.traceparent = known.get(claim.execution_id)
