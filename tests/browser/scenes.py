"""What there is to see: nothing, a shop on a usual day, a bad day, far too much; and every page.

A scene fills the database.  Pages are found by the addresses that the admin has, so that one that
is added is looked at, too: each list, the newest row of each list, and whatever else opens with
the key of a row or without one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from django.contrib.admin import site
from django.contrib.admin.utils import quote
from django.contrib.auth.models import User
from django.db.models import Count, Model
from django.test import Client
from django.urls import NoReverseMatch, reverse
from django.utils.timezone import now

from spane_django import schedule
from spane_django.engine import bulk, control, secrets, tokens, workers
from spane_django.engine.claim import Want, claim
from spane_django.models import Alert, Execution, QueueSample, Rollup, Schedule, Workflow
from spane_django.nodes import Context, register_function
from spane_django.triggers import event_triggers, webhooks
from spane_django.triggers.fire import fire
from tests.admin.stage import WIDE, ended, node, published, started, work, workflow

LONG = "A workflow whose name is far longer than any list has room for, as people write them"
ORDER = {"orderId": 10_042, "customer": "ada@example.com", "items": [{"sku": "A-1", "count": 2}]}


@register_function("scenes-charge")
def charge(ctx: Context) -> None:
    ctx.log.warning("the payment service is slow", seconds=4.2)
    raise ConnectionError("503 Service Unavailable from payments.example.com")


def shop(key: str = "order-fulfilment", *, fails: bool = False) -> dict[str, Any]:
    """Return a workflow as a shop might have it; its card is charged, or is not."""
    charged = node("charge-card", "log", {"message": "19.90 EUR"}, ["reserve-stock"], ["pack"])
    if fails:
        config = {"name": "scenes-charge", "retryPolicy": {"maxAttempts": 1}}
        charged = {**charged, "type": "function", "config": config}
    return {
        **workflow(
            key,
            node("validate", "set", {"values": {"ok": True}}, [], ["reserve-stock", "score"]),
            node("reserve-stock", "log", {"message": "2 of A-1"}, ["validate"], ["charge-card"]),
            node("score", "log", {"message": "no fraud"}, ["validate"], ["pack"]),
            charged,
            node("pack", "log", {"message": "packed"}, ["charge-card", "score"], ["ship", "mail"]),
            node("ship", "log", {"message": "picked up"}, ["pack"], ["close"]),
            node("mail", "log", {"message": "told the customer"}, ["pack"], ["close"]),
            node("close", "log", {"message": "done"}, ["ship", "mail"], []),
            name="Order fulfilment" if key == "order-fulfilment" else key,
        ),
        "description": "From the order to the parcel.",
        "inputSchema": {
            "type": "object",
            "required": ["orderId"],
            "properties": {
                "orderId": {"type": "integer", "title": "Order"},
                "customer": {"type": "string", "title": "Customer"},
                "express": {"type": "boolean", "title": "Express"},
            },
        },
    }


def empty() -> None:
    """Leave everything as it is after the installation."""


def normal() -> None:
    """A usual day of a shop: most goes well, something waits, something is paused."""
    boss = User.objects.get(username="boss")
    published(shop("order-fulfilment", fails=True))
    for number in range(4):
        ended(shop(), {**ORDER, "orderId": 10_000 + number})
    ended(workflow("refund", node("ok", "approval", _approval()), name="Refund"), ORDER)
    paused = started(workflow("reminder", node("nap", "delay", {"duration": "P3D"})), ORDER)
    work()
    control.pause(paused.pk, now=now(), by=boss, reason="the customer has called")
    _limited()
    _started_from_outside(boss)
    _past(days=1)
    schedule("order-fulfilment", cron="*/15 9-17 * * 1-5", name="Orders of the shop", input=ORDER)
    fire(Schedule.objects.whole().get().pk, now=now())
    bulk.begin("cancel", {"workflow": "reminder"}, now=now(), by=boss, reason="a wrong batch")


def failed() -> None:
    """A bad day: nodes have failed for good, workers are silent, somebody is to be told."""
    for number in range(3):
        execution = ended(shop(fails=True), {**ORDER, "orderId": 10_042 + number})
    ended(shop("import", fails=True), ORDER)
    silent = workers.enlist("worker-2", "spane", pid=4_711, now=now() - timedelta(minutes=9))
    started(shop("stuck"), ORDER)
    claim(Want(worker_id=silent, queue="spane", room=1), now=now() - timedelta(minutes=9))
    began = now() - timedelta(hours=1)
    Alert.objects.create(
        key="failures", rule=Alert.Rule.FAILURES, workflow_key="order-fulfilment", count=7,
        error_type="ConnectionError", message="503 Service Unavailable",
        execution_id=execution.pk, opened_at=began, last_at=now(),
    )  # fmt: skip
    webhooks.create({"workflowId": "import", "name": "Shop"}, now=now())
    Workflow.objects.filter(key="import").update(is_enabled=False)
    Client().post(f"/api/webhooks/{_webhook_path()}", {"order": 1}, "application/json")
    _past(days=7, failing=True)


def large() -> None:
    """Far too much of everything: nodes, executions, names."""
    ended({**WIDE, "name": LONG})
    ended({**_chain(500), "name": LONG})
    for number in range(60):
        ended(shop(), {**ORDER, "orderId": number, "note": "long " * 200})
    for number in range(30):
        published(shop(f"flow-{number}-{'of-a-long-name-' * 4}"))
    _past(days=7)


SCENES: dict[str, Callable[[], None]] = {
    "empty": empty,
    "normal": normal,
    "large": large,
    "failed": failed,
}


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name of every page that there is, and its address."""
    for model, admin in sorted(site._registry.items(), key=lambda each: each[0].__name__):
        if model._meta.app_label != "spane_django" or model.__name__ == "Tenant":
            continue
        # Those of the admin itself about changes made on its forms say nothing here.
        urls = [str(url.name or "") for url in admin.get_urls()]
        names = [name for name in urls if not name.endswith("_history")]
        row: Any = None
        if model._meta.managed and not model._meta.proxy:
            row = _interesting(model)
        for name in filter(lambda name: name.startswith("spane_django_"), names):
            yield from _opened(name, row)


def _opened(name: str, row: Any) -> Iterator[tuple[str, str]]:
    keys = () if row is None else (quote(row.pk),)
    for arguments in ((), keys) if keys else ((),):
        try:
            address = reverse(f"admin:{name}", args=arguments)
        except NoReverseMatch:
            continue
        yield name.removeprefix("spane_django_").replace("_", "-"), address


def _interesting(model: type[Model]) -> Any:
    rows = model._default_manager.order_by("-pk")
    if model is Execution:
        order = {"failed": 0, "running": 1, "paused": 2}
        sized = rows.annotate(size=Count("node_runs"))
        ranked = sorted(sized, key=lambda row: (order.get(row.status, 3), -row.size, row.pk))
        return ranked[0] if ranked else None
    if model is Workflow:
        return rows.filter(executions__isnull=False).order_by("executions__pk").first()
    return rows.first()


def _approval() -> dict[str, Any]:
    form = {
        "type": "object",
        "properties": {
            "amount": {"type": "number", "title": "Amount"},
            "how": {"enum": ["card", "voucher"], "title": "How"},
        },
    }
    return {"title": "Refund 19.90 EUR?", "users": ["boss"], "form": form}


def _limited() -> None:
    limit = {"limit": {"name": "payments", "max": 2}, "circuitBreaker": {}}
    started(workflow("settle", {**node("pay", "log", {"message": "x"}), **limit}), ORDER)
    worker = workers.enlist("worker-1", "spane", pid=4_710, now=now())
    claim(Want(worker_id=worker, queue="spane", room=5), now=now())


def _started_from_outside(boss: User) -> None:
    webhooks.create({"workflowId": "order-fulfilment", "name": "Shop"}, now=now())
    Client().post(f"/api/webhooks/{_webhook_path()}", ORDER, "application/json")
    event_triggers.create({"event": "order.*", "workflowId": "refund"}, now=now())
    secrets.create_secret("payments", "sk-not-real", description="The payments", now=now())
    tokens.issue(boss, "nightly import", now=now())


def _webhook_path() -> str:
    from spane_django.models import Webhook

    return str(Webhook.objects.get().path)


def _past(*, days: int, failing: bool = False) -> None:
    hour = now().replace(minute=0, second=0, microsecond=0)
    workflow_row = Workflow.objects.order_by("pk").first()
    Rollup.objects.bulk_create(
        Rollup(
            workflow=workflow_row, period=Rollup.Period.HOUR, at=hour - timedelta(hours=ago),
            started=40 + 7 * ago % 23, completed=38 + 7 * ago % 23,
            failed=(ago * 5 % 7) * (4 if failing and ago < 6 else 1) // 2,
            durations={"20": 30, "22": 9, "24": 2},
        )
        for ago in range(1, 24 * days)
    )  # fmt: skip
    minute = now().replace(second=0, microsecond=0)
    QueueSample.objects.bulk_create(
        QueueSample(
            at=minute - timedelta(minutes=ago), queue="spane", waiting=ago * 37 % 41, active=3,
            workers=2, oldest_seconds=ago * 13 % 29,
        )
        for ago in range(1, 60)
    )  # fmt: skip


def _chain(length: int) -> dict[str, Any]:
    """A graph of so many nodes, ten abreast."""
    nodes = [node("n0", "set", {"values": {}}, [], [f"n{i}" for i in range(1, 11)])]
    for i in range(1, length):
        parents = [f"n{max(i - 10, 0)}"]
        children = [f"n{i + 10}"] if i + 10 < length else []
        nodes.append(node(f"n{i}", "log", {"message": f"step {i}"}, parents, children))
    return workflow("large", *nodes)
