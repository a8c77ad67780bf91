"""Limits: how much happens at once, how much in a time, and what becomes of the rest.

What to see: an execution that runs three of its nodes at once, and no more; nodes of a type that
start at a rate, whichever execution they belong to; a service for two at a time, in front of
which a backlog builds up and drains.  What may not start stays ready: nothing fails, nothing is
tried again, no worker is held, and what has no limit goes on at once.

    python demo_project/examples/parallel_limits.py
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any, NamedTuple

from _stage import expect, play, tell, title

from spane_django import Context, Workflow, node, wait_for
from spane_django.core.limits import Limit, Rate
from spane_django.models import Execution, NodeRun

AT_ONCE = 3
RATE = Rate(4, timedelta(seconds=1))
ALL_LABELS = 3 * (6 + 1)  # nodes of the three executions, those that begin them included
WIDTH = 50  # characters of a timeline
SLACK = 0.1  # seconds between a start that is allowed and the node's first line


class Bar(NamedTuple):
    """From when to when a node ran."""

    began: datetime
    ended: datetime
    node_id: str


@node("fetch-page")
def fetch_page(ctx: Context) -> Any:
    """Wait for a site that takes its time."""
    time.sleep(0.2)
    return {"page": ctx.node_id}


@node("send-text", limit=Limit(rate=RATE))
def send_text(ctx: Context) -> Any:
    """Send a text by a provider that takes four in a second, and all four at once if need be."""
    return {"to": ctx.node_id}


@node("print-label", limit=Limit(max=2))
def print_label(ctx: Context) -> Any:
    """Print on one of the two printers that there are."""
    time.sleep(0.15)
    return {"label": ctx.node_id}


def story() -> None:
    nodes_of_one_execution()
    a_rate()
    backpressure()


def nodes_of_one_execution() -> None:
    title(f"One execution: {AT_ONCE} of its nodes at once (maxConcurrency)")
    flow = Workflow("crawl", max_concurrency=AT_ONCE)
    plan = flow.add("plan", "log", {"message": "nine pages"})
    plan >> [flow.add(f"page-{place}", fetch_page) for place in range(9)]

    execution = wait_for(flow.start())
    bars = timeline([execution], "fetch-page")
    expect("all nine pages were fetched", holds=len(bars) == 9)
    expect(f"never more than {AT_ONCE} at once", holds=most_at_once(bars) == AT_ONCE)


def a_rate() -> None:
    title(f"A node type: {RATE.count} starts in a second, whoever asks (limit.rate)")
    flow = fan("texts", "send-text", 5)

    executions = [wait_for(one) for one in [flow.start(), flow.start()]]
    bars = timeline(executions, "send-text")
    apart = RATE.per.total_seconds() / RATE.count
    allowed = [max(0, place - RATE.count + 1) * apart - SLACK for place in range(len(bars))]
    after = [(bar.began - bars[0].began).total_seconds() for bar in bars]
    tell(f"  the last of {len(bars)} began {after[-1]:.2f} s after the first")
    expect(
        "the first four began at once, the others a quarter of a second apart",
        holds=all(at >= least for at, least in zip(after, allowed, strict=True)),
    )


def backpressure() -> None:
    title("Backpressure: two printers, three executions, and a backlog in front of them")
    flow = fan("labels", "print-label", 6)
    quick = Workflow("quick")
    quick.add("say", "log", {"message": "there is no limit for me"})

    executions = [flow.start() for _ in range(3)]
    overtaker = wait_for(quick.start())
    is_backlog = backlog(executions)["completed"] < ALL_LABELS
    expect("what has no limit completes", holds=overtaker.status == "completed")
    expect("... while the backlog is still there", holds=is_backlog)
    watch(executions)

    expect(
        "never more than two labels at once",
        holds=most_at_once(timeline(executions, "print-label")) == 2,
    )
    ended = [wait_for(execution) for execution in executions]
    expect("every execution has completed", holds={one.status for one in ended} == {"completed"})
    runs = NodeRun.objects.filter(execution__in=executions)
    expect("nothing was tried twice", holds=not runs.filter(attempt__gt=1).exists())


def watch(executions: list[Execution]) -> None:
    """Print how the backlog drains."""
    tell("  ready  running  completed")
    seen: dict[str, int] = {}
    while seen.get("completed", 0) < ALL_LABELS:
        seen = backlog(executions)
        tell(f"  {seen['ready']:>5}  {seen['running']:>7}  {seen['completed']:>9}")
        time.sleep(0.2)


def backlog(executions: list[Execution]) -> dict[str, int]:
    runs = NodeRun.objects.filter(execution__in=executions)
    return {
        status: runs.filter(status=status).count() for status in ("ready", "running", "completed")
    }


def fan(key: str, node_type: str, width: int) -> Workflow:
    flow = Workflow(key)
    begin = flow.add("begin", "log", {"message": "all of you, go on"})
    begin >> [flow.add(f"{key}-{place}", node_type) for place in range(width)]
    return flow


def timeline(executions: Iterable[Execution], node_type: str) -> list[Bar]:
    """Draw when nodes of a type ran, and return it."""
    runs = NodeRun.objects.filter(execution__in=executions, node_type=node_type)
    bars = [
        Bar(run.started_at, run.finished_at, run.node_id)
        for run in runs
        if run.started_at and run.finished_at
    ]
    first, last = min(bars).began, max(bar.ended for bar in bars)
    scale = WIDTH / max((last - first).total_seconds(), 0.001)
    for bar in sorted(bars):
        left = round((bar.began - first).total_seconds() * scale)
        length = max(1, round((bar.ended - bar.began).total_seconds() * scale))
        tell(f"    {bar.node_id:<10} {' ' * left}{'#' * length}")
    return sorted(bars)


def most_at_once(bars: Iterable[Bar]) -> int:
    """Return how many ran at the same time, at most."""
    changes = [change for bar in bars for change in ((bar.began, 1), (bar.ended, -1))]
    return max(accumulate(change for _at, change in sorted(changes)))


if __name__ == "__main__":
    play(story)
