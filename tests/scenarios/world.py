"""Plays the steps of a case through the public verbs, with real workers beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.signals import setting_changed

from spane_django.core.errors import InvalidDefinition, SpaneError
from spane_django.core.json import Json
from spane_django.core.statuses import ExecutionStatus
from spane_django.engine.control import cancel, each, pause, resume
from spane_django.engine.publish import publish
from spane_django.engine.retry import replay, retry_dead_letter
from spane_django.engine.run import utc_now
from spane_django.engine.start import StartOptions, start
from spane_django.models import DeadLetter, Execution, NodeRun, Schedule
from tests.scenarios.behaviours import stage
from tests.scenarios.crew import Crew
from tests.scenarios.features import Case, definitions
from tests.scenarios.sender import Sender
from tests.scenarios.snapshot import PLAYED, Snapshot, take

Step = Mapping[str, Any]

PATIENCE_MS = 10_000
LAST_SECONDS = 10.0
POLL_SECONDS = 0.01
DEFAULT_STEPS: Sequence[Step] = ({"start": True}, {"wait_end": "e1"})


class World:
    """One case, being played.

    Attributes:
        executions: By the names that the case gives them, ``e1`` for the first started.
        refused: Why the definition was not published; empty if it was.
        checkpoints: What was to be seen at each.
        bulk_ids: The executions that a bulk start began, "" where one could not be.
        webhook_counts: How many executions each request to a webhook has started.
        schedules: How many there were when they were counted.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.executions: dict[str, UUID] = {}
        self.refused = ""
        self.checkpoints: dict[str, dict[str, Snapshot]] = {}
        self.bulk_ids: list[str] = []
        self.webhook_counts: list[int] = []
        self._sender = Sender()
        self.schedules = 0
        self._wake_lost_after: str | None = None
        self.crew = Crew(_queues(case), self._loses_a_wake)

    def play(self, is_over: Callable[[], bool] = lambda: True) -> None:
        """Publish the workflows and do the steps, unless the definitions are refused.

        Args:
            is_over: Workers go on after the last step until it holds, for ten seconds at most:
                a case says how long it takes on an idle machine.
        """
        stage.behaviours = self.case.get("behaviours", {})
        try:
            for raw in definitions(self.case):
                self._register(raw)
        except InvalidDefinition as error:
            self.refused = str(error)
            return
        self.crew.on()
        try:
            for step in self.case.get("steps") or DEFAULT_STEPS:
                self._do(step)
            _wait(is_over, LAST_SECONDS)
        finally:
            self.crew.leave()
        if self.crew.errors:
            raise self.crew.errors[0]

    def named(self, name: Any) -> UUID:
        """Return an execution by its name; ``true`` means the first."""
        return self.executions[name if isinstance(name, str) else "e1"]

    def _do(self, step: Step) -> None:
        verb = next((key for key in step if key in _STEPS), None)
        if verb is None:
            raise ValueError(f"unknown step {step}")
        _STEPS[verb](self, step[verb], step)

    def _register(self, raw: Json) -> None:
        # Unknown types and faulty configs are found by the nodes, unless the case is about it.
        is_about_it = any(key.startswith("register_error") for key in self.case["expect"])
        publish(raw, now=utc_now(), check_nodes=is_about_it)

    def _start(self, workflow: Any, step: Step) -> None:
        key = workflow if isinstance(workflow, str) else step.get("workflow")
        data = step["input"] if "input" in step else self.case.get("input")
        self._begin(key or self._main(), data, step.get("options") or {})

    def _begin(self, workflow: str, data: Json, given: Mapping[str, Any]) -> UUID:
        delay = given.get("delay")
        timeout = given.get("timeout")
        options = StartOptions(
            priority=given.get("priority"),
            start_at=None if delay is None else utc_now() + timedelta(milliseconds=delay),
            timeout=None if timeout is None else timedelta(milliseconds=timeout),
            idempotency_key=given.get("jobId"),
        )
        execution = start(workflow, data, now=utc_now(), options=options)
        self.executions[f"e{len(self.executions) + 1}"] = execution.pk
        return execution.pk

    def _bulk_start(self, workflows: Sequence[str], step: Step) -> None:
        data = step["input"] if "input" in step else self.case.get("input")
        for workflow in workflows:
            try:
                self.bulk_ids.append(str(self._begin(workflow, data, {})))
            except SpaneError:
                self.bulk_ids.append("")

    def _webhook(self, given: Mapping[str, Any], step: Step) -> None:
        self._sender.meet()
        self.webhook_counts.append(self._sender.send(**given))

    def _wait_end(self, name: Any, step: Step) -> None:
        key = self.named(name)

        def has_ended() -> bool:
            status = Execution.objects.values_list("status", flat=True).get(pk=key)
            return ExecutionStatus(status).is_final

        _until(has_ended, step.get("timeout_ms", PATIENCE_MS), f"{name} ends")

    def _wait_node(self, node: str, step: Step) -> None:
        # What was only claimed may be handed back: where there is a body, it must have begun.
        runs = NodeRun.objects.filter(node_id=node, started_at__isnull=False)
        runs = runs.exclude(node_type__in=PLAYED)

        def runs_now() -> bool:
            return bool(stage.runs_of(node)) or runs.exists()

        _until(runs_now, step.get("timeout_ms", PATIENCE_MS), f"{node} runs")

    def _replay(self, name: str, step: Step) -> None:
        copy = replay(self.named(name), now=utc_now())
        self.executions[step.get("as") or f"e{len(self.executions) + 1}"] = copy.pk

    def _retry(self, node: str, step: Step) -> None:
        retry_dead_letter(DeadLetter.objects.open().get(node_id=node).pk, now=utc_now())

    def _inject(self, what: Any, step: Step) -> None:
        given = what if isinstance(what, dict) else {what: step.get("node")}
        if set(given) != {"fail_first_enqueue_of"}:
            raise ValueError(f"unknown injection {given}")
        self._wake_lost_after = given["fail_first_enqueue_of"]

    def _checkpoint(self, name: str, step: Step) -> None:
        self.checkpoints[name] = {known: take(key) for known, key in self.executions.items()}

    def _loses_a_wake(self) -> bool:
        node = self._wake_lost_after
        if node is None or not NodeRun.objects.filter(node_id=node).exists():
            return False
        self._wake_lost_after = None
        return True

    def _main(self) -> str:
        given = self.case["workflow"]
        return str((given[0] if isinstance(given, list) else given)["id"])


def _tell(verb: Callable[..., Execution]) -> Callable[[World, Any, Step], None]:
    """Return a step that says something to executions; one that has ended does not listen."""

    def do(world: World, names: Any, step: Step) -> None:
        wanted = names if isinstance(names, list) else [names]
        each(verb, [world.named(name) for name in wanted], now=utc_now())

    return do


def _register(world: World, given: Any, step: Step) -> None:
    for raw in given if isinstance(given, list) else [given]:
        world._register(raw)


def _limit_rate(world: World, given: Mapping[str, Any], step: Step) -> None:
    rate = {"count": given["per_second"], "perMs": 1_000}
    settings.SPANE = {**settings.SPANE, "LIMITS": {given["type"]: {"rate": rate}}}
    setting_changed.send(sender=World, setting="SPANE", value=settings.SPANE, enter=True)


def _count_schedules(world: World, given: Any, step: Step) -> None:
    world.schedules = Schedule.objects.count()


def _set_behaviours(world: World, given: Any, step: Step) -> None:
    stage.behaviours = given


def _wait_ms(world: World, milliseconds: float, step: Step) -> None:
    time.sleep(milliseconds / 1_000)


_STEPS: dict[str, Callable[[World, Any, Step], None]] = {
    "start": World._start,
    "bulk_start": World._bulk_start,
    "wait_end": World._wait_end,
    "wait_node": World._wait_node,
    "wait_ms": _wait_ms,
    "pause": _tell(pause),
    "resume": _tell(resume),
    "cancel": _tell(cancel),
    "replay": World._replay,
    "dlq_retry": World._retry,
    "set_behaviours": _set_behaviours,
    "inject": World._inject,
    "checkpoint": World._checkpoint,
    "register": _register,
    "workers_off": lambda world, given, step: world.crew.off(),
    "workers_on": lambda world, given, step: world.crew.on(),
    "webhook": World._webhook,
    "rate_limit": _limit_rate,
    "count_schedules": _count_schedules,
}


def _queues(case: Case) -> set[str]:
    found = {"spane"}
    for raw in definitions(case):
        for part in (raw, *raw.get("nodes", [])):
            named = part.get("queue") or (part.get("config") or {}).get("queue")
            found |= {named} if isinstance(named, str) else set()
    return found


def _until(condition: Callable[[], bool], milliseconds: float, what: str) -> None:
    assert _wait(condition, milliseconds / 1_000), f"waited {milliseconds} ms in vain until {what}"


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    give_up = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < give_up:
        time.sleep(POLL_SECONDS)
    return holds
