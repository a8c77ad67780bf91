"""Branches: which of a node's children go on, and what becomes of the others.

What to see: a switch and a condition, which need no code; a node of one's own that chooses; nodes
behind a branch that was not taken are skipped, all the way; a join behind branches runs with what
the taken ones hand on.

    python demo_project/examples/conditional_branching.py
"""

from __future__ import annotations

from typing import Any

from _stage import expect, play, show, statuses, tell, title

from spane_django import Context, Result, Workflow, node, wait_for
from spane_django.models import Execution

LIMITS = {"small": 100, "medium": 1_000}


@node("appraise")
def appraise(ctx: Context) -> Any:
    """Choose who has to sign, by the amount; a large one needs two signatures."""
    amount = ctx.input["amount"]
    if amount <= LIMITS["small"]:
        signers = ["clerk"]
    elif amount <= LIMITS["medium"]:
        signers = ["manager"]
    else:
        signers = ["manager", "director"]
    return Result({"amount": amount}, next_nodes=signers)


def story() -> None:
    a_switch()
    a_condition()
    a_node_that_chooses()


def a_switch() -> None:
    title("A switch: one branch by a value, the others are skipped")
    flow = Workflow("shipping")
    cases = {"DE": "by-train", "IS": "by-ship"}
    switch = flow.add(
        "by-country", "switch", {"expression": "country", "cases": cases, "default": "by-air"}
    )
    ways = [
        flow.add(f"by-{way}", "set", {"values": {"way": way}}) for way in ("train", "ship", "air")
    ]
    switch >> ways >> flow.add("label", "merge", {"mode": "list"})

    for country, taken in (("DE", "train"), ("IS", "ship"), ("JP", "air")):
        execution = run(flow, {"country": country})
        skipped = [key for key, status in statuses(execution).items() if status == "skipped"]
        expect(f"{country} goes by {taken}", holds=ran(execution) >= {f"by-{taken}", "label"})
        expect("the two others are skipped", holds=len(skipped) == 2)
        label = output(execution, "label")
        expect("the join has the one that ran", holds=[part["way"] for part in label] == [taken])


def a_condition() -> None:
    title("A condition: a whole branch is skipped, not just its first node")
    flow = Workflow("returns")
    is_late = flow.add(
        "is-late", "condition", {"expression": "days > `30`", "then": "refuse", "else": "refund"}
    )
    refuse = flow.add("refuse", "log", {"message": "too late"})
    refund = flow.add("refund", "log", {"message": "refunded"})
    restock = flow.add("restock", "log", {"message": "back on the shelf"})
    is_late >> [refuse, refund >> restock]

    late = run(flow, {"days": 45})
    expect("a late return is refused", holds=ran(late) == {"is-late", "refuse"})
    expect("nothing is restocked", holds=statuses(late)["restock"] == "skipped")
    in_time = run(flow, {"days": 3})
    expect("others are refunded", holds=ran(in_time) == {"is-late", "refund", "restock"})


def a_node_that_chooses() -> None:
    title("A node of one's own that chooses, and a join behind its branches")
    flow = Workflow("signatures")
    signers = [
        flow.add(signer, "set", {"values": {"signedBy": signer}})
        for signer in ("clerk", "manager", "director")
    ]
    flow.add("appraise", appraise) >> signers >> flow.add("file", "merge", {"mode": "keyed"})

    for amount, expected in ((50, {"clerk"}), (400, {"manager"}), (9_000, {"manager", "director"})):
        execution = run(flow, {"amount": amount})
        filed = output(execution, "file")
        expect(
            f"{amount} is signed by {' and '.join(sorted(expected))}", holds=set(filed) == expected
        )


def run(flow: Workflow, data: Any) -> Execution:
    tell(f"  input: {data}")
    execution = wait_for(flow.start(data))
    show(execution)
    return execution


def output(execution: Execution, node_id: str) -> Any:
    return execution.node_runs.get(node_id=node_id).output


def ran(execution: Execution) -> set[str]:
    return {node_id for node_id, status in statuses(execution).items() if status == "completed"}


if __name__ == "__main__":
    play(story)
