"""How data gets from node to node.

What to see: the execution's input goes to the nodes without parents; a node with one parent
receives that parent's data as it is; a node with several receives an object with a key for each;
any earlier result, and the execution's input, can be had by asking for it, in Python and in the
templates of a config.

    python demo_project/examples/data_passing.py
"""

from __future__ import annotations

from typing import Any

from _stage import expect, play, show, title

from spane_django import Context, Workflow, node, wait_for
from spane_django.models import Execution


@node("add", config={"type": "object", "properties": {"n": {"type": "number"}}})
def add(ctx: Context) -> Any:
    """Add a number to the value that came in."""
    return {"value": ctx.input["value"] + ctx.config["n"]}


@node("multiply", config={"type": "object", "properties": {"by": {"type": "number"}}})
def multiply(ctx: Context) -> Any:
    """Multiply the value that came in."""
    return {"value": ctx.input["value"] * ctx.config["by"]}


@node("add-up")
def add_up(ctx: Context) -> Any:
    """Add up the values of all parents, whoever they are."""
    return {"sum": sum(parent["value"] for parent in ctx.input.values()), "of": sorted(ctx.input)}


@node("report")
def report(ctx: Context) -> Any:
    """Look back at results of nodes that are no parents."""
    return {
        "from": ctx.initial_data["value"],
        "first": ctx.previous_results["first"]["value"],
        "last": ctx.input["value"],
    }


def story() -> None:
    a_chain()
    a_merge()
    looking_back()
    templates()


def a_chain() -> None:
    title("A chain: each node receives what the one before it returned")
    flow = Workflow("chain")
    (
        flow.add("first", add, {"n": 1})
        >> flow.add("second", multiply, {"by": 10})
        >> flow.add("third", add, {"n": 5})
    )
    execution = run(flow, {"value": 4})
    expect("(4 + 1) * 10 + 5 is 55", holds=output(execution, "third") == {"value": 55})


def a_merge() -> None:
    title("Several parents: an object with a key for each of them")
    flow = Workflow("merge")
    parents = [flow.add("a", add, {"n": 1}), flow.add("b", multiply, {"by": 3})]
    parents >> flow.add("both", add_up)
    execution = run(flow, {"value": 10})
    expect("both entry nodes received the input", holds=output(execution, "b") == {"value": 30})
    expected = {"sum": 41, "of": ["a", "b"]}
    expect("the join received both, by name", holds=output(execution, "both") == expected)


def looking_back() -> None:
    title("Looking back: any earlier result by the id of its node")
    flow = Workflow("looking-back")
    (
        flow.add("first", add, {"n": 1})
        >> flow.add("second", multiply, {"by": 2})
        >> flow.add("report", report)
    )
    execution = run(flow, {"value": 20})
    expected = {"from": 20, "first": 21, "last": 42}
    expect("the report has all three", holds=output(execution, "report") == expected)


def templates() -> None:
    title("Templates: the same in a config, without code")
    flow = Workflow("templates")
    texts = {
        "text": "{{ initial.value }} became {{ input.value }}",
        "first": "{{ results.first.value }}",
    }
    (
        flow.add("first", add, {"n": 1})
        >> flow.add("second", multiply, {"by": 2})
        >> flow.add("words", "set", {"values": texts})
    )
    execution = run(flow, {"value": 2})
    expected = {"value": 6, "text": "2 became 6", "first": 3}
    expect("a template alone keeps its type", holds=output(execution, "words") == expected)


def run(flow: Workflow, data: Any) -> Execution:
    execution = wait_for(flow.start(data))
    show(execution)
    return execution


def output(execution: Execution, node_id: str) -> Any:
    return execution.node_runs.get(node_id=node_id).output


if __name__ == "__main__":
    play(story)
