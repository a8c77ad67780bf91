"""What happens by itself or from outside: timers, the sweep, publishing, webhooks, schedules."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from spane_django.core.statuses import ExecutionStatus
from spane_django.engine import bulk
from spane_django.engine.clear import clear
from spane_django.engine.migrate import migrate
from spane_django.engine.prune import prunable, prune
from spane_django.engine.publish import publish
from spane_django.models import Execution, NodeRun, ScheduledStart, WorkflowVersion
from spane_django.triggers import schedules, webhooks
from spane_django.triggers.events import Event, emit_event
from spane_django.triggers.fire import fire
from spane_django.triggers.schedules import Wanted
from spane_django.triggers.timing import Timing
from spane_django.triggers.webhook_intake import Receipt, receive
from spane_django.triggers.webhook_requests import Incoming
from tests.engine.helpers import definition
from tests.faults.stage import LEASE_SECONDS, Stage
from tests.faults.story import story


@story(definition({"a": ["b"]}))
def a_worker_that_was_lost(stage: Stage) -> None:
    stage.start("w")
    stage.run_ready()
    stage.lose_workers()
    stage.pass_time(LEASE_SECONDS)
    stage.sweep()


@story(definition({"a": []}))
def a_start_for_later(stage: Stage) -> None:
    stage.start("w", start_at=stage.now + timedelta(hours=1))
    stage.work()
    stage.wait(2 * 3_600)


@story(definition({"a": ["b"]}, saveData="none"))
def data_that_are_not_kept(stage: Stage) -> None:
    key = stage.start("w", {"card": "4111"})
    stage.work()
    stage.pass_time(120)
    stage.ask("clear", lambda: clear(now=stage.now))
    assert Execution.objects.get(pk=key).input is None
    assert not NodeRun.objects.filter(execution=key, output__isnull=False).exists()


@story(
    definition(
        {"a": ["b"]},
        timeout=3_600_000,
        types={"b": "delay"},
        nodes={"b": {"config": {"duration": "PT10H"}}},
    ),
)
def a_deadline(stage: Stage) -> None:
    stage.start("w")
    stage.work()
    stage.wait(2 * 3_600)


@story()
def a_workflow_that_is_published_twice(stage: Stage) -> None:
    name = f"w-{stage.name}"
    stage.ask("publish", lambda: publish(definition({"a": []}, id=name), now=stage.now))
    first = stage.start(name)
    stage.work()
    stage.ask("publish", lambda: publish(definition({"a": ["b"]}, id=name), now=stage.now))
    stage.start(name)
    stage.work()
    numbers = WorkflowVersion.objects.filter(workflow__key=name).values_list("number", flat=True)
    assert (sorted(numbers), Execution.objects.get(pk=first).version.number) == ([1, 2], 1)


@story(definition({"a": []}))
def a_webhook(stage: Stage) -> None:
    asked = {"workflowId": "w", "signature": {"kind": "none"}, "dedupeKey": "body", "input": "body"}
    hook, _ = webhooks.create(asked, now=stage.now)
    request = Incoming(
        method="POST", path=hook.path, query="", address="",
        headers={"content-type": "application/json"}, body=b'"order-17"',
    )  # fmt: skip
    receipt = stage.ask("webhook", lambda: receive(request, now=stage.now))
    assert isinstance(receipt, Receipt)
    stage.roots += Execution.objects.filter(trigger=f"webhook:{hook.pk}").values_list(
        "pk", flat=True
    )
    stage.work()


@story(definition({"a": []}))
def a_schedule(stage: Stage) -> None:
    wanted = Wanted(workflow="w", timing=Timing(cron="0 * * * *"), name=stage.name)
    schedule = schedules.create(wanted, now=stage.now).pk
    stage.pass_time(2 * 3_600)
    stage.ask("schedule", lambda: fire(schedule, now=stage.now))
    started = ScheduledStart.objects.filter(schedule=schedule)
    stage.roots += started.values_list("execution_id", flat=True)
    stage.work()


@story(
    definition(
        {"a": []}, triggers=[{"type": "event", "config": {"event": "order.paid"}}], id="hears"
    )
)
def an_event(stage: Stage) -> None:
    event = Event(name="order.paid", payload={"n": 1}, idempotency_key=stage.name)
    stage.roots += stage.ask("emit", lambda: emit_event(event, now=stage.now)).executions
    stage.work()


@story(
    definition({"a": []}, id="child"),
    definition(
        {"s": ["z"]}, types={"s": "sub-workflow"}, nodes={"s": {"config": {"workflowId": "child"}}}
    ),
)
def a_keep_that_is_over(stage: Stage) -> None:
    began = stage.now
    stage.start("w")
    stage.work()
    stage.pass_time(60)
    ended = prunable(before=stage.now, statuses=[ExecutionStatus.COMPLETED], workflow="w")
    stage.ask("prune", lambda: list(prune(ended)))
    assert not Execution.objects.filter(created_at__gte=began).exists()
    assert not NodeRun.objects.filter(created_at__gte=began).exists()
    stage.roots.clear()


@story(
    definition({"a": ["b"]}, types={"b": "delay"}, nodes={"b": {"config": {"duration": "PT10H"}}})
)
def many_at_once(stage: Stage) -> None:
    keys = [stage.start("w") for _ in range(3)]
    stage.work()
    chosen = {"ids": [str(key) for key in keys]}
    operation = bulk.begin("cancel", chosen, now=stage.now, reason="all of them").pk
    while not stage.ask(
        "bulk", lambda: bulk.advance(operation, now=stage.now, limit=2)
    ).finished_at:
        stage.work()
    done = bulk.find_operation(operation)
    assert (done.changed, done.refused) == (3, 0)
    stage.work()


@story()
def a_version_that_takes_over(stage: Stage) -> None:
    name = f"w-{stage.name}"
    publish(definition({"a": ["b"]}, id=name), now=stage.now)
    key = stage.start(name)
    stage.work_at("a")
    publish(definition({"a": ["x"], "x": ["b"]}, id=name), now=stage.now)
    stage.ask("migrate", lambda: migrate(key, 2, now=stage.now), is_done=_is_at(key, 2))
    stage.work()


def _is_at(key: UUID, number: int) -> Callable[[], bool]:
    return Execution.objects.filter(pk=key, version__number=number).exists
