"""Triggers: workflows that start because something has happened, not because they are called.

What to see: a webhook that takes what is signed and refuses what is not; a schedule that starts
an execution each second, once; an event that starts whatever listens for it, if its condition
holds; an object whose change starts a workflow in the transaction that changes it, and is found
again by its executions; a workflow that starts when another one has ended.

    python demo_project/examples/triggers.py
"""

from __future__ import annotations

import json
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

from _stage import expect, play, tell, title, until
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import transaction
from django.db.models import Q
from django.test import Client

from spane_django import (
    Context,
    ModelTrigger,
    OnEvent,
    OnWorkflow,
    SpaneExecutions,
    Workflow,
    emit,
    node,
    wait_for,
)
from spane_django.clock import now
from spane_django.core.signatures import sign
from spane_django.models import Execution, Schedule, Webhook
from spane_django.triggers.webhooks import rotate, scheme_of

TICKS = 3

# A model of one's own says ``executions = SpaneExecutions()``; this one is Django's.
Group.add_to_class("executions", SpaneExecutions())


@node("take-note")
def take_note(ctx: Context) -> Any:
    """Hand on what came in, and what it is about."""
    return {"seen": ctx.input, "about": str(ctx.subject) if ctx.subject else None}


def flow(key: str, *triggers: Any) -> Workflow:
    made = Workflow(key, triggers=triggers)
    made.add("note", take_note)
    return made


sign_up = flow("sign-up", {"type": "webhook", "config": {"path": "sign-up", "method": "POST"}})
heartbeat = flow("heartbeat", {"type": "schedule", "config": {"cron": "* * * * * *"}})
dear = flow("dear-order", OnEvent("order.paid", when="total > `100`", map={"order": "id"}))
every = flow("bookkeeping", OnEvent("order.*"))
welcome = flow("welcome")
report = flow("report", OnWorkflow("welcome", on="completed", map={"came": "output.about"}))

ModelTrigger(
    Group, on="update", fields=["name"], when=Q(name__startswith="open"), input=["id", "name"],
    workflow=welcome,
)  # fmt: skip


def story() -> None:
    for one in (sign_up, heartbeat, dear, every, welcome, report):
        one.publish()
    webhook()
    schedule()
    events()
    model()
    tell("")
    call_command("spane_triggers", "list")


def webhook() -> None:
    title("A webhook: what is signed starts its workflow")
    hook, secret = rotate(Webhook.objects.get().pk, now=now())
    scheme: Any = scheme_of(hook)
    body = json.dumps({"email": "ada@example.com"}).encode()
    signature = sign(scheme, body, secret, now=now())

    signed = send(f"/api/webhooks/{hook.path}", body, signature)
    forged = send(f"/api/webhooks/{hook.path}", body + b" ", signature)
    tell(f"  signed: {signed.status_code} {signed.json()}; forged: {forged.status_code}")
    execution = wait_for(started("sign-up")[0])
    expect("the body is the input", holds=execution.output["seen"] == {"email": "ada@example.com"})
    expect("what nobody has signed starts nothing", holds=forged.status_code in (401, 403, 404))
    expect("it knows what has started it", holds=execution.trigger == f"webhook:{hook.pk}")


def schedule() -> None:
    title("A schedule: an execution for each second, as long as the definition says so")
    until(lambda: tick() >= TICKS, f"{TICKS} seconds have passed")
    executions = [wait_for(one) for one in started("heartbeat")]
    tell(f"  {len(executions)} executions were started")
    expect("all have completed", holds={one.status for one in executions} == {"completed"})

    flow("heartbeat").publish()
    expect("the next version has no schedule", holds=not Schedule.objects.exists())


def tick() -> int:
    """Do what a running ``spane_scheduler`` does all the time; return how many have started."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        call_command("spane_scheduler", once=True)
    return len(started("heartbeat"))


def events() -> None:
    title("An event: every workflow that listens for it starts, if its condition holds")
    small = emit("order.paid", {"id": 1, "total": 20})
    large = emit("order.paid", {"id": 2, "total": 500}, idempotency_key="payment-2")
    again = emit("order.paid", {"id": 2, "total": 500}, idempotency_key="payment-2")

    told = [wait_for(key).workflow.key for key in small.executions + large.executions]
    tell(f"  they started {told}")
    expect("a small order goes to the books alone", holds=len(small.executions) == 1)
    expect("a large one starts both", holds=len(large.executions) == 2)
    expect("... with what its map says", holds=started("dear-order")[0].input == {"order": 2})
    expect("the same event again starts nothing", holds=again.executions == large.executions)


def model() -> None:
    title("A model: the change and what it starts commit together, or not at all")
    club: Any = Group.objects.create(name="a club")
    with transaction.atomic():
        rename(club, "open house")
        before = club.executions.count()
        transaction.set_rollback(True)
    expect("it was started", holds=before == 1)
    expect("... and is gone with the change", holds=not club.executions.exists())

    rename(club, "open day")
    execution = wait_for(started("welcome")[0])
    rename(club, "closed")
    expect("only what opens starts it", holds=len(started("welcome")) == 1)
    expect("the node was given the club itself", holds=execution.output["about"] == "open day")

    title("A workflow: it starts when another one has ended, and is about the same thing")
    follower = wait_for(started("report")[0])
    tell(f"  it received {follower.input}")
    expect("it follows the first one", holds=follower.parent_id == execution.pk)
    expect("both are executions of the club", holds=club.executions.count() == 2)


def started(workflow: str) -> list[Execution]:
    return list(Execution.objects.filter(workflow__key=workflow).order_by("id"))


def send(path: str, body: bytes, headers: dict[str, str]) -> Any:
    return Client().generic("POST", path, body, "application/json", headers=headers)


def rename(club: Group, name: str) -> None:
    club.name = name
    club.save()


if __name__ == "__main__":
    play(story)
