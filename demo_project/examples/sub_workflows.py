"""Sub-workflows: a workflow as a node of another one.

What to see: one workflow that two others use, with their data mapped to its words and back; a
parent that holds no worker while its child waits, and goes on from its checkpoint; what becomes
of a parent whose child fails: it fails as well, tries again with a fresh child, or takes the way
that is drawn for errors.

    python demo_project/examples/sub_workflows.py
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from _stage import expect, play, show, statuses, tell, title, until

from spane_django import Context, Permanent, Retry, Step, Workflow, node, wait_for
from spane_django.models import Execution, NodeRun

PARENTS = 30


@node("add-tax", config={"type": "object", "properties": {"percent": {"type": "number"}}})
def add_tax(ctx: Context) -> Any:
    """Add a tax to a net amount."""
    net = Decimal(ctx.input["net"])
    if net < 0:
        raise Permanent(f"there is no tax on {net}")
    return {"net": str(net), "gross": str(net * (100 + ctx.config["percent"]) / 100)}


taxes = Workflow("taxes", name="Taxes", description="What others use: net in, gross out.")
taxes.add("add-tax", add_tax, {"percent": 19}) >> taxes.add("note", "set", {"values": {"law": 19}})


def story() -> None:
    taxes.publish()
    composition()
    checkpoint_and_resume()
    failures()


def composition() -> None:
    title("Composition: two workflows use a third one, each in its own words")
    order = with_taxes("order", {"net": "price"}, {"total": "gross"})
    refund = with_taxes("refund", {"net": "amount"}, {"back": "gross"})

    ordered = run(order, {"price": "100", "colour": "red"})
    refunded = run(refund, {"amount": "20"})
    (child,) = ordered.children.all()
    tell(f"  the child received {child.input} and came to {child.output}")
    expect("the child received what was mapped", holds=child.input == {"net": "100"})
    expect("the order has its total, in its own words", holds=ordered.output == {"total": "119"})
    expect("so has the refund", holds=refunded.output == {"back": "23.8"})


def checkpoint_and_resume() -> None:
    title(f"Checkpoint and resume: {PARENTS} parents wait for slow children, and hold no worker")
    slow = Workflow("slow")
    slow.add("sleep", "delay", {"durationSeconds": 4}) >> slow.add("wake", "log", {"message": "up"})
    slow.publish()
    flow = Workflow("patient")
    after = flow.add("after", "set", {"values": {"patience": "paid"}})
    flow.add("child", "sub-workflow", {"workflowId": "slow"}) >> after

    executions = flow.start_many([{"number": number} for number in range(PARENTS)])
    parents = NodeRun.objects.filter(execution__in=executions, node_id="child")
    until(lambda: parents.filter(status="waiting").count() == PARENTS, "all parents wait")
    checkpoints = list(parents.values_list("checkpoint", flat=True))
    tell(f"  one of them keeps this checkpoint: {checkpoints[0]}")
    expect("all keep one", holds=checkpoints == [{"workflowId": "slow"}] * PARENTS)
    other = run(taxes, {"net": "7"})
    still_wait = parents.filter(status="waiting").count()
    expect(
        f"while {still_wait} wait, the only worker is free for others",
        holds=still_wait > 0 and other.status == "completed",
    )

    ended = [wait_for(execution) for execution in executions]
    show(ended[0])
    expect("all have completed", holds={one.status for one in ended} == {"completed"})
    expect("none was tried twice", holds=not parents.exclude(attempt=1).exists())


def failures() -> None:
    title("A child that fails")
    plain = run(with_taxes("strict", {"net": "price"}, {}), {"price": "-1"})
    expect("its parent fails as well", holds=plain.status == "failed")
    why = plain.node_runs.get(node_id="taxes").error_message
    expect("... and says why", holds="there is no tax on -1" in why)

    title("A child that fails, and a parent that tries again")
    policy = Retry(attempts=3, base=timedelta(milliseconds=50))
    stubborn = run(with_taxes("stubborn", {"net": "price"}, {}, retry=policy), {"price": "-1"})
    children = list(stubborn.children.values_list("status", flat=True))
    expect("each attempt had a fresh child", holds=children == ["failed"] * 3)

    title("A child that fails, and a way for errors")
    forgiving = Workflow("forgiving")
    child = add_child(forgiving, {"net": "price"}, {})
    ship = forgiving.add("ship", "log", {"message": "on its way"})
    apologise = forgiving.add("apologise", "log", {"message": "sorry: {{ input.error }}"})
    child >> ship
    child.errors >> apologise
    execution = run(forgiving, {"price": "-1"})
    expect("the parent completes", holds=execution.status == "completed")
    expect("it took the way for errors", holds=statuses(execution)["apologise"] == "completed")
    expect("and not the other one", holds=statuses(execution)["ship"] == "skipped")


def with_taxes(
    key: str, given: dict[str, str], returned: dict[str, str], **options: Any
) -> Workflow:
    flow = Workflow(key)
    add_child(flow, given, returned, **options)
    return flow


def add_child(
    flow: Workflow, given: dict[str, str], returned: dict[str, str], **options: Any
) -> Step:
    mappings = {"inputMapping": given, "outputMapping": returned}
    return flow.add("taxes", "sub-workflow", {"workflowId": "taxes", **mappings}, **options)


def run(flow: Workflow, data: Any) -> Execution:
    tell(f"  input: {data}")
    execution = wait_for(flow.start(data))
    show(execution)
    return execution


if __name__ == "__main__":
    play(story)
