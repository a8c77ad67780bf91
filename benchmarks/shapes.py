"""The shapes that are measured, and how: nodes per second, and the time from start to end.

``throughput`` runs many executions at once on two workers; ``latencies`` runs one after another
on a worker that lingers, so that what is measured is the way of one execution and not a queue.
Both let the workers do the same once before, uncounted: `latency.py` tells what the first takes.
"""

from __future__ import annotations

import statistics

from common import publish, until_completed, workers
from node_types import NOTHING

Edges = dict[str, list[str]]


def chain(length: int) -> Edges:
    """Return the edges of a chain."""
    ids = [f"n{index}" for index in range(length)]
    return {node: ids[index + 1 : index + 2] for index, node in enumerate(ids)}


def fan(width: int) -> Edges:
    """Return the edges of 1 → width → 1."""
    middle = [f"m{index}" for index in range(width)]
    return {"first": middle, **{node: ["last"] for node in middle}, "last": []}


def publish_shape(key: str, edges: Edges, *, node_type: str = NOTHING) -> None:
    """Publish a workflow of such edges whose nodes are all of one type."""
    parents: Edges = {name: [] for name in edges}
    for name, children in edges.items():
        for child in children:
            parents[child].append(name)
    nodes = [
        {"id": name, "type": node_type, "inputs": parents[name], "outputs": children}
        for name, children in edges.items()
    ]
    publish({"id": key, "name": key, "entryNodeId": nodes[0]["id"], "nodes": nodes})


def throughput(
    key: str, edges: Edges, executions: int, *, count: int = 2, rounds: int = 1
) -> float:
    """Return nodes per second from before the first start until the last execution has ended.

    The end is the instant that the engine writes, not the one at which polling noticed it: one
    fan of a thousand is done between two looks.

    Args:
        count: Workers.
        rounds: So many times, of which the median counts: for what takes a tenth of a second, which
            one checkpoint or vacuum of the database would spoil.
    """
    publish_shape(key, edges)
    with workers(count):
        _seconds(key, executions)
        took = statistics.median(_seconds(key, executions) for _ in range(rounds))
    return executions * len(edges) / took


def _seconds(key: str, executions: int) -> float:
    from django.db.models import Max
    from django.utils import timezone

    from spane_django.engine.start import start_many
    from spane_django.models import Execution

    began = timezone.now()
    ids = start_many(key, [{"n": 1}] * executions, now=began)
    # Seldom: whoever looks takes the processor from those who work.
    until_completed(ids, pause=0.1)
    ended = Execution.objects.filter(pk__in=ids).aggregate(at=Max("finished_at"))["at"]
    return float((ended - began).total_seconds())


def latencies(key: str, edges: Edges, samples: int, *, node_type: str = NOTHING) -> list[float]:
    """Return the milliseconds from start to end of executions that run one after another."""
    from django.utils import timezone

    from spane_django.engine.start import start
    from spane_django.models import Execution

    publish_shape(key, edges, node_type=node_type)
    took = []
    with workers(1):
        for _ in range(samples + 1):
            execution = start(key, {"n": 1}, now=timezone.now())
            until_completed([execution.pk])
            ended = Execution.objects.values_list("finished_at", flat=True).get(pk=execution.pk)
            took.append((ended - execution.created_at).total_seconds() * 1_000)
    return took[1:]
