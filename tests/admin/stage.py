"""Workflows that go well, fail, wait and try to break out of a page; and a worker for them."""

from __future__ import annotations

from typing import Any

from django.utils.timezone import now

from spane_django.engine import workers
from spane_django.engine.claim import Want, claim
from spane_django.engine.inputs import receive
from spane_django.engine.publish import publish
from spane_django.engine.run import Work, run
from spane_django.engine.settle import settle
from spane_django.engine.start import StartOptions, start
from spane_django.engine.versions import prepared
from spane_django.models import Execution, WorkflowVersion
from spane_django.nodes import Context, register_function

SCRIPT = "<script>alert('payload')</script>"
ATTRIBUTE = '"><img src=x onerror=alert(1)>'


@register_function("admin-tests-explode")
def explode(ctx: Context) -> None:
    ctx.log.error(SCRIPT, data=ATTRIBUTE)
    raise ValueError(f"{SCRIPT} {ATTRIBUTE}")


def node(id: str, type: str, config: dict[str, Any], *edges: list[str]) -> dict[str, Any]:
    inputs, outputs = edges if edges else ([], [])
    return {"id": id, "type": type, "config": config, "inputs": inputs, "outputs": outputs}


def workflow(key: str, *nodes: dict[str, Any], name: str = "") -> dict[str, Any]:
    return {
        "id": key,
        "name": name or key,
        "description": SCRIPT,
        "entryNodeId": nodes[0]["id"],
        "nodes": list(nodes),
    }


GOOD = workflow(
    "good",
    node("greet", "set", {"values": {"greeting": "hello"}}, [], ["tell"]),
    node("tell", "log", {"message": "said hello"}, ["greet"], []),
)
EXPLODE = {"name": "admin-tests-explode", "retryPolicy": {"maxAttempts": 1}}
BAD = workflow(
    "bad",
    node("explode", "function", EXPLODE, [], ["after"]),
    node("after", "log", {"message": "never"}, ["explode"], []),
)
SLOW = workflow("slow", node("nap", "delay", {"duration": "P3D"}))
EVIL = workflow("evil", node(SCRIPT, "log", {"message": ATTRIBUTE}), name=ATTRIBUTE)
EACH = workflow(
    "each", node("each", "map", {"node": {"type": "log", "config": {"message": "an item"}}})
)
WIDE = workflow(
    "wide",
    node("split", "set", {"values": {}}, [], [f"part-{i}" for i in range(200)]),
    *(node(f"part-{i}", "log", {"message": f"part {i}"}, ["split"], []) for i in range(200)),
)


def published(definition: dict[str, Any]) -> WorkflowVersion:
    return publish(definition, now=now())


def started(
    definition: dict[str, Any], data: object = None, options: StartOptions | None = None
) -> Execution:
    """Start a workflow, published at need; nothing of it has run."""
    published(definition)
    given: Any = {} if data is None else data
    return start(definition["id"], given, now=now(), options=options or StartOptions())


def ended(definition: dict[str, Any], data: object = None) -> Execution:
    """Start a workflow and let a worker do all that can be done now."""
    execution = started(definition, data)
    work()
    execution.refresh_from_db()
    return execution


def work() -> None:
    """Run what is ready until nothing is."""
    worker = workers.enlist("inline", "spane", pid=1, now=now())
    want = Want(worker_id=worker, queue="spane", room=50)
    while claims := claim(want, now=now()):
        works = [
            Work(
                claim=claim, received=received, node=prepared(claim.version_id).nodes[claim.node_id]
            )
            for claim, received in zip(claims, receive(claims), strict=True)
        ]
        settle([run(work) for work in works], now=now())
    workers.dismiss(worker, now=now())
