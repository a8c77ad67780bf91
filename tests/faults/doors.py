"""What happens by itself or from outside: timers, the sweep, publishing, webhooks, schedules."""

from __future__ import annotations

from datetime import timedelta

from spane_django.engine.publish import publish
from spane_django.models import Execution, WorkflowVersion
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
