"""Spans of starts, attempts and settlements, and the trace that they share."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pytest_django import DjangoAssertNumQueries, Settings

from spane_django import checks
from spane_django.core.errors import InvalidInput
from spane_django.core.outcome import Child, StartChildren
from spane_django.engine import tracing
from spane_django.engine.inputs import receive
from spane_django.engine.run import run_async
from spane_django.models import Execution
from spane_django.nodes.base import Context
from spane_django.observability.connect import connect
from spane_django.observability.tracing import OpenTelemetry
from tests.engine.helpers import Machine, status

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Spans:
    """What has been traced."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = provider.get_tracer("test")

    def all(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def of(self, node_id: str) -> ReadableSpan:
        (found,) = (
            span for span in self.exporter.get_finished_spans()
            if (span.attributes or {}).get("spane.node_id") == node_id
        )  # fmt: skip
        return found


@pytest.fixture
def spans() -> Iterator[Spans]:
    made = Spans()
    tracing.install(OpenTelemetry(made.tracer))
    yield made
    tracing.install(None)


@pytest.fixture
def service(settings: Settings) -> Iterator[Any]:
    """A web service; what it was sent is in ``headers``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.headers.append(dict(self.headers))  # type: ignore[attr-defined]
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.headers = []  # type: ignore[attr-defined]
    settings.SPANE = {**settings.SPANE, "HTTP_ALLOWED_HOSTS": ["127.0.0.1"]}
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def id_of(span: ReadableSpan) -> int:
    return span.context.span_id


def test_a_start_and_its_nodes_are_one_trace(machine: Machine, spans: Spans) -> None:
    key = machine.begin({"a": ["b"]})
    machine.drain()

    (start,) = spans.all("start w")
    a, b = spans.of("a"), spans.of("b")

    assert {span.context.trace_id for span in (start, a, b)} == {start.context.trace_id}
    assert parent_of(a) == parent_of(b) == id_of(start)
    assert a.attributes == {
        "spane.workflow": "w", "spane.execution_id": str(key), "spane.node_id": "a",
        "spane.node_type": "call", "spane.queue": "spane", "spane.attempt": 1,
        "spane.tenant": "", "spane.outcome": "Result",
    }  # fmt: skip


def test_a_start_belongs_to_what_is_current_where_it_is_called(
    machine: Machine, spans: Spans
) -> None:
    machine.publish({"a": []})

    with spans.tracer.start_as_current_span("request") as request:
        machine.start()

    (start,) = spans.all("start w")
    assert parent_of(start) == request.get_span_context().span_id


def test_a_start_belongs_to_the_trace_that_its_caller_names(machine: Machine, spans: Spans) -> None:
    machine.publish({"a": []})
    machine.start(traceparent=TRACEPARENT)
    machine.drain()

    assert f"{spans.of('a').context.trace_id:032x}" == TRACEPARENT.split("-")[1]


@pytest.mark.parametrize("wrong", ["", "00-0-0-01", TRACEPARENT + "0", TRACEPARENT.upper()])
def test_a_trace_that_is_none_is_refused(machine: Machine, wrong: str) -> None:
    machine.publish({"a": []})

    with pytest.raises(InvalidInput, match="traceparent"):
        machine.start(traceparent=wrong)


def test_children_belong_to_the_attempt_that_started_them(
    machine: Machine, spans: Spans, does: Any
) -> None:
    def start_children(ctx: Context) -> Any:
        return (
            None
            if ctx.checkpoint
            else StartChildren(children=[Child(workflow="sub", input=None)], checkpoint=1)
        )

    machine.publish({"inner": []}, id="sub")
    does["outer"] = start_children
    key = machine.begin({"outer": []})
    machine.drain()

    first, inner, _ = spans.all("node call")
    assert status(key) == "completed"
    assert parent_of(inner) == id_of(first)
    assert inner.context.trace_id == first.context.trace_id


def test_a_failed_attempt_names_the_class_of_its_error_and_no_more(
    machine: Machine, spans: Spans, does: Any
) -> None:
    def fail(ctx: Context) -> None:
        raise PermissionError("password: hunter2")

    does["a"] = fail
    machine.begin({"a": []}, nodes={"a": {"config": {"retries": 0}}})
    machine.drain()

    span = spans.of("a")

    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.status.description == "PermissionError"
    assert "hunter2" not in span.to_json()


def test_what_a_node_traces_itself_belongs_to_its_attempt(
    machine: Machine, spans: Spans, does: Any
) -> None:
    def trace_itself(ctx: Context) -> None:
        with spans.tracer.start_as_current_span("mine"):
            pass

    does["a"] = trace_itself
    machine.begin({"a": []})
    machine.drain()

    (mine,) = spans.all("mine")
    assert parent_of(mine) == id_of(spans.of("a"))
    assert not trace.get_current_span().get_span_context().is_valid


def test_an_http_node_sends_its_attempts_trace(
    machine: Machine, spans: Spans, service: Any
) -> None:
    url = f"http://127.0.0.1:{service.server_port}/"
    machine.begin({"call": []}, types={"call": "http"}, nodes={"call": {"config": {"url": url}}})

    (work,) = machine.works(machine.claim())
    asyncio.run(run_async(work))

    span = spans.of("call")
    (headers,) = service.headers
    assert headers["traceparent"].startswith(f"00-{span.context.trace_id:032x}-{id_of(span):016x}-")


def test_a_header_of_the_nodes_own_wins(machine: Machine, spans: Spans, service: Any) -> None:
    config = {
        "url": f"http://127.0.0.1:{service.server_port}/",
        "headers": {"Traceparent": TRACEPARENT},
    }
    machine.begin({"call": []}, types={"call": "http"}, nodes={"call": {"config": config}})

    (work,) = machine.works(machine.claim())
    asyncio.run(run_async(work))

    assert [headers["traceparent"] for headers in service.headers] == [TRACEPARENT]


def test_a_settlement_of_one_belongs_to_its_attempt_and_of_several_is_linked_to_them(
    machine: Machine, spans: Spans
) -> None:
    machine.begin({"a": []})
    machine.drain()
    machine.begin({"b": [], "c": []})
    machine.drain()

    of_one, of_two = spans.all("settle")

    assert parent_of(of_one) == id_of(spans.of("a"))
    assert of_two.parent is None
    linked = {link.context.span_id for link in of_two.links}
    assert linked == {id_of(spans.of("b")), id_of(spans.of("c"))}


def test_the_error_handler_is_part_of_the_trace(machine: Machine, spans: Spans, does: Any) -> None:
    def fail(ctx: Context) -> None:
        raise RuntimeError

    does["a"] = fail
    machine.publish({"tell": []}, id="handler")
    machine.begin(
        {"a": []}, nodes={"a": {"config": {"retries": 0}}}, onError={"workflowId": "handler"}
    )
    machine.drain()

    assert spans.of("tell").context.trace_id == spans.of("a").context.trace_id


def test_without_a_tracer_nothing_is_read_and_nothing_written(
    machine: Machine, django_assert_num_queries: DjangoAssertNumQueries, spans: Spans
) -> None:
    machine.begin({"a": []})
    claims = machine.claim()
    with django_assert_num_queries(1):
        receive(claims)

    tracing.install(None)
    with django_assert_num_queries(0):
        receive(claims)
    untraced = machine.start()

    assert Execution.objects.get(pk=untraced).traceparent is None


def test_a_tracer_that_fails_harms_no_node(
    machine: Machine, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the exporter is full")

    key = machine.begin({"a": ["b"]})
    monkeypatch.setattr(OpenTelemetry, "attempt", broken)

    machine.drain()

    assert status(key) == "completed"


def test_the_setting_turns_tracing_on_and_off(settings: Settings) -> None:
    settings.SPANE = {**settings.SPANE, "TRACING": True}
    on = tracing._tracer
    settings.SPANE = {**settings.SPANE, "TRACING": False}

    assert isinstance(on, OpenTelemetry)
    assert tracing._tracer is None
    connect()
    assert tracing._tracer is None


def test_tracing_without_opentelemetry_is_a_warning_of_the_checks(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SPANE = {**settings.SPANE, "TRACING": True}
    fine = checks.check_settings()

    monkeypatch.setattr(checks, "find_spec", lambda name: None)

    assert fine == []
    assert [fault.id for fault in checks.check_settings()] == ["spane.W005"]


@pytest.mark.parametrize("wanted", ["false", "true"])
def test_a_project_without_opentelemetry_runs(wanted: str) -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import django; django.setup()\n"
        "from spane_django.engine import tracing; assert tracing._tracer is None\n"
        "assert 'spane_django.observability.tracing' not in sys.modules"
    )
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "demo_project.settings",
        "SPANE": f'{{"TRACING": {wanted}}}',
    }

    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert ("pip install spane-django[otel]" in done.stderr) is (wanted == "true")
