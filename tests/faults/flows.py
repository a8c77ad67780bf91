"""What workflows can do: joins, children, waits, retries, limits, what follows an end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group

from spane_django.core.outcome import Delay, Result
from spane_django.nodes.base import Context, Node, registry
from tests.engine.helpers import definition
from tests.faults.stage import Stage
from tests.faults.story import fails, fails_until, story

_JOINS: dict[str, Any] = {
    "all": {"join": "all"},
    "any": {"join": "any"},
    "two": {"join": {"rule": "n_of_m", "n": 2}},
    "done": {"join": "all_done"},
    "none": {"join": "none_failed"},
}


def _says(ctx: Any) -> dict[str, str]:
    ctx.log.info("at work", node=ctx.node_id)
    return {"from": ctx.node_id}


@story(definition({"a": ["b"], "b": ["c"]}), a=_says, b=_says)
def chain(stage: Stage) -> None:
    stage.start("w", {"n": 1})
    stage.work()


@story(
    definition(
        {
            "r": ["a", "b", "c", "d"],
            "a": ["all", "any", "two", "done"],
            "b": ["all", "two", "none"],
            "c": ["any", "two", "done"],
            "d": ["none"],
        },
        nodes=_JOINS,
    ),
    r=lambda ctx: Result({"from": "r"}, ["a", "b", "c"]),
    c=fails,
)
def joins_of_each_rule(stage: Stage) -> None:
    stage.start("w")
    stage.work()


@story(
    definition(
        {"r": ["a", "b"], "a": ["j"], "b": ["j"], "j": ["k"]},
        nodes={"j": {"join": "any", "losers": "cancel"}},
    ),
    b=lambda ctx: Delay(ctx.now + timedelta(hours=1)),
)
def a_race_with_a_loser(stage: Stage) -> None:
    stage.start("w")
    stage.work()


@story(
    definition({"c": ["d"]}, id="child"),
    definition(
        {"a": ["s"], "s": ["z"]},
        types={"s": "sub-workflow"},
        nodes={"s": {"config": {"workflowId": "child"}}},
    ),
)
def a_sub_workflow(stage: Stage) -> None:
    stage.start("w", {"n": 1})
    stage.work()


@story(
    definition({"c": []}, id="child"),
    definition(
        {"s": ["z"]},
        types={"s": "sub-workflow"},
        nodes={"s": {"config": {"workflowId": "child"}}},
    ),
    c=fails,
)
def a_sub_workflow_that_fails(stage: Stage) -> None:
    stage.start("w")
    stage.work()


@story(
    definition(
        {"m": ["z"]},
        types={"m": "map"},
        nodes={
            "m": {
                "config": {
                    "node": {"type": "call", "config": {}},
                    "parallelism": 2,
                    "toleratedFailures": 1,
                }
            }
        },
    ),
    m=lambda ctx: fails(ctx) if ctx.input == 2 else ctx.input,
)
def a_map_in_turns(stage: Stage) -> None:
    stage.start("w", [1, 2, 3])
    stage.work()


@story(
    definition(
        {"m": ["z"]},
        types={"m": "loop"},
        nodes={
            "m": {"config": {"node": {"type": "call", "config": {}}, "until": "n >= `2`"}},
        },
    ),
    m=lambda ctx: {"n": ctx.input["n"] + 1},
)
def a_loop(stage: Stage) -> None:
    stage.start("w", {"n": 0})
    stage.work()


@story(
    definition(
        {"a": ["b"]},
        nodes={
            "a": {"retryPolicy": {"maxAttempts": 3, "backoff": {"type": "fixed", "delay": 60_000}}}
        },
    ),
    a=fails_until(3),
)
def a_node_that_is_tried_again(stage: Stage) -> None:
    stage.start("w")
    stage.work()
    for _ in range(2):
        stage.wait(300)


@story(
    definition({"a": ["b"]}, types={"a": "delay"}, nodes={"a": {"config": {"duration": "PT1H"}}})
)
def a_delay(stage: Stage) -> None:
    stage.start("w", {"n": 1})
    stage.work()
    stage.wait(2 * 3_600)


@story(definition({"a": ["b", "h"]}, nodes={"a": {"errorOutputs": ["h"]}}), a=fails)
def an_error_edge(stage: Stage) -> None:
    stage.start("w")
    stage.work()


@story(
    definition({"t": []}, id="told"),
    definition(
        {"a": ["b"], "b": ["c"]},
        nodes={
            "a": {"undo": {"type": "call", "config": {}}},
            "b": {"undo": {"type": "call", "config": {}}},
        },
        onError={"workflowId": "told"},
        **{"finally": {"type": "call", "config": {}}},
    ),
    c=fails,
    t=lambda ctx: ctx.input["errors"],
)
def what_follows_a_failure(stage: Stage) -> None:
    stage.start("w", {"n": 1})
    stage.work()


@story(definition({"a": ["b"]}, nodes={"a": {"limit": {"max": 1}}}))
def a_gate(stage: Stage) -> None:
    for _ in range(3):
        stage.start("w")
    stage.work()


@story(
    definition(
        {"a": []},
        nodes={
            "a": {
                "retryPolicy": {"maxAttempts": 5, "backoff": {"type": "fixed", "delay": 60_000}},
                "circuitBreaker": {"failureThreshold": 1, "timeout": 90_000},
            }
        },
    ),
    a=fails_until(2),
)
def a_breaker(stage: Stage) -> None:
    stage.start("w")
    stage.work()
    stage.wait(300)
    stage.wait(300)


@story(definition({"a": []}, maxExecutions=1))
def executions_in_line(stage: Stage) -> None:
    for _ in range(3):
        stage.start("w")
    stage.work()


@story(definition({"r": ["a", "b"], "a": ["j"], "b": ["j"]}, maxConcurrency=1))
def nodes_in_line(stage: Stage) -> None:
    stage.start("w")
    stage.work()


@story(
    definition(
        {"a": ["b"], "b": ["c"]},
        types={"b": "set", "c": "set"},
        nodes={
            "b": {"config": {"values": {"x": 1}}},
            "c": {"config": {"values": {"y": 2}}},
        },
    )
)
def nodes_that_run_ahead(stage: Stage) -> None:
    stage.start("w")
    stage.work()


@registry.register
class BookingNode(Node):
    """Writes a row in the transaction of its settlement."""

    type = "booking"
    is_transactional = True

    def execute(self, ctx: Context) -> Any:
        return {"booked": Group.objects.create(name=str(ctx.execution_id)).name is not None}


@story(definition({"a": ["b"]}, types={"a": "booking"}, nodes={"a": {"retries": 2}}))
def a_node_that_commits_with_its_result(stage: Stage) -> None:
    key = stage.start("w")
    stage.work()
    stage.wait(60)
    assert Group.objects.filter(name=str(key)).count() == 1
