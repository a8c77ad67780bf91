"""What a node sees: its input, its config with templates filled in, results, a log."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from spane_django.engine.run import run
from spane_django.models import DeadLetter, LogLine
from spane_django.nodes.base import Context
from tests.engine.helpers import Machine, after, outputs, status

pytestmark = pytest.mark.django_db


def test_a_node_is_told_who_it_is(machine: Machine, does):
    seen: list[Context] = []
    does["a"] = seen.append
    key = machine.begin({"a": []}, {"n": 1}, id="orders", nodes={"a": {"config": {"timeout": 500}}})

    machine.drain()

    (ctx,) = seen
    assert (ctx.execution_id, ctx.workflow_id, ctx.node_id, ctx.node_type) == (
        key, "orders", "a", "call",
    )  # fmt: skip
    assert (ctx.attempt, ctx.now, ctx.deadline) == (1, after(0), after(0.5))
    assert (ctx.cancelled, ctx.checkpoint, ctx.initial_data) == (False, None, {"n": 1})


def test_its_idempotency_key_is_the_same_for_every_attempt(machine: Machine, does):
    keys: list[str] = []

    def flaky(ctx):
        keys.append(ctx.idempotency_key)
        if ctx.attempt < 3:
            raise ValueError("again")

    does["a"] = flaky
    key = machine.begin({"a": []})
    for _ in range(3):
        machine.step()
        machine.wait(5)

    assert keys == [f"{key}:a"] * 3


def test_every_node_can_read_the_executions_input_and_every_finished_result(machine: Machine, does):
    seen = {}

    def look(ctx):
        seen["initial"] = ctx.initial_data
        seen["names"] = sorted(ctx.previous_results)
        seen["count"] = len(ctx.previous_results)
        seen["far"] = ctx.previous_results["a"]
        seen["near"] = ctx.previous_results["b"]
        seen["later"] = ctx.previous_results.get("d", "not yet")

    does["c"] = look
    machine.begin({"a": ["b"], "b": ["c"], "c": ["d"]}, {"n": 1})
    machine.drain()

    assert seen == {
        "initial": {"n": 1},
        "names": ["a", "b"],
        "count": 2,
        "far": {"from": "a"},
        "near": {"from": "b"},
        "later": "not yet",
    }


def test_results_that_nobody_asks_for_are_not_read(machine: Machine, does):
    machine.begin({"a": ["b"], "b": ["c"]})
    machine.step()
    machine.step()
    works = machine.works(machine.claim())
    counts = []

    def ask(ctx):
        with CaptureQueriesContext(connection) as queries:
            ctx.previous_results["b"]
            counts.append(len(queries))
            ctx.previous_results["a"]
            ctx.previous_results["a"]
            counts.append(len(queries))

    does["c"] = ask
    run(works[0], clock=lambda: machine.now)

    assert counts == [0, 1]


def test_no_node_can_change_what_another_one_receives(machine: Machine, does):
    def spoil(ctx):
        seen = dict(ctx.input)
        ctx.input["list"].append("spoilt")
        ctx.config["own"].append("spoilt")
        return seen

    does["r"] = lambda ctx: {"list": []}
    does["a"] = does["b"] = spoil
    nodes = {node: {"config": {"own": []}} for node in ("a", "b")}
    key = machine.begin({"r": ["a", "b"]}, nodes=nodes)
    machine.drain()
    machine.start()
    machine.drain()

    assert outputs(key)["a"] == outputs(key)["b"]
    assert outputs(key)["r"] == {"list": []}


def test_templates_in_a_config_are_filled_in(machine: Machine, does):
    seen = []
    does["b"] = lambda ctx: seen.append(ctx.config)
    does["a"] = lambda ctx: {"user": {"name": "Ada"}, "n": 3}
    config = {
        "text": "Dear {{ input.user.name }}, {{ results.a.n }} of {{ initial.total }}",
        "whole": "{{ input.n }}",
        "list": ["{{ execution.workflowId }}", "{{ execution.attempt }}"],
        "id": "{{ execution.id }}",
        "plain": 7,
    }
    key = machine.begin({"a": ["b"]}, {"total": 5}, nodes={"b": {"config": config}})
    machine.drain()

    assert seen == [
        {"text": "Dear Ada, 3 of 5", "whole": 3, "list": ["w", 1], "id": str(key), "plain": 7}
    ]


def test_a_template_that_cannot_be_filled_in_fails_the_node(machine: Machine):
    config = {"x": "{{ length(input) }}"}
    key = machine.begin({"a": []}, 5, nodes={"a": {"config": config, "retries": 0}})
    machine.drain()

    assert status(key) == "failed"
    assert "length" in DeadLetter.objects.get().error_message


def test_a_log_line_keeps_what_can_be_stored_of_its_data(machine: Machine, does):
    does["a"] = lambda ctx: ctx.log.error("bad \x00 bytes \ud800", raw={1}, text="\x00")
    machine.begin({"a": []})
    machine.drain()

    line = LogLine.objects.get()
    assert (line.level, line.message) == ("error", "bad \\x00 bytes \\ud800")
    assert line.data == {"raw": "{1}", "text": "'\\x00'"}


def test_a_node_that_logs_without_end_is_cut_short(machine: Machine, does, settings):
    settings.SPANE = {**settings.SPANE, "MAX_LOG_LINES": 3}

    def chatter(ctx):
        for number in range(10):
            ctx.log.info(f"line {number}")

    does["a"] = chatter
    machine.begin({"a": []})
    machine.drain()

    lines = list(LogLine.objects.values_list("message", flat=True))
    assert lines == ["line 0", "line 1", "8 further lines of this attempt were not kept"]
