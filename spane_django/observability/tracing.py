"""OpenTelemetry: spans for starts, attempts and settlements, in one trace from start to child.

A start's span belongs to whatever is current where the caller starts; attempts belong to their
execution's start, children to the attempt that started them, and an ``http`` node's request
carries the attempt's trace in its header.  A settlement commits attempts of many executions at
once, so its span is linked to theirs and belongs to none, but for a batch of one.

Only the API of OpenTelemetry is used: the project chooses an SDK and where spans go.  Attributes
are ids and names, never data, and of an error the class alone: its message may hold anything.

This module is imported only where ``SPANE["TRACING"]`` is on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import Token

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from .. import signals
from ..core.outcome import Failure, Lost
from ..engine import tracing
from ..engine.finished import Finished
from ..engine.run import Work

# More links than this tell nobody anything.
_MOST_LINKS = 100
_FLUSH_MILLISECONDS = 2_000

_w3c = TraceContextTextMapPropagator()


def connect() -> None:
    """Begin to trace."""
    tracing.install(OpenTelemetry(trace.get_tracer("spane_django")))
    signals.drain_ended.connect(_flush, weak=False)


def disconnect() -> None:
    """Trace no more."""
    tracing.install(None)
    signals.drain_ended.disconnect(_flush)


class OpenTelemetry:
    """The engine's tracer.  Implements `spane_django.engine.tracing.Tracer`."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    @contextmanager
    def start(self, workflow: str, parent: str | None) -> Iterator[str | None]:
        with self._tracer.start_as_current_span(
            f"start {workflow}",
            context=None if parent is None else _context(parent),
            kind=SpanKind.PRODUCER,
            attributes={"spane.workflow": workflow},
            record_exception=False,
        ) as span:
            yield _traceparent(span)

    def attempt(self, work: Work) -> AttemptSpan:
        claim = work.claim
        around = _context(work.received.traceparent)
        span = self._tracer.start_span(
            f"node {work.node.type}",
            context=around,
            kind=SpanKind.CONSUMER,
            attributes={
                "spane.workflow": work.workflow_id,
                "spane.execution_id": str(claim.execution_id),
                "spane.node_id": claim.node_id,
                "spane.node_type": work.node.type,
                "spane.queue": work.node.queue,
                "spane.attempt": claim.attempt,
                "spane.tenant": claim.tenant,
            },
        )
        return AttemptSpan(span, otel_context.attach(trace.set_span_in_context(span, around)))

    @contextmanager
    def settle(self, finished: Sequence[Finished]) -> Iterator[None]:
        traced = [item.traceparent for item in finished if item.traceparent is not None]
        parent = _context(traced[0]) if len(finished) == len(traced) == 1 else Context()
        links = [] if len(finished) == 1 else traced[:_MOST_LINKS]
        with self._tracer.start_as_current_span(
            "settle",
            context=parent,
            attributes={"spane.attempts": len(finished)},
            links=[Link(_span_context(one)) for one in links],
            record_exception=False,
        ):
            yield


class AttemptSpan:
    """The span of an attempt, current on its thread until it ends."""

    def __init__(self, span: trace.Span, token: Token[Context]) -> None:
        self._span = span
        self._token = token
        self.traceparent = _traceparent(span)

    def end(self, finished: Finished | None) -> None:
        outcome = finished.outcome if finished else Lost()
        if isinstance(outcome, Failure):
            self._span.set_status(Status(StatusCode.ERROR, outcome.type))
            self._span.set_attribute("error.type", outcome.type)
        self._span.set_attribute("spane.outcome", type(outcome).__name__)
        self._span.end()
        otel_context.detach(self._token)


def _context(traceparent: str | None) -> Context:
    """Return the context of a trace; an empty one for none, whatever is current."""
    carrier = {} if traceparent is None else {"traceparent": traceparent}
    return _w3c.extract(carrier, Context())


def _span_context(traceparent: str) -> trace.SpanContext:
    return trace.get_current_span(_context(traceparent)).get_span_context()


def _traceparent(span: trace.Span) -> str | None:
    carrier: dict[str, str] = {}
    _w3c.inject(carrier, trace.set_span_in_context(span, Context()))
    return carrier.get("traceparent")


def _flush(**_: object) -> None:
    """Send what there is: a work horse ends without notice."""
    flush = getattr(trace.get_tracer_provider(), "force_flush", None)
    if flush is not None:
        flush(_FLUSH_MILLISECONDS)
