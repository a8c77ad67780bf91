"""The engine's verbs as a project calls them."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.utils.timezone import now

from spane_django import (
    InvalidDefinition,
    Workflow,
    cancel,
    pause,
    publish,
    replay,
    resume,
    start,
    start_many,
    wait_for,
)
from spane_django.authoring.verbs import NeverCommitted
from spane_django.core.statuses import IllegalTransition
from spane_django.engine.control import UnknownExecution
from spane_django.engine.start import UnknownWorkflow
from spane_django.models import Execution, NodeRun, WorkflowVersion

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("wakes")]


def greeting(message: str = "hello") -> Workflow:
    flow = Workflow("greeting")
    flow.add("greet", "log", {"message": message})
    return flow


def test_a_workflow_that_was_never_published_is_published_by_its_first_start() -> None:
    execution = greeting().start({"name": "Ada"}, priority=9)

    assert execution.version.definition == greeting().definition()
    assert (execution.input, execution.priority) == ({"name": "Ada"}, 9)
    assert NodeRun.objects.get(execution=execution).node_id == "greet"


def test_a_start_runs_the_published_version_even_if_python_has_changed() -> None:
    greeting("old").publish()

    execution = greeting("new").start()

    assert execution.version.definition == greeting("old").definition()
    assert WorkflowVersion.objects.count() == 1


def test_publishing_the_same_content_again_gives_the_same_version() -> None:
    first, again = greeting().publish(), publish(greeting().definition())
    changed = greeting("changed").publish()

    assert first == again
    assert changed.number == 2


def test_start_many_publishes_too_and_starts_all() -> None:
    ids = greeting().start_many([{"n": 1}, {"n": 2}])

    assert [Execution.objects.get(pk=pk).input for pk in ids] == [{"n": 1}, {"n": 2}]


def test_a_broken_workflow_does_not_start() -> None:
    flow = Workflow("broken")
    flow.add("a", "no-such-type")

    with pytest.raises(InvalidDefinition):
        flow.start()

    assert not Execution.objects.exists()


def test_a_start_and_the_callers_rows_commit_together_or_not_at_all() -> None:
    greeting().publish()

    with transaction.atomic():
        start("greeting")
        start_many("greeting", [1, 2])
        transaction.set_rollback(True)

    assert not Execution.objects.exists()


def test_a_workflow_that_nobody_published_cannot_be_started_by_name() -> None:
    with pytest.raises(UnknownWorkflow, match="publish its definition first"):
        start("nobody-published-this")


def test_a_start_may_lie_ahead() -> None:
    execution = greeting().start(start_at=now() + timedelta(hours=1))

    assert execution.status == "pending"


def test_executions_are_controlled_by_object_by_id_and_by_text() -> None:
    execution = greeting().start()

    assert pause(execution, reason="lunch").reason == "lunch"
    assert resume(execution.pk).status == "running"
    assert cancel(str(execution.pk)).status == "cancelled"
    assert replay(execution).replay_of == execution
    with pytest.raises(IllegalTransition):
        pause(execution)


def test_an_execution_that_has_ended_is_not_waited_for() -> None:
    execution = cancel(greeting().start())

    assert wait_for(execution, timeout=0).status == "cancelled"


def test_waiting_in_the_transaction_of_the_start_is_refused() -> None:
    with pytest.raises(NeverCommitted):
        wait_for(greeting().start())


def test_nobody_waits_for_what_is_not_there() -> None:
    with pytest.raises(UnknownExecution):
        wait_for(uuid.uuid4())


@pytest.mark.django_db(transaction=True)
def test_waiting_ends_with_the_execution() -> None:
    execution = greeting().start()

    def cancel_elsewhere() -> None:
        cancel(execution)
        connections.close_all()

    other = threading.Thread(target=cancel_elsewhere)
    other.start()
    ended = wait_for(execution, timeout=20)
    other.join()

    assert ended.status == "cancelled"


@pytest.mark.django_db(transaction=True)
def test_waiting_gives_up_after_its_timeout() -> None:
    with pytest.raises(TimeoutError, match="still running after 0 s"):
        wait_for(greeting().start(), timeout=0)


@pytest.mark.django_db(transaction=True)
def test_a_version_whose_publishing_was_rolled_back_is_forgotten() -> None:
    with transaction.atomic():
        greeting().start()
        transaction.set_rollback(True)
    other = Workflow("other")
    other.add("another-node", "log", {"message": "hello"})

    execution = other.start()

    assert [run.node_id for run in NodeRun.objects.filter(execution=execution)] == ["another-node"]
