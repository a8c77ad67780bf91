"""Records that are logged inside a node say which attempt they belong to."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from spane_django.core.running import RUNNING
from spane_django.engine.run import run_async
from spane_django.engine.secrets import create_secret
from spane_django.nodes.base import Context, Node, registry
from spane_django.observability.logs import FIELDS, JsonLines, NodeFilter
from tests.engine.helpers import Machine

log = logging.getLogger("shop.orders")


class Lines(logging.StreamHandler[io.StringIO]):
    """Keeps what a formatter writes."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__(io.StringIO())
        self.setFormatter(formatter)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def logged() -> Iterator[Lines]:
    handler = Lines(JsonLines())
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield handler
    log.removeHandler(handler)
    log.setLevel(logging.NOTSET)


def test_a_record_of_a_node_names_its_attempt(machine: Machine, does: Any, logged: Lines) -> None:
    does["pack"] = lambda ctx: log.info("packed %d", 3, extra={"parcel": "P7"})
    key = machine.begin({"pack": []})

    machine.drain()

    (line,) = logged.lines
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "INFO", "logger": "shop.orders", "message": "packed 3", "parcel": "P7",
        "execution_id": str(key), "workflow_id": "w", "node_id": "pack", "node_type": "call",
        "attempt": 1, "worker": f"{os.uname().nodename}:{os.getpid()}",
    }  # fmt: skip


def test_a_record_names_the_tenant_of_the_execution(
    machine: Machine, does: Any, logged: Lines
) -> None:
    does.update(a=lambda ctx: log.info("a"), b=lambda ctx: log.info("b"))
    machine.publish({"a": ["b"]})
    machine.start(tenant="acme")

    settlement = machine.settle(machine.run(machine.claim()), want=machine.want())
    machine.settle(machine.run(settlement.claims))

    assert [(line["node_id"], line["tenant"]) for line in logged.lines] == [
        ("a", "acme"), ("b", "acme"),
    ]  # fmt: skip


def test_nodes_that_wait_in_lanes_know_their_tenant(
    machine: Machine, does: Any, logged: Lines
) -> None:
    does["a"] = lambda ctx: log.info("a")
    machine.publish({"a": []})
    machine.start(tenant="acme", key="ada")

    machine.drain()

    assert [line["tenant"] for line in logged.lines] == ["acme"]


def test_a_record_outside_of_nodes_names_none(machine: Machine, logged: Lines) -> None:
    machine.begin({"a": []})
    machine.drain()

    log.warning("by the way")

    (line,) = logged.lines
    assert set(line) == {"time", "level", "logger", "message"}


def test_a_record_of_a_retry_names_the_second_attempt(
    machine: Machine, does: Any, logged: Lines
) -> None:
    def stumble(ctx: Context) -> None:
        log.info("try")
        if ctx.attempt == 1:
            raise RuntimeError("once")

    does["a"] = stumble
    machine.begin({"a": []})
    machine.drain()
    machine.wait(60)
    machine.drain()

    assert [line["attempt"] for line in logged.lines] == [1, 2]


def test_async_nodes_on_one_loop_do_not_mix_their_records(
    machine: Machine, logged: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Meet(Node):
        type = "meet"

        async def execute(self, ctx: Context) -> None:
            log.info("before")
            await asyncio.sleep(0)
            log.info("after")

    monkeypatch.setitem(registry._types, "meet", Meet())
    machine.begin({"a": [], "b": []}, types={"a": "meet", "b": "meet"})

    works = machine.works(machine.claim())

    async def both() -> object:
        await asyncio.gather(*map(run_async, works))
        return await run_async(works[0]) and RUNNING.get()

    runs_afterwards = asyncio.run(both())

    assert [(line["node_id"], line["message"]) for line in logged.lines] == [
        ("a", "before"), ("b", "before"), ("a", "after"), ("b", "after"),
        ("a", "before"), ("a", "after"),
    ]  # fmt: skip
    assert runs_afterwards is None


def test_an_exception_is_one_line_too(machine: Machine, does: Any, logged: Lines) -> None:
    def fail(ctx: Context) -> None:
        try:
            raise KeyError("no\nsuch")
        except KeyError:
            log.exception("it broke")

    does["a"] = fail
    machine.begin({"a": []})
    machine.drain()

    (line,) = logged.lines
    assert line["message"] == "it broke"
    assert line["exception"].endswith("KeyError: 'no\\nsuch'")


def test_a_line_shows_no_secret_that_the_node_has_opened(
    machine: Machine, does: Any, logged: Lines
) -> None:
    def call(ctx: Context) -> None:
        token = ctx.secrets["stripe"]
        log.info("GET /?token=%s", token, extra={"header": {"auth": f"Bearer {token}"}})
        try:
            raise ValueError(token)
        except ValueError:
            log.exception("failed")

    create_secret("stripe", "sk_live_12345678", now=machine.now)
    does["a"] = call
    machine.begin({"a": []})
    machine.drain()

    first, second = logged.lines
    assert (first["message"], first["header"]) == ("GET /?token=***", {"auth": "Bearer ***"})
    assert second["exception"].endswith("ValueError: ***")


def test_what_json_does_not_know_is_written_as_text(logged: Lines) -> None:
    log.info("one", extra={"thing": {1}, "who": object})

    assert logged.lines[0]["thing"] == "{1}"


def test_the_filter_gives_any_format_the_fields(machine: Machine, does: Any) -> None:
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(logging.Formatter("[%(node_id)s#%(attempt)s] %(message)s"))
    handler.addFilter(NodeFilter())
    log.addHandler(handler)
    does["a"] = lambda ctx: log.warning("in")
    machine.begin({"a": []})

    machine.drain()
    log.warning("out")
    log.removeHandler(handler)

    assert handler.stream.getvalue() == "[a#1] in\n[#] out\n"


def test_a_record_that_is_written_on_another_thread_keeps_its_fields(
    machine: Machine, does: Any
) -> None:
    kept: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = kept.append  # type: ignore[method-assign]
    handler.addFilter(NodeFilter())
    log.addHandler(handler)
    does["a"] = lambda ctx: log.warning("in")
    machine.begin({"a": []})
    machine.drain()
    log.removeHandler(handler)

    line = json.loads(JsonLines().format(kept[0]))

    assert (line["node_id"], line["attempt"]) == ("a", 1)
    assert all(getattr(kept[0], name) is not None for name in FIELDS)


def test_logging_can_be_set_up_before_any_model_is_loaded() -> None:
    logging_setting = {
        "version": 1,
        "formatters": {"json": {"()": "spane_django.observability.logs.JsonLines"}},
        "filters": {
            "node": {"()": "spane_django.observability.logs.NodeFilter"},
            "secrets": {"()": "spane_django.observability.logs.HideSecrets"},
        },
        "handlers": {
            "out": {
                "class": "logging.StreamHandler",
                "formatter": "json",
                "filters": ["node", "secrets"],
            }
        },
        "root": {"handlers": ["out"], "level": "INFO"},
    }
    code = (
        "from demo_project import settings\n"
        f"settings.LOGGING = {logging_setting!r}\n"
        "import django, logging; django.setup(); logging.info('ready')"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "demo_project.settings"}

    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert json.loads(done.stderr.splitlines()[-1])["message"] == "ready"


def test_an_attempt_knows_its_workflow(machine: Machine, does: Any) -> None:
    seen: list[str] = []

    def look(ctx: Context) -> None:
        running = RUNNING.get()
        assert running is not None
        seen.append(running.workflow_id)

    does["a"] = look
    machine.begin({"a": []}, id="orders")
    machine.drain()

    assert seen == ["orders"]
